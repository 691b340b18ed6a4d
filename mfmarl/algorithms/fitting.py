"""Services that Lightning offers only under automatic optimization, provided for our agents under any Trainer.

Before a fit, agent, data module and Trainer are checked for compatibility. During a fit, `global_step` counts gradient
steps, and learning rate schedulers step as Lightning documents for automatic optimization: with `interval` `step` after
every `frequency` gradient steps, with `epoch` after the epoch's last round, and `ReduceLROnPlateau` after the
evaluation. `trainer.estimated_stepping_batches` counts rounds; gradient steps are the data module's `gradient_steps`.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.core.optimizer import _configure_optimizers, _configure_schedulers_automatic_opt
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from mfmarl.custom import KNOWN
from mfmarl.data.rounds import RoundsDataModule
from mfmarl.values import not_finite


class Fitting(pl.Callback):
    """Callback of every agent, see `Agent.configure_callbacks`. Lightning calls it before any ModelCheckpoint."""

    def __init__(self) -> None:
        self.schedulers: list[LRSchedulerConfig] = []
        self.handles: list[RemovableHandle] = []
        self.steps_before = 0  # `global_step` before this round
        # State of torch's global generator before a custom agent's first round, if no callback may draw from it.
        self.drawn_from: Tensor | None = None
        self.due: list[tuple[ModelCheckpoint, int]] = []  # checkpoints to save after the epoch's evaluation

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Check agent and data module, and let schedulers be configured as under automatic optimization."""
        check_together(pl_module, trainer.datamodule)  # type: ignore[attr-defined]
        if stage == "fit":
            check_precision(trainer)
            check_start(pl_module)
            if not pl_module.training:  # as `load_agent` returns it, and Lightning would leave it so
                pl_module.train()
            if pl_module.always_saved:
                pl_module.check_saved()  # type: ignore[operator]
            if not trainer.datamodule.steps_played:  # type: ignore[attr-defined]
                limit_epochs(trainer)  # before schedulers are created, which may depend on the length of training
            # Lightning drops `monitor` under manual optimization, and calls `configure_optimizers` only once.
            pl_module.configure_optimizers = partial(self.configured, pl_module.configure_optimizers)  # type: ignore[method-assign]

    def configured(self, configure: Callable[[], Any]) -> Any:
        """Call `configure_optimizers`, record its schedulers, and return it all as manual optimization requires.

        Raises:
            ValueError: there is no optimizer, one needs a closure, or a scheduler that monitors a score would step
                after gradient steps.
        """
        returned = configure()
        check_optimizers(returned)
        optimizers, schedulers, monitor = _configure_optimizers(returned)
        self.schedulers = _configure_schedulers_automatic_opt(schedulers, monitor)
        for config in self.schedulers:
            if config.reduce_on_plateau and config.interval != "epoch":
                raise ValueError(f"interval of ReduceLROnPlateau must be epoch, got {config.interval}")
        kept = ("scheduler", "name", "interval", "frequency")
        return list(optimizers), [{name: getattr(config, name) for name in kept} for config in self.schedulers]

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Limit the epochs to those that are left, now that a checkpoint, if there is one, has been loaded."""
        limit_epochs(trainer)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hook into the optimizers, so that all calls of `step` count; warn if rounds are left out."""
        warn_of_rounds_left_out(trainer)
        others = [each for each in trainer.callbacks if type(each).__module__.partition(".")[0] not in KNOWN]  # type: ignore[attr-defined]
        self.drawn_from = torch.default_generator.get_state() if pl_module.is_custom and not others else None
        for number, optimizer in enumerate(trainer.optimizers):
            own = [each for each in self.schedulers if each.scheduler.optimizer is optimizer]
            own = [each for each in own if each.interval == "step"]
            hook = partial(self.stepped, step_progress(trainer), pl_module, own, number == 0)
            self.handles.append(optimizer.register_step_post_hook(hook))

    def stepped(
        self,
        progress: Any,
        module: pl.LightningModule,
        schedulers: list[LRSchedulerConfig],
        counts: bool,
        optimizer: Optimizer,
        *_: Any,
    ) -> None:
        """After an optimizer's step, count it if `counts` is set, and step the optimizer's schedulers."""
        total = progress.total
        if counts and total.ready == total.completed:  # else a LightningOptimizer is stepping, and counts itself
            advance(progress, 1)
        for config in schedulers:
            if total.ready % config.frequency == 0:
                module.lr_scheduler_step(config.scheduler, None)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        """Record the gradient steps before the round."""
        self.steps_before = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """After a round, check that parameters are finite, step schedulers if the epoch ends, and save checkpoints.

        Raises:
            FloatingPointError: a parameter or table is NaN or infinite.
        """
        check_learned(trainer, pl_module)
        if self.drawn_from is not None:
            warn_of_global_draws(pl_module, self.drawn_from)
            self.drawn_from = None
        if trainer.is_last_batch:
            for config in self.of_epoch(trainer, monitoring=False):
                pl_module.lr_scheduler_step(config.scheduler, None)
        for checkpoint in trainer.checkpoint_callbacks:
            if isinstance(checkpoint, ModelCheckpoint) and is_passed(trainer, checkpoint, self.steps_before):
                if trainer.is_last_batch:  # a fit that resumes from here would leave out the epoch's evaluation
                    self.due.append((checkpoint, checkpoint._last_global_step_saved))
                    checkpoint._last_global_step_saved = trainer.global_step  # so that it does not save by itself
                else:
                    save(trainer, checkpoint)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the checkpoints that became due in the epoch's last round."""
        for checkpoint, last_saved in self.due:
            checkpoint._last_global_step_saved = last_saved
            save(trainer, checkpoint)
        self.due = []

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the evaluation that ends an epoch, step the schedulers that monitor a score.

        Raises:
            ValueError: there is no such score.
        """
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_last_batch:
            return
        for config in self.of_epoch(trainer, monitoring=True):
            score = trainer.callback_metrics.get(str(config.monitor))
            if score is not None:
                pl_module.lr_scheduler_step(config.scheduler, score)
            elif config.strict:
                allowed = ", ".join(trainer.callback_metrics)
                raise ValueError(f"monitor of ReduceLROnPlateau must be one of {allowed}, got {config.monitor!r}")

    def of_epoch(self, trainer: pl.Trainer, *, monitoring: bool) -> list[LRSchedulerConfig]:
        """The schedulers to step at the end of this epoch, which do or do not monitor a score."""
        return [
            config
            for config in self.schedulers
            if config.interval == "epoch"
            and config.reduce_on_plateau == monitoring
            and (trainer.current_epoch + 1) % config.frequency == 0
        ]

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Restore the agent, its optimizers, and the checkpoints that are due, which may be saved for an exception."""
        vars(pl_module).pop("configure_optimizers", None)
        for handle in self.handles:
            handle.remove()
        for checkpoint, last_saved in self.due:
            checkpoint._last_global_step_saved = last_saved
        self.handles, self.schedulers, self.due = [], [], []

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the agent and its optimizers."""
        self.teardown(trainer, pl_module, "fit")


def step_progress(trainer: pl.Trainer) -> Any:
    """Lightning's counter of steps under manual optimization, read by `global_step` and saved in checkpoints."""
    return trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress


def count_steps(trainer: pl.Trainer, steps: int) -> None:
    """Advance `trainer.global_step`."""
    advance(step_progress(trainer), steps)


def advance(progress: Any, steps: int) -> None:
    """Advance the counter returned by `step_progress`."""
    for tracker in (progress.total, progress.current):
        tracker.ready += steps
        tracker.completed += steps


def is_passed(trainer: pl.Trainer, checkpoint: ModelCheckpoint, before: int) -> bool:
    """Whether `global_step` has reached or passed a multiple of `every_n_train_steps` since `before`."""
    every = checkpoint._every_n_train_steps
    return every >= 1 and trainer.global_step // every > before // every


def save(trainer: pl.Trainer, checkpoint: ModelCheckpoint) -> None:
    """Save a checkpoint, or the first one after the evaluation that gives its `monitor`.

    ModelCheckpoint itself saves only at an exact multiple of `every_n_train_steps`, which rounds skip. It runs after
    this, and does not save the same step twice.
    """
    if checkpoint._should_skip_saving_checkpoint(trainer):
        return
    scores = checkpoint._monitor_candidates(trainer)
    if checkpoint.monitor is not None and checkpoint.monitor not in scores:
        checkpoint._defer_save_until_validation = True  # as ModelCheckpoint does before the first evaluation
        return
    checkpoint._save_topk_checkpoint(trainer, scores)
    checkpoint._save_last_checkpoint(trainer, scores)


def warn_of_rounds_left_out(trainer: pl.Trainer) -> None:
    """Warn if `limit_train_batches` shortens the data module's epochs, so that training plays fewer steps."""
    data: RoundsDataModule = trainer.datamodule  # type: ignore[attr-defined]
    rounds, played = len(data.rounds()), int(trainer.num_training_batches)
    if played < rounds and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        warnings.warn(
            f"limit_train_batches: {played} of the {rounds} rounds of an epoch are played, so that training ends "
            f"before all {data.steps} steps are played; for a shorter training make the data module with fewer steps",
            stacklevel=2,
        )


def warn_of_global_draws(module: pl.LightningModule, before: Tensor) -> None:
    """Warn if a custom agent's round drew from torch's global generator, whose state no checkpoint holds."""
    if not torch.equal(before, torch.default_generator.get_state()):
        warnings.warn(
            f"{type(module).__name__} draws from torch's global generator, as dropout does, so that equal seeds give "
            "other results: draw from the seeds' own, as in mfmarl.seeds.generators",
            stacklevel=2,
        )


def check_optimizers(configured: Any) -> None:
    """Raise ValueError unless `configured` gives optimizers, perhaps an empty list, that all step without a closure."""
    allowed = "an optimizer, or a list of them"
    if configured is None:
        raise ValueError(f"configure_optimizers must give {allowed}, got None")
    for optimizer in _configure_optimizers(configured)[0]:
        closure = inspect.signature(type(optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is closure.empty:
            raise ValueError(
                f"configure_optimizers must give {allowed} whose step needs no closure, got {type(optimizer).__name__}"
            )


def check_learned(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Raise FloatingPointError if training made a parameter or table NaN or infinite, e.g. by such a loss."""
    if (name := not_finite(module)) is not None:
        played = trainer.datamodule.steps_played  # type: ignore[attr-defined]
        raise FloatingPointError(
            f"{name} is NaN or infinite after step {played}, {trainer.global_step} gradient steps into training"
        )


def check_precision(trainer: pl.Trainer) -> None:
    """Raise ValueError if parameters would be stored in half precision, where a target cannot follow its network."""
    if trainer.precision in ("16-true", "bf16-true"):
        raise ValueError(f"precision must be 32-true, 64-true, 16-mixed or bf16-mixed, got {trainer.precision}")


def check_one_rank(trainer: pl.Trainer) -> None:
    """Raise ValueError if several processes are to train one agent."""
    if trainer.world_size > 1:
        raise ValueError(
            f"devices must be 1 an agent, got {trainer.world_size} processes: gradients of our own steps are not "
            "averaged over ranks; seeds are independent runs, so train some of them on each device"
        )


def check_together(agent: Any, data: object) -> None:
    """Raise ValueError if the data module has a wrong type, game or seeds, or a neighbourhood the agent ignores."""
    if not isinstance(data, agent.data_module):
        got = type(data).__name__ if data is not None else "none"
        raise ValueError(
            f"datamodule of {type(agent).__name__} must be a {agent.data_module.__name__}, got {got}: "
            "trainer.fit(agent, datamodule=...)"
        )
    for name in agent.shared_with_data:
        own, other = getattr(agent, name), getattr(data, name)
        if own != other:
            raise ValueError(f"{name} of agent and data module must be the same, got {own} and {other}")
    neighbourhood = getattr(data, "neighbourhood", None)
    if not getattr(agent, "uses_mean_action", True) and neighbourhood != getattr(data, "usual_neighbourhood", None):
        raise ValueError(
            f"neighbourhood: got {neighbourhood} for {type(agent).__name__}, which sees no mean action: leave it out"
        )


def check_start(agent: Any) -> None:
    """Raise ValueError if the initial weights of a custom agent depend on torch's global generator."""
    if not agent.is_custom or torch.equal(agent.generator_before, torch.default_generator.get_state()):
        return  # nothing drew from it
    starts = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            made = type(agent)(**agent.arguments)
        starts.append({name: each.detach() for name, each in [*made.named_parameters(), *made.named_buffers()]})
    for name, values in starts[0].items():
        if not torch.allclose(values, starts[1][name], rtol=0, atol=0, equal_nan=True):
            raise ValueError(
                f"{name} of {type(agent).__name__} starts from torch's global generator: make it by mfmarl.Copies, in "
                "Battle in make_network, or draw it from the seed's own start generator"
            )


def limit_epochs(trainer: pl.Trainer) -> None:
    """Limit a Trainer without a limit on epochs to the data module's evaluations.

    Raises:
        ValueError: the Trainer's limit exceeds them, no steps are left, or a checkpoint has played more than all.
    """
    data: RoundsDataModule = trainer.datamodule  # type: ignore[attr-defined]
    if data.steps_played > data.steps:
        raise ValueError(f"steps must be at least the {data.steps_played} that are played, got {data.steps}")
    epochs_played = 0 if trainer.ckpt_path else -(-data.steps_played * data.evaluations // data.steps)
    most = data.evaluations - epochs_played + (0 if trainer.ckpt_path else trainer.current_epoch)
    if trainer.max_epochs == -1 and most > trainer.current_epoch:
        trainer.fit_loop.max_epochs = most
    elif trainer.max_epochs == -1:
        raise ValueError(f"datamodule must have steps left, got one whose {data.steps} steps are played")
    elif trainer.max_epochs is not None and trainer.max_epochs > most:
        played = f", of which {epochs_played} are over" if epochs_played else ""
        usual = ", Lightning's default" if trainer.max_epochs == 1000 else ""
        raise ValueError(
            f"max_epochs must be at most {most}, or -1, got {trainer.max_epochs}{usual}: an epoch ends with an "
            f"evaluation, and the data module has {data.evaluations} of them{played}"
        )
