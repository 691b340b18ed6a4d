"""Under a Trainer of anyone's: what Lightning's users expect happens, for every kind of game, or is refused."""

import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau, StepLR

from mfmarl.algorithms import algorithm_class
from mfmarl.algorithms.actor_critic import AC
from mfmarl.algorithms.agent import Agent, measured
from mfmarl.algorithms.battle import BattleIL
from mfmarl.algorithms.battle_released import ReleasedAC
from mfmarl.algorithms.lattice import Metropolis, TabularMFQ
from mfmarl.algorithms.q_learning import IL, MFQ
from mfmarl.algorithms.saved import load_agent
from mfmarl.custom import class_in_file
from mfmarl.data.neighbourhood import Noise
from mfmarl.data.rounds import RoundsDataModule
from mfmarl.data.stateless import ReplayDataModule
from mfmarl.data.stateless_replay import Batch
from mfmarl.environments import Battle, Game, GaussianSqueeze, Ising
from mfmarl.exploration import EpsilonGreedy
from mfmarl.files import read_csv
from mfmarl.jobs.execution import Hardware
from mfmarl.jobs.folder import found
from mfmarl.jobs.job import TrainingJob
from mfmarl.networks.stacked import Copies
from mfmarl.values import read_weights, write_weights
from tests.support import done, same


class Case(NamedTuple):
    """A method on its game, with a data module of four evaluations, each after two rounds."""

    cls: type[Agent]
    game: Game
    agent: dict[str, Any]
    data: dict[str, Any]
    score: str

    def make(self, cls: type[Agent] | None = None) -> tuple[Agent, RoundsDataModule]:
        agent = (cls or self.cls)(self.game, (0,), **self.agent)
        return agent, agent.data_module(self.game, (0,), **self.data)


STATELESS: dict[str, Any] = {
    "steps": 80,
    "evaluations": 4,
    "batch_size": 10,
    "samples_per_update": 20,
    "block_steps": 3,
}
SQUEEZE = GaussianSqueeze(agents=10, mu=20.0, sigma=10.0)
CASES = {
    "stateless": Case(MFQ, SQUEEZE, {"exploration": EpsilonGreedy(0.5, 0.1, 40)}, STATELESS, "greedy_reward"),
    "lattice": Case(
        TabularMFQ,
        Ising(4),
        {"temperatures": (0.8, 1.2)},
        {"temperatures": (0.8, 1.2), "steps": 32, "evaluations": 4, "round_steps": 4},
        "order_parameter",
    ),
    "battle": Case(
        BattleIL,
        Battle(8, max_steps=5),
        {"learning_rate": 1e-3},
        {"steps": 8, "evaluations": 4, "batch_size": 4, "samples_per_update": 20},
        "reward",
    ),
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def trainer(directory: Path, *callbacks: pl.Callback, **changes: Any) -> pl.Trainer:
    """A plain Trainer, with nothing switched off but what writes to the terminal."""
    arguments = {"accelerator": "cpu", "devices": 1, "max_epochs": 4, "logger": False, "default_root_dir": directory}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}
    saves = {"enable_checkpointing": any(isinstance(each, ModelCheckpoint) for each in callbacks)}
    return pl.Trainer(**{**arguments, **quiet, **saves, **changes}, callbacks=list(callbacks))


def state(fitted: pl.Trainer) -> list[Any]:
    """All that a fit leaves, generators and the next evaluation's draws included."""
    agent = fitted.lightning_module
    optimizers = [each.state_dict() for each in fitted.optimizers]
    data = fitted.datamodule.state_dict()  # type: ignore[attr-defined]
    return [agent.state_dict(), optimizers, data, fitted.global_step, agent.scores]


def assert_same(one: list[Any], other: list[Any]) -> None:
    for name, left, right in zip(("agent", "optimizers", "data", "global step", "scores"), one, other, strict=True):
        assert same(left, right), name


class Steps(pl.Callback):
    """Notes `global_step` after each round, and the optimizers' learning rates before each and after each epoch."""

    def __init__(self) -> None:
        self.after_rounds: list[int] = []
        self.rates: list[float] = []
        self.rates_of_rounds: list[float] = []

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.rates_of_rounds += [group["lr"] for each in trainer.optimizers for group in each.param_groups]

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        self.after_rounds.append(trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rates += [group["lr"] for optimizer in trainer.optimizers for group in optimizer.param_groups]


@pytest.fixture(scope="module")
def whole(case: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Steps, Path]:
    """An uninterrupted fit: what it left, the steps after its rounds, and the folder of its checkpoints."""
    folder, steps = tmp_path_factory.mktemp("whole"), Steps()
    agent, data = case.make()
    epochs = ModelCheckpoint(folder, "epoch-{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    scores = ModelCheckpoint(folder, "score-{epoch}", monitor=case.score, mode="max", save_top_k=-1)
    rounds = ModelCheckpoint(folder, "round-{step}", every_n_train_steps=1, save_top_k=-1)
    sevens = ModelCheckpoint(folder, "seven-{step}", every_n_train_steps=7, save_top_k=-1, save_last=True)
    fit = trainer(folder, steps, epochs, scores, rounds, sevens)
    fit.fit(agent, datamodule=data)
    return state(fit), steps, folder


def test_global_step_counts_gradient_steps(case: Case, whole: tuple[list[Any], Steps, Path]) -> None:
    steps = whole[1].after_rounds
    if case.score == "greedy_reward":  # 10 agents, 20 samples an update: one after every other joint step
        assert steps == [6, 10, 16, 20, 26, 30, 36, 40]
    elif case.score == "order_parameter":  # two colours a sweep
        assert steps == [8 * (number + 1) for number in range(8)]
    else:  # 8 agents, 5 steps, hardly a death: 40 transitions a round or a few less
        assert len(steps) == 8
        assert steps == sorted(steps)
        assert 12 <= steps[-1] <= 16


def test_max_steps_ends_with_the_round_that_reaches_it(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    steps, (agent, data) = whole[1].after_rounds, case.make()
    fit = trainer(tmp_path, max_epochs=-1, max_steps=steps[2] - 1)
    fit.fit(agent, datamodule=data)
    assert fit.global_step == steps[2]
    assert data.steps_played == data.steps * 3 // 8 or case.score == "greedy_reward"


def test_a_checkpoint_every_n_steps_is_of_the_first_round_past_each_multiple(
    whole: tuple[list[Any], Steps, Path],
) -> None:
    _, steps, folder = whole
    passed = {
        next(each for each in steps.after_rounds if each >= 7 * n) for n in range(1, steps.after_rounds[-1] // 7 + 1)
    }
    assert {path.name for path in folder.glob("seven-*")} == {f"seven-step={each}.ckpt" for each in passed}
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == max(passed)


def test_a_monitored_checkpoint_every_n_steps_begins_with_the_first_score(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    scores = ModelCheckpoint(tmp_path, "{step}", monitor=case.score, mode="max", every_n_train_steps=2, save_top_k=-1)
    steps = Steps()
    trainer(tmp_path, steps, scores, max_epochs=2).fit(agent, datamodule=data)
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {f"step={each}.ckpt" for each in steps.after_rounds[1:]}


def test_a_checkpoint_of_an_epochs_last_round_is_saved_after_the_epochs_evaluation(case: Case, tmp_path: Path) -> None:
    """A fit that went on from one saved before would never make that evaluation."""
    seen: list[set[str]] = []

    class Seen(pl.Callback):
        def on_validation_end(self, *_: Any) -> None:
            seen.append({path.name for path in tmp_path.glob("*.ckpt")})

    agent, data = case.make()
    rounds = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1)
    steps = Steps()
    trainer(tmp_path, Seen(), steps, rounds, max_epochs=2).fit(agent, datamodule=data)
    names = [f"step={each}.ckpt" for each in steps.after_rounds]
    assert seen[-2:] == [{*names[:1]}, {*names[:3]}]
    assert {path.name for path in tmp_path.glob("*.ckpt")} == {*names}


def test_validate_returns_the_scores(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    logger = CSVLogger(tmp_path, version=0)
    fit = trainer(tmp_path, logger=logger, log_every_n_steps=1)
    fit.fit(agent, datamodule=data)
    last, played = dict(agent.scores), float(data.steps)
    [found] = fit.validate(agent, datamodule=data, verbose=False)
    assert set(found) == {*last, "step"}
    assert found["step"] == played == read_csv(Path(logger.log_dir) / "metrics.csv")["step"].iloc[-1]
    of_training = set(last) - {"greedy_reward", "sampled_reward"}
    assert {name: found[name] for name in of_training} == {name: float(last[name].mean()) for name in of_training}
    assert found[case.score] == float(agent.scores[case.score].mean())


def test_a_score_is_left_out_where_no_seed_has_one() -> None:
    agent, _ = CASES["stateless"].make()
    some, none = torch.tensor([torch.nan, 1.0]), torch.tensor([torch.nan, torch.nan])
    assert [*measured(lambda _: {"some": some, "none": none}, agent)] == ["some"]


def test_validate_before_training(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    check = trainer(tmp_path)
    if case.score == "greedy_reward":
        [found] = check.validate(agent, datamodule=data, verbose=False)
        assert set(found) == {"greedy_reward", "sampled_reward", "step"}
        trainer(tmp_path, max_epochs=1).fit(agent, datamodule=data)  # goes on with what it left
        return
    with pytest.raises(
        ValueError, match=r"^datamodule: got one that has played nothing, but its scores are means over"
    ):
        check.validate(agent, datamodule=data, verbose=False)


def test_rounds_that_are_left_out_are_told(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    with pytest.warns(UserWarning, match=rf"^limit_train_batches: 1 of the 2 rounds .* before all {data.steps} steps"):
        trainer(tmp_path, max_epochs=2, limit_train_batches=1).fit(agent, datamodule=data)
    assert 0 < data.steps_played < data.steps // 2
    agent, data = case.make()
    trainer(tmp_path, fast_dev_run=True).fit(agent, datamodule=data)  # is meant to be short


@pytest.mark.parametrize(("made", "got"), [(lambda _: None, "None"), (torch.optim.LBFGS, "LBFGS")])
def test_optimizers_that_cannot_step_are_refused(made: Callable[[Any], Any], got: str, tmp_path: Path) -> None:
    class Odd(IL):
        def configure_optimizers(self) -> Any:
            return made(self.network.parameters())

    agent, data = CASES["stateless"].make(Odd)
    with pytest.raises(ValueError, match=rf"^configure_optimizers must give an optimizer, or a list .* got {got}$"):
        trainer(tmp_path).fit(agent, datamodule=data)


def test_without_limits_training_ends_with_the_last_evaluation(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    fit = trainer(tmp_path, max_epochs=-1, max_steps=10**6)
    fit.fit(agent, datamodule=data)
    assert (fit.current_epoch, data.steps_played) == (4, data.steps)


def test_a_trainer_goes_on_with_what_it_trained(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    fit = trainer(tmp_path, max_epochs=2)
    fit.fit(agent, datamodule=data)
    fit.fit_loop.max_epochs = 4
    fit.fit(agent, datamodule=data)
    assert (fit.current_epoch, data.steps_played) == (4, data.steps)


class Diverges(IL):
    """Its loss is no number."""

    def losses(self, batch: Batch) -> list[Tensor]:
        return [torch.nan * loss for loss in super().losses(batch)]


def test_what_is_not_finite_ends_the_fit_with_its_round_and_leaves_the_agent_as_it_was(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make(Diverges)
    said = r"^network\.identity is NaN or infinite after step 12, 6 gradient steps into training$"
    with pytest.raises(FloatingPointError, match=said):
        trainer(tmp_path).fit(agent, datamodule=data)
    assert isinstance(agent.configure_optimizers(), torch.optim.Optimizer)


def test_scores_can_be_monitored_and_need_no_logger(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    agent, data = case.make()
    # No score rises by so much: it stops after the first evaluation and one of patience.
    stopping = EarlyStopping(case.score, mode="max", min_delta=1e6, patience=1)
    best = ModelCheckpoint(tmp_path, monitor=case.score, mode="max")
    fit = trainer(tmp_path, stopping, best)
    fit.fit(agent, datamodule=data)
    assert fit.current_epoch == 2
    for name, values in agent.scores.items():
        torch.testing.assert_close(fit.callback_metrics[name], values.mean(), rtol=0, atol=0)
    assert best.best_model_score is not None
    assert Path(best.best_model_path).exists()


def test_loggers_get_the_means_at_the_steps_played_once(case: Case, tmp_path: Path) -> None:
    agent, data = case.make()
    logger = CSVLogger(tmp_path, version=0)
    trainer(tmp_path, logger=logger, log_every_n_steps=1, max_epochs=2).fit(agent, datamodule=data)
    logged = read_csv(Path(logger.log_dir) / "metrics.csv")
    assert logged["step"].tolist() == [data.steps // 4, data.steps // 2]
    assert set(logged.columns) == {"step", *agent.scores}
    assert logged[case.score].iloc[-1] == float(agent.scores[case.score].mean())


class Telling(MFQ):
    """Logs its loss at the steps played, its mean over an epoch, and a score of its own."""

    def losses(self, batch: Batch) -> list[Tensor]:
        losses = super().losses(batch)
        self.log_dict({"loss": losses[0].mean(), "step": float(self.steps_played)})
        self.log("mean_loss", losses[0].mean(), on_step=False, on_epoch=True, logger=False)
        return losses

    def validation_step(self, evaluation: Callable[[Any], dict[str, Tensor]], batch_idx: int) -> None:
        super().validation_step(evaluation, batch_idx)
        if self.scores:
            self.scores["gap"] = self.scores["greedy_reward"] - self.scores["sampled_reward"]
            self.log("gap", self.scores["gap"].mean(), logger=False)


def test_a_method_logs_values_of_its_own(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make(Telling)
    logger = CSVLogger(tmp_path, version=0)
    fit = trainer(tmp_path, logger=logger, log_every_n_steps=1, max_epochs=2)
    fit.fit(agent, datamodule=data)
    assert {"mean_loss", "gap"} <= set(fit.callback_metrics)
    logged = read_csv(Path(logger.log_dir) / "metrics.csv")
    assert logged.dropna(subset=["loss"])["step"].tolist() == [12, 20, 32, 40]
    assert logged.dropna(subset=["greedy_reward"])["step"].tolist() == [20, 40]


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")  # the resumed fit saves nothing
@pytest.mark.parametrize("where", ["epoch-epoch=1", "score-epoch=1", "first round", "third round"])
def test_resumed_is_uninterrupted(case: Case, where: str, whole: tuple[list[Any], Steps, Path], tmp_path: Path) -> None:
    expected, steps, folder = whole
    numbers = {"first round": 0, "third round": 2}
    name = f"round-step={steps.after_rounds[numbers[where]]}" if where in numbers else where
    agent, data = case.make()
    fit = trainer(tmp_path)
    fit.fit(agent, datamodule=data, ckpt_path=folder / f"{name}.ckpt", weights_only=True)
    assert_same(state(fit), expected)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_who_has_played_on_goes_back_to_a_checkpoint(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    expected, _, folder = whole
    agent, data = case.make()
    trainer(tmp_path).fit(agent, datamodule=data)
    back: dict[str, Any] = {"ckpt_path": folder / "epoch-epoch=1.ckpt", "weights_only": True}
    for most in (4, -1):
        fit = trainer(tmp_path, max_epochs=most)
        fit.fit(agent, datamodule=data, **back)
        assert_same(state(fit), expected)
    with pytest.raises(ValueError, match=r"^max_epochs must be at most 4, or -1, got 5: "):
        trainer(tmp_path, max_epochs=5).fit(agent, datamodule=data, **back)


def test_a_data_module_knows_how_many_gradient_steps_a_fit_makes(whole: tuple[list[Any], Steps, Path]) -> None:
    data = CASES["stateless"].make()[1]
    assert isinstance(data, ReplayDataModule)
    assert data.gradient_steps == 40
    if whole[1].after_rounds[0] == 6:  # it is of this case
        assert whole[1].after_rounds[-1] == 40


def test_a_checkpoint_that_is_due_is_saved_for_an_exception(tmp_path: Path) -> None:
    class Breaks(pl.Callback):
        def on_validation_start(self, fit: pl.Trainer, *_: Any) -> None:
            if fit.global_step:
                raise ZeroDivisionError

    agent, data = CASES["stateless"].make()
    rounds = ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=1, save_top_k=-1, save_on_exception=True)
    with pytest.raises(ZeroDivisionError):
        trainer(tmp_path, Breaks(), rounds).fit(agent, datamodule=data)
    assert len([*tmp_path.glob("*step=6.ckpt")]) == len([*tmp_path.glob("*step=10.ckpt")]) == 1


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_what_max_steps_stopped_goes_on(case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path) -> None:
    expected, steps, _ = whole
    agent, data = case.make()
    rounds = ModelCheckpoint(tmp_path, every_n_train_steps=1)
    trainer(tmp_path, rounds, max_steps=steps.after_rounds[2]).fit(agent, datamodule=data)
    agent, data = case.make()
    fit = trainer(tmp_path, max_steps=10**6)
    fit.fit(agent, datamodule=data, ckpt_path=rounds.best_model_path, weights_only=True)
    assert_same(state(fit), expected)


def test_load_from_checkpoint_needs_the_path_alone(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    agent = case.cls.load_from_checkpoint(whole[2] / "epoch-epoch=3.ckpt")
    assert type(agent) is case.cls
    assert (agent.environment, agent.seeds) == (case.game, (0,))
    assert same(agent.state_dict(), whole[0][0])
    for name, value in case.agent.items():
        assert getattr(agent, name) == value
    part = torch.load(whole[2] / "epoch-epoch=3.ckpt", weights_only=True)
    del part["state_dict"][next(iter(part["state_dict"]))]
    torch.save(part, tmp_path / "part.ckpt")
    with pytest.raises(RuntimeError, match="Missing key"):
        case.cls.load_from_checkpoint(tmp_path / "part.ckpt")
    assert type(case.cls.load_from_checkpoint(tmp_path / "part.ckpt", strict=False)) is case.cls
    elsewhere = case.cls.load_from_checkpoint(whole[2] / "epoch-epoch=3.ckpt", map_location="meta")
    assert {each.device.type for each in [*elsewhere.parameters(), *elsewhere.buffers()]} == {"meta"}


class Opens:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return os.mkdir, (self.folder,)


def test_a_checkpoint_is_not_unpickled(tmp_path: Path) -> None:
    torch.save({MFQ.CHECKPOINT_HYPER_PARAMS_KEY: Opens(tmp_path / "opened")}, tmp_path / "it.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        MFQ.load_from_checkpoint(tmp_path / "it.ckpt")
    assert not (tmp_path / "opened").exists()


class Halving(IL):
    """Halves its learning rate every epoch."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        return [optimizer], [StepLR(optimizer, 1, 0.5)]


class HalvingBattle(BattleIL):
    """Likewise."""

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1e-3)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": StepLR(optimizer, 1, 0.5), "frequency": 3}}


class EveryStep(AC):
    """Two optimizers, whose rates fall after every and after every second gradient step."""

    def configure_optimizers(self) -> Any:
        critic, actor = (torch.optim.SGD(each.parameters(), lr=1.0) for each in (self.critic, self.actor))
        falls = [ExponentialLR(each, 0.5) for each in (critic, actor)]
        intervals = [{"scheduler": each, "interval": "step", "frequency": n} for n, each in enumerate(falls, 1)]
        return [critic, actor], intervals


class Plateau(IL):
    """Tenths its learning rate when a score does not rise by a thousand."""

    interval, monitor = "epoch", "greedy_reward"

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.network.parameters(), lr=1.0)
        falls = ReduceLROnPlateau(optimizer, "max", factor=0.1, patience=0, threshold=1e3, threshold_mode="abs")
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": falls, "interval": self.interval, "monitor": self.monitor},
        }


@pytest.mark.parametrize(
    ("kind", "cls", "rates"),
    [
        ("stateless", Halving, [0.5, 0.25, 0.125, 0.0625]),
        ("stateless", EveryStep, [0.5**10, 0.5**5, 0.5**20, 0.5**10, 0.5**30, 0.5**15, 0.5**40, 0.5**20]),
        ("stateless", Plateau, [1.0, 0.1, 0.01, 0.001]),
        ("battle", HalvingBattle, [1e-3, 1e-3, 5e-4, 5e-4]),
    ],
)
def test_schedulers_step_and_resume(kind: str, cls: type[Agent], rates: list[float], tmp_path: Path) -> None:
    case = CASES[kind]
    arguments = {} if cls is EveryStep else case.agent
    case, steps = case._replace(cls=cls, agent=arguments), Steps()
    agent, data = case.make()
    fit = trainer(tmp_path, steps, ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1))
    fit.fit(agent, datamodule=data)
    assert steps.rates == pytest.approx(rates)
    assert steps.after_rounds[-1] == 40 or kind == "battle", "one a minibatch, however many optimizers"
    (again, data), resumed = case.make(), Steps()
    second = trainer(tmp_path, resumed, ModelCheckpoint(tmp_path / "again"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The dirpath has changed")
        second.fit(again, datamodule=data, ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    assert steps.rates[-len(resumed.rates) :] == resumed.rates
    assert_same(state(second), state(fit))


def test_rates_fall_between_epochs_and_what_comes_after_the_fit_is_not_counted(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make(Halving)
    steps = Steps()
    fit = trainer(tmp_path, steps)
    fit.fit(agent, datamodule=data)
    assert steps.rates_of_rounds == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    fit.optimizers[0].step()
    assert fit.global_step == 40
    made: Any = agent.configure_optimizers()
    assert isinstance(made[1][0], StepLR)


def test_every_parameter_group_learns(tmp_path: Path) -> None:
    class Groups(IL):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            first, *others = self.network.parameters()
            groups: list[dict[str, Any]] = [{"params": [first]}, {"params": others, "lr": 1e-2}]
            return torch.optim.Adam(groups, lr=1e-3)

    agent, data = CASES["stateless"].make(Groups)
    before = {name: value.clone() for name, value in agent.named_parameters() if value.requires_grad}
    trainer(tmp_path).fit(agent, datamodule=data)
    assert len(before) > 2
    for name, value in before.items():
        assert not torch.equal(dict(agent.named_parameters())[name], value), name


def test_methods_that_step_by_themselves_are_counted(tmp_path: Path) -> None:
    game = Battle(8, max_steps=5)
    agent, fit = ReleasedAC(game, (0,)), trainer(tmp_path, max_epochs=2)
    fit.fit(agent, datamodule=ReleasedAC.data_module(game, (0,), steps=4, evaluations=2))
    assert fit.global_step == 4
    spins = Metropolis(Ising(4), (0,), temperatures=(1.0,))
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(spins, datamodule=spins.data_module(Ising(4), (0,), temperatures=(1.0,), steps=3, evaluations=1))
    assert fit.global_step == 6


OTHERS: dict[str, Callable[[], tuple[Agent, Any, dict[str, Any]]]] = {
    r"seeds of agent and data module must be the same, got \(0,\) and \(1,\)": lambda: (
        IL(SQUEEZE, (0,)),
        IL.data_module(SQUEEZE, (1,), **STATELESS),
        {},
    ),
    "environment of agent and data module must be the same, got": lambda: (
        IL(GaussianSqueeze(agents=10), (0,)),
        IL.data_module(SQUEEZE, (0,), **STATELESS),
        {},
    ),
    r"temperatures of agent and data module must be the same, got \(1.0,\)": lambda: (
        TabularMFQ(Ising(4), (0,), temperatures=(1.0,)),
        CASES["lattice"].make()[1],
        {},
    ),
    "datamodule of IL must be a ReplayDataModule, got SweepDataModule": lambda: (
        IL(SQUEEZE, (0,)),
        CASES["lattice"].make()[1],
        {},
    ),
    r"neighbourhood: got Noise\(.*\) for IL, which sees no mean action: leave it out": lambda: (
        IL(SQUEEZE, (0,)),
        IL.data_module(SQUEEZE, (0,), neighbourhood=Noise(), **STATELESS),
        {},
    ),
    r"neighbourhood: got Neighbourhood\(same_step=True\) for IL, which": lambda: (
        IL(SQUEEZE, (0,)),
        IL.data_module(SQUEEZE, (0,), stored_mean_action="same", **STATELESS),
        {},
    ),
    r"neighbourhood: got Noise\(.*\) for BattleIL, which": lambda: (
        BattleIL(Battle(8), (0,), neighbourhood=Noise()),
        BattleIL.data_module(Battle(8), (0,), steps=1, evaluations=1, neighbourhood=Noise()),
        {},
    ),
    "max_epochs must be at most 4, or -1, got 5: .* the data module has 4": lambda: (
        *CASES["stateless"].make(),
        {"max_epochs": 5},
    ),
    "max_epochs must be at most 4, or -1, got 1000, Lightning's default: ": lambda: (
        *CASES["stateless"].make(),
        {"max_epochs": 1000},
    ),
    "Automatic gradient clipping is not supported for manual": lambda: (
        *CASES["stateless"].make(),
        {"gradient_clip_val": 1.0},
    ),
    "Automatic gradient accumulation is not supported for manual": lambda: (
        *CASES["stateless"].make(),
        {"accumulate_grad_batches": 2},
    ),
    "interval of ReduceLROnPlateau must be epoch, got step": lambda: (
        *CASES["stateless"].make(type("Soon", (Plateau,), {"interval": "step"})),
        {},
    ),
    "monitor of ReduceLROnPlateau must be one of greedy_reward, .*, got 'wins'": lambda: (
        *CASES["stateless"].make(type("Other", (Plateau,), {"monitor": "wins"})),
        {},
    ),
}


@pytest.mark.parametrize("message", OTHERS)
def test_what_does_not_go_together_is_refused_in_one_line(message: str, tmp_path: Path) -> None:
    agent, data, changes = OTHERS[message]()
    with pytest.raises(Exception, match=message) as refused:
        trainer(tmp_path, **changes).fit(agent, datamodule=data)
    assert "\n" not in str(refused.value)


def test_rounds_without_their_data_module_are_refused(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make()
    with pytest.raises(ValueError, match=r"must be a ReplayDataModule, got none: trainer\.fit\(agent, datamodule="):
        trainer(tmp_path).fit(agent, data.train_dataloader(), data.val_dataloader())


def test_data_that_are_played_are_refused(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make()
    trainer(tmp_path).fit(agent, datamodule=data)
    with pytest.raises(ValueError, match=r"max_epochs must be at most 0, or -1, got 1: .*, of which 4 are over"):
        trainer(tmp_path, max_epochs=1).fit(agent, datamodule=data)
    with pytest.raises(ValueError, match="datamodule must have steps left, got one whose 80 steps are played"):
        trainer(tmp_path, max_epochs=-1, max_steps=5).fit(agent, datamodule=data)


def test_several_ranks_are_refused_with_the_reason(tmp_path: Path) -> None:
    agent, _ = CASES["stateless"].make()
    agent.trainer = trainer(tmp_path, devices=2, strategy="ddp_spawn")
    with pytest.raises(ValueError, match=r"devices must be 1 an agent, got 2 processes: .* seeds are independent runs"):
        agent.configure_callbacks()


RANKS = """
import pytorch_lightning as pl

from mfmarl import GaussianSqueeze, MFQ
from mfmarl.data.stateless import ReplayDataModule

if __name__ == "__main__":
    game = GaussianSqueeze(agents=4)
    data = ReplayDataModule(game, (0,), steps=40, evaluations=2)
    pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", logger=False).fit(MFQ(game, (0,)), datamodule=data)
"""


@pytest.mark.slow
def test_several_ranks_are_refused_before_they_meet(tmp_path: Path) -> None:
    (tmp_path / "ranks.py").write_text(RANKS)
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "ranks.py"], cwd=tmp_path, env=path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "ValueError: devices must be 1 an agent, got 2 processes" in done.stderr
    assert "Initializing distributed" not in done.stderr


def test_a_checkpoint_is_of_one_class(whole: tuple[list[Any], Steps, Path], case: Case) -> None:
    other: type[Agent] = Metropolis if case.cls is TabularMFQ else IL
    name = case.cls.__name__
    said = rf"^checkpoint_path must be of {other.__name__}, got one of {name}: {name}\.load_from_checkpoint$"
    with pytest.raises(ValueError, match=said):
        other.load_from_checkpoint(whole[2] / "epoch-epoch=3.ckpt")


@pytest.mark.parametrize(
    ("cls", "seed", "neighbourhood", "said"),
    [
        (MFQ, 0, Noise(), r"neighbourhood, got one of Neighbourhood\(same_step=False\) for Noise\(same_step=False\)"),
        (MFQ, 1, None, r"seeds, got one of \(0,\) for \(1,\)"),
        (IL, 0, None, "algorithm, got one of MFQ for IL"),
    ],
)
def test_going_on_as_another_is_refused(
    cls: type[Agent], seed: int, neighbourhood: Any, said: str, tmp_path: Path
) -> None:
    agent, data = CASES["stateless"].make()
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(agent, datamodule=data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    other = cls.data_module(SQUEEZE, (seed,), neighbourhood=neighbourhood, **STATELESS)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=f"^ckpt_path must be of the same {said}$"):
        trainer(tmp_path).fit(
            cls(SQUEEZE, (seed,)), datamodule=other, ckpt_path=tmp_path / "it.ckpt", weights_only=True
        )


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_going_on_with_more_evaluations_is_as_if_there_had_been_as_many_from_the_start(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    longer = case._replace(data={**case.data, "steps": 2 * case.data["steps"], "evaluations": 8})
    fits = trainer(tmp_path, max_epochs=8), trainer(tmp_path, max_epochs=-1)
    for fit, resume in zip(fits, ({}, {"ckpt_path": whole[2] / "epoch-epoch=3.ckpt"}), strict=True):
        agent, data = longer.make()
        fit.fit(agent, datamodule=data, **resume, weights_only=True)
    assert_same(state(fits[1]), state(fits[0]))


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_going_on_with_other_rounds_is_refused(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    folder, steps = whole[2], case.data["steps"]
    same_length = "steps / evaluations, got one of"
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"steps": 2 * steps}, f"ckpt_path must be of the same {same_length} {steps // 4} for {steps // 2}"),
        ({"evaluations": 2}, f"ckpt_path must be of the same {same_length} {steps // 4} for {steps // 2}"),
        ({"evaluations": 8}, f"ckpt_path must be of the same {same_length} {steps // 4} for {steps // 8}"),
        ({"steps": steps // 4, "evaluations": 1}, f"steps must be at least the {steps // 2} that are played, got"),
    ]
    if "block_steps" in case.data:
        wrong.append(({"block_steps": 4}, "ckpt_path must be of the same block_steps, got one of 3 for 4"))
    if "round_steps" in case.data:
        wrong.append(({"round_steps": 3}, "ckpt_path must be of the same round_steps, got one of 4 for 3"))
    for changes, said in wrong:
        agent, data = case._replace(data={**case.data, **changes}).make()
        with pytest.raises(ValueError, match=f"^{said}"):
            trainer(tmp_path, max_epochs=-1).fit(
                agent, datamodule=data, ckpt_path=folder / "epoch-epoch=1.ckpt", weights_only=True
            )


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_checkpoint_is_validated_with_any_number_of_evaluations(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    agent, data = case._replace(data={**case.data, "evaluations": 1}).make()
    path = whole[2] / f"round-step={whole[1].after_rounds[0]}.ckpt"
    [found] = trainer(tmp_path).validate(agent, datamodule=data, ckpt_path=path, verbose=False, weights_only=True)
    assert found["step"] == data.steps_played > 0


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_a_checkpoint_without_the_lengths_of_rounds_resumes(
    case: Case, whole: tuple[list[Any], Steps, Path], tmp_path: Path
) -> None:
    saved = torch.load(whole[2] / "epoch-epoch=1.ckpt", weights_only=True)
    agent, data = case.make()
    for name in data.goes_with():
        del saved["mfmarl"][name]
    torch.save(saved, tmp_path / "old.ckpt")
    fit = trainer(tmp_path)
    fit.fit(agent, datamodule=data, ckpt_path=tmp_path / "old.ckpt", weights_only=True)
    assert_same(state(fit), whole[0])


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.parametrize(("capacity", "said"), [(100, "the 20 joint steps .*, got 10"), (400, "the 20 .*, got 40")])
def test_going_on_with_another_capacity_is_refused(capacity: int, said: str, tmp_path: Path) -> None:
    case = CASES["stateless"]._replace(data={**STATELESS, "capacity": 200})
    agent, data = case.make()
    fit = trainer(tmp_path, max_epochs=2)
    fit.fit(agent, datamodule=data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    agent, data = case._replace(data={**STATELESS, "capacity": capacity}).make()
    with pytest.raises(ValueError, match=f"^capacity must be {said}$"):
        trainer(tmp_path).fit(agent, datamodule=data, ckpt_path=tmp_path / "it.ckpt", weights_only=True)


def test_a_checkpoint_says_what_it_cannot_hold(tmp_path: Path) -> None:
    class Mine(EpsilonGreedy):
        pass

    agent, data = CASES["stateless"]._replace(agent={"exploration": Mine(0.5, 0.1)}).make()
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(agent, datamodule=data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    with pytest.raises(ValueError, match="exploration must be given to load this checkpoint"):
        MFQ.load_from_checkpoint(tmp_path / "it.ckpt")
    loaded = MFQ.load_from_checkpoint(tmp_path / "it.ckpt", exploration=Mine(0.4, 0.1))
    assert loaded.exploration == Mine(0.4, 0.1)
    for refuses in (partial(agent.save, tmp_path), agent.check_saved):
        with pytest.raises(ValueError, match="exploration must be plain data to be saved"):
            refuses()


def test_a_checkpoint_runs_no_file_that_it_names(tmp_path: Path) -> None:
    own = tmp_path / "own_exploration.py"
    own.write_text("from mfmarl import EpsilonGreedy\n\nclass Mine(EpsilonGreedy):\n    pass\n")
    mine: Any = class_in_file("exploration", f"{own}:Mine", object)
    agent, data = CASES["stateless"]._replace(agent={"exploration": mine(0.5, 0.1)}).make()
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(agent, datamodule=data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    agent.save(tmp_path)
    own.write_text("raise SystemExit('run')")
    for load, what in ((MFQ.load_from_checkpoint, "checkpoint"), (load_agent, "agent")):
        file: Any = tmp_path / ("it.ckpt" if what == "checkpoint" else agent.file)
        for classes in ([], [EpsilonGreedy]):
            with pytest.raises(ValueError, match=rf"^{what}: {file} needs the class {own}:Mine, which must be given"):
                load(file, classes=classes)
        loaded: Any = load(file, classes=[mine])
        assert loaded.exploration == mine(0.5, 0.1)
        assert same(loaded.state_dict(), agent.state_dict())


def test_a_file_cannot_ask_for_what_happens_to_be_imported(tmp_path: Path) -> None:
    agent, _ = CASES["stateless"].make()
    agent.save(tmp_path)
    about, weights = read_weights(tmp_path / agent.file, "agent")
    opened = {"args": {"tuple": ["touch", str(tmp_path / "opened")]}}
    about["arguments"]["exploration"] = {"dataclass": f"{subprocess.__file__}:Popen", "fields": opened}
    write_weights(tmp_path / "bad", "agent", about, weights)
    with pytest.raises(ValueError, match=r"^agent: .* needs the class .*:Popen, which must be given"):
        load_agent(tmp_path / "bad")


@pytest.mark.parametrize("kind", ["stateless", "lattice"])
def test_a_kept_agent_plays_as_it_did(kind: str, tmp_path: Path) -> None:
    case = CASES[kind]
    fixed = {"fixed_point": "iterated"} if kind == "stateless" else {}
    agent, data = case._replace(agent={**case.agent, **fixed}).make()
    trainer(tmp_path).fit(agent, datamodule=data)
    agent.save(tmp_path)
    loaded = load_agent(tmp_path / "agent.safetensors")
    assert type(loaded) is case.cls
    assert same(loaded.state_dict(), agent.state_dict())
    if isinstance(agent, MFQ) and isinstance(loaded, MFQ):
        mean = torch.rand(1, 10, 10, generator=torch.Generator().manual_seed(0))
        mean = mean / mean.sum(-1, keepdim=True)
        assert torch.equal(loaded.act_greedily(mean), agent.act_greedily(mean))
        assert loaded.step == agent.step == 80
    (tmp_path / "agent.safetensors").write_bytes(b"no agent")
    with pytest.raises(ValueError, match=r"agent: .* is no agent"):
        load_agent(tmp_path / "agent.safetensors")
    with pytest.raises(ValueError, match="agent: there is no file"):
        load_agent(tmp_path / "nothing")


class Dropping(IL):
    """Its network has dropout, so that in training mode it acts at random."""

    def make_network(self, *_: Any) -> nn.Module:
        def one() -> nn.Module:
            return nn.Sequential(nn.Linear(10, 64), nn.Dropout(0.9), nn.Linear(64, 10))

        return Copies(one, 10, self.start_generators)


def test_a_kept_agent_acts_as_it_was_scored_and_learns_as_it_did(tmp_path: Path) -> None:
    agent, data = CASES["stateless"].make(Dropping)
    agent.save(tmp_path)
    loaded: Any = load_agent(tmp_path / "agent.safetensors", classes=[Dropping])
    assert torch.equal(loaded.preferences(None), agent.eval().preferences(None))  # type: ignore[operator]
    modes: list[bool] = []

    class Modes(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            modes.extend(each.training for each in pl_module.modules())

    trainer(tmp_path, Modes(), max_epochs=1).fit(loaded, datamodule=data)
    assert modes
    assert all(modes)


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # of torch.compile itself
@pytest.mark.parametrize("resumes_compiled", [False, True])
def test_what_a_compiled_network_learned_can_be_loaded(resumes_compiled: bool, tmp_path: Path) -> None:
    def made(compiled: bool) -> tuple[Any, RoundsDataModule]:
        agent, data = CASES["stateless"].make()
        if compiled:
            agent.network = cast(nn.Module, torch.compile(cast(nn.Module, agent.network), backend="eager"))
        return agent, data

    agent, data = made(compiled=not resumes_compiled)
    fit = trainer(tmp_path, max_epochs=1)
    fit.fit(agent, datamodule=data)
    fit.save_checkpoint(tmp_path / "it.ckpt")
    agent.save(tmp_path)
    for loaded in (load_agent(tmp_path / agent.file), MFQ.load_from_checkpoint(tmp_path / "it.ckpt")):
        assert same([*loaded.parameters()], [*agent.parameters()])
    resumed, data = made(compiled=resumes_compiled)
    trainer(tmp_path, max_epochs=2).fit(resumed, datamodule=data, ckpt_path=tmp_path / "it.ckpt", weights_only=True)
    assert data.steps_played == data.steps // 2


def test_a_kept_agent_of_a_custom_class_needs_the_class(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from mfmarl import MFQ\n\nclass Mine(MFQ):\n    pass\n")
    name = f"{tmp_path / 'own.py'}:Mine"
    cls: Any = algorithm_class(name)
    cls(GaussianSqueeze(4), [0]).save(tmp_path)
    (tmp_path / "own.py").write_text("raise SystemExit('run')")
    with pytest.raises(ValueError, match=rf"^agent: .* needs the class {name}, which must be given: .*\[Mine\]$"):
        load_agent(tmp_path / "agent.safetensors")
    assert type(load_agent(tmp_path / "agent.safetensors", classes=[cls])) is cls


def test_a_job_keeps_its_agent_if_asked_to(tmp_path: Path) -> None:
    case = CASES["stateless"]
    job = TrainingJob("job", {"algorithm": "mf-q"}, "mf-q", case.game, (0, 1), case.agent, case.data)
    keeping = TrainingJob("job", {"algorithm": "mf-q"}, "mf-q", case.game, (0, 1), case.agent, case.data, keep=True)
    assert keeping.fingerprint == job.fingerprint
    rows = done(job, tmp_path)
    assert not (tmp_path / "agent.safetensors").exists()
    assert (found(job, tmp_path, Hardware()), found(keeping, tmp_path, Hardware())) == ("rows", "nothing")
    assert done(keeping, tmp_path).equals(rows)
    assert found(keeping, tmp_path, Hardware()) == "rows"
    assert load_agent(tmp_path / "agent.safetensors").seeds == (0, 1)
