"""The base class of all algorithms, including saving and loading."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer

from mfmarl.algorithms.constructors import by_name, check_constructor, check_overrides, decoded_arguments
from mfmarl.algorithms.fitting import Fitting, check_one_rank, count_steps
from mfmarl.arguments import check_types
from mfmarl.custom import check_classes, given_class, is_ours, text_name
from mfmarl.data.rounds import RoundsDataModule
from mfmarl.environments import Game
from mfmarl.seeds import seed_numbers
from mfmarl.values import encode, write_weights

_OF = "mfmarl"  # key of `goes_with` of agent and data module in a checkpoint
_COMPILED = "_orig_mod."  # what `torch.compile` puts before the names of a network's parameters


class Agent(pl.LightningModule):
    """Base class of all algorithms: S seeds of a game that train together, with a round of play as a training batch.

    Optimization is manual. Any Trainer can train the agent on its data module, for at most as many epochs as the data
    module has evaluations, since an epoch ends with an evaluation. `global_step` counts gradient steps, one per
    minibatch for any number of optimizers. `max_steps` is checked between rounds: training ends after the round that
    reaches it. An epoch that this cuts short counts as complete, as always in Lightning. To resume with its remaining
    rounds, bit for bit, save between rounds, as `ModelCheckpoint(every_n_train_steps=n)` does after the first round
    that reaches or passes each multiple of n gradient steps.

    `trainer.validate` evaluates the current agent, and returns means over seeds and the steps played. A score that is a
    mean over training since the last evaluation keeps its value if there was no training since.
    `limit_train_batches` leaves rounds out of each epoch, with a warning.

    Args:
        environment: the game.
        seeds: seeds whose runs are stacked in this module.
    """

    kind: ClassVar[str]  #: kind of games that it plays, a key of `mfmarl.algorithms.ALGORITHMS`.
    unit: ClassVar[str] = "agent-steps"  #: name of a step of one of its agents.
    called: ClassVar[str]  #: label in rows and in `train`; without its own, a class is labelled by its name.
    data_module: ClassVar[type[RoundsDataModule]]  #: plays its game; built like the agent, from game and seeds.
    shared_with_data: ClassVar[tuple[str, ...]] = ("environment", "seeds")  #: attributes that must be equal there.
    file: ClassVar[str] = "agent.safetensors"  #: name of the file written by `save`.
    always_saved: ClassVar[bool] = False  #: whether it is saved in its job's folder even if not requested.
    scores: dict[str, Tensor]  #: scores of the last evaluation, `[seeds]` or `[conditions, seeds]` float64 each.
    arguments: dict[str, Any]  #: the constructor's arguments by name, as they were given.
    generator_before: Tensor  #: state of torch's global generator before the agent was created.

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Record the arguments, to recreate the agent from a checkpoint, and the state of torch's global generator."""
        agent = super().__new__(cls)
        given = by_name(cls, arguments, named)
        check_types(cls, {name: value for name, value in given.items() if name != "seeds"})
        object.__setattr__(agent, "arguments", given)
        object.__setattr__(agent, "generator_before", torch.default_generator.get_state())
        return agent

    def __init__(self, environment: Game, seeds: Sequence[int]) -> None:
        super().__init__()
        if self.is_custom:
            check_constructor(type(self))
            check_overrides(type(self))
        self.automatic_optimization = False
        self.environment = environment
        self.seeds = seed_numbers(seeds)
        self.scores = {}

    @classmethod
    def files_of(cls, seeds: Sequence[int]) -> tuple[str, ...]:
        """Paths of the files that `save` writes for an agent of these seeds, relative to its folder."""
        return (cls.file,)

    def configure_callbacks(self) -> list[pl.Callback]:
        """Add the callback by which any Trainer counts gradient steps, steps schedulers, and checks what it is given.

        Raises:
            ValueError: several processes are to train this agent. Lightning has already started them, since it calls
                neither agent nor data module earlier, but they have not communicated yet.
        """
        if self._trainer is not None:
            check_one_rank(self.trainer)
        return [Fitting()]

    def validation_step(self, evaluation: Callable[[Any], dict[str, Tensor]], batch_idx: int) -> None:
        """Evaluate the current policy, and log the means over seeds at the steps played.

        Raises:
            ValueError: `Trainer.validate` was called before any play, for a game whose scores are means over training.
        """
        if self._trainer is None:  # a loop without Lightning
            self.scores = evaluation(self)
            return
        if self.trainer.sanity_checking:  # nothing has been played yet, and an evaluation would consume draws
            return
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self.scores |= measured(evaluation, self)
            if not self.scores:
                raise ValueError("datamodule: got one that has played nothing, but its scores are means over training")
            # Lightning returns the logged values, and uses the value named `step` as the step.
            means = {name: values.mean() for name, values in self.scores.items()}
            self.log_dict({**means, "step": float(self.steps_played)})
            return
        self.scores = evaluation(self)
        means = {name: values.mean() for name, values in self.scores.items()}
        # Callbacks get them through Lightning, loggers directly, since Lightning would use the round as the step.
        self.log_dict(means, logger=False)
        for logger in self.loggers:
            logger.log_metrics({name: float(mean) for name, mean in means.items()}, self.steps_played)

    @property
    def steps_played(self) -> int:
        """Number of steps that the data module has played."""
        played: int = self.trainer.datamodule.steps_played  # type: ignore[attr-defined]
        return played

    def log(self, name: str, value: Any, *options: Any, **named: Any) -> None:
        """Log a value as in Lightning; `batch_size` is by default 1, since from a round Lightning infers none."""
        if named.get("batch_size") is None:
            named["batch_size"] = 1
        super().log(name, value, *options, **named)

    def load_state_dict(self, state_dict: Mapping[str, Any], *options: Any, **named: Any) -> Any:
        """Load as in torch, whether or not `torch.compile` wrapped a network when it was saved, or wraps it now."""
        own = {name.replace(_COMPILED, ""): name for name in self.state_dict()}
        renamed = {own.get(name.replace(_COMPILED, ""), name): value for name, value in state_dict.items()}
        return super().load_state_dict(renamed, *options, **named)

    def raw_optimizers(self) -> list[Optimizer]:
        """The optimizers without Lightning's wrapper, which would cost a third of a small gradient step."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        return cast(list[Optimizer], optimizers if isinstance(optimizers, list) else [optimizers])

    @property
    def is_custom(self) -> bool:
        """Whether its class is not part of this package."""
        return not is_ours(type(self))

    def count_steps(self, steps: int) -> None:
        """Add to `global_step` gradient steps made without an optimizer."""
        if self._trainer is not None:
            count_steps(self.trainer, steps)

    def described(self) -> dict[str, Any]:
        """The arguments as plain data; one that cannot be converted is None, and its text is under `not_plain`."""
        plain: dict[str, Any] = {"not_plain": {}}
        for name, value in {**self.arguments, "environment": self.environment, "seeds": self.seeds}.items():
            try:
                plain[name] = encode(value)
            except ValueError:
                plain[name] = None
                plain["not_plain"][name] = repr(value)
        return plain

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add `goes_with`, and the arguments, as plain data so that a checkpoint loads without unpickling."""
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = self.described()
        checkpoint[_OF] = self.goes_with() | self.trainer.datamodule.goes_with()  # type: ignore[attr-defined]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that training can resume from a checkpoint, or that it can be validated.

        Raises:
            ValueError: the checkpoint has another class, game, seeds, temperatures or neighbourhood; or training is to
                resume with other rounds, which Lightning counts, than those that were played.
        """
        saved, needed = checkpoint.get(_OF, {}), self.goes_with()
        if self.trainer.state.fn == TrainerFn.FITTING:
            needed |= self.trainer.datamodule.goes_with()  # type: ignore[attr-defined]
        for name, own in needed.items():
            if saved.get(name, own) != own:
                raise ValueError(f"ckpt_path must be of the same {name}, got one of {saved[name]} for {own}")

    def goes_with(self) -> dict[str, str]:
        """What must be equal when this agent's checkpoint is used, as text; see also the data module's."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        shared = {name: getattr(self, name) for name in self.shared_with_data}
        if hasattr(data, "neighbourhood"):
            shared["neighbourhood"] = data.neighbourhood
        plain = {name: repr(each) if _tells(each) else type(each).__name__ for name, each in shared.items()}
        return {"algorithm": type(self).__name__, **plain}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = None,
        *,
        strict: bool = True,
        classes: Sequence[type] = (),
        **changes: Any,
    ) -> Any:
        """Load an agent from a checkpoint. Nothing is unpickled, and no code named in the checkpoint is run.

        Args:
            checkpoint_path: a checkpoint saved by Lightning.
            map_location: device of the agent. None: the CPU.
            strict: whether the checkpoint must have the same parameters as the agent.
            classes: custom classes in its arguments; the checkpoint holds only their names.
            **changes: constructor arguments that replace the saved ones.

        Raises:
            ValueError: the checkpoint is not of an agent of this class, or a saved argument is not plain data or needs
                a class that is not among `classes`.
        """
        check_classes(classes)
        checkpoint = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        if cls.CHECKPOINT_HYPER_PARAMS_KEY not in checkpoint:
            raise ValueError(f"checkpoint_path must be a checkpoint of an agent, got {checkpoint_path}")
        name = checkpoint.get(_OF, {}).get("algorithm", cls.__name__)
        if name != cls.__name__:
            raise ValueError(
                f"checkpoint_path must be of {cls.__name__}, got one of {name}: {name}.load_from_checkpoint"
            )
        custom = partial(given_class, "checkpoint", checkpoint_path, classes=classes)
        agent = cls(**decoded_arguments(checkpoint[cls.CHECKPOINT_HYPER_PARAMS_KEY], changes, custom))
        agent.load_state_dict(checkpoint["state_dict"], strict=strict)
        return agent if map_location is None else agent.to(map_location)

    def check_plain(self) -> dict[str, Any]:
        """The arguments as plain data.

        Raises:
            ValueError: an argument cannot be converted.
        """
        described = self.described()
        for name, text in described.pop("not_plain").items():
            raise ValueError(f"{name} must be plain data to be saved, see mfmarl/values.py, got {text}")
        return described

    def check_saved(self) -> None:
        """Raise ValueError, before training, unless the agent can be saved."""
        self.check_plain()

    def save(self, directory: str | Path) -> None:
        """Write the trained agent to agent.safetensors in `directory`, created if needed; `load_agent` reads it.

        Raises:
            ValueError: a constructor argument cannot be stored as plain data.
        """
        described = self.check_plain()
        cls = type(self)
        name = text_name(cls) if self.is_custom else cls.__name__
        write_weights(
            created_folder(directory) / self.file, "agent", {"class": name, "arguments": described}, self.state_dict()
        )


@torch.inference_mode(False)
@torch.no_grad()
def measured(evaluation: Callable[[Any], dict[str, Tensor]], agent: Agent) -> dict[str, Tensor]:
    """The scores of an evaluation, without means over training since the last one if there was no training."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``compute`` method of metric", category=UserWarning)
        scores = evaluation(agent)
    return {name: values for name, values in scores.items() if not values.isnan().all()}


def _tells(value: object) -> bool:
    """Whether the text of a value identifies it, also in another process."""
    return is_dataclass(value) or isinstance(value, tuple)


def created_folder(directory: str | Path) -> Path:
    """Create the folder if needed, and return it."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    return Path(directory)


def checked_network(network: object, agent: Agent, method: str, kind: type[nn.Module] = nn.Module) -> Any:
    """Return the network that a method of an agent has created.

    Raises:
        ValueError: it is not of this kind.
    """
    if not isinstance(network, kind):
        name = type(agent).__name__
        raise ValueError(f"{method} of {name} must return a {kind.__name__}, got {type(network).__name__}")
    return network


def checked_values(values: Any, shape: list[int]) -> Tensor:
    """Return the outputs of a network if they have the right shape.

    Raises:
        ValueError: they have another shape.
    """
    if not isinstance(values, Tensor) or list(values.shape) != shape:
        got = str(list(values.shape)) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"network must give {shape}, a number an action, got {got}")
    return values
