"""What all algorithms share: the base class, and how it is saved and loaded."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from mfmarl.algorithms.fitting import Fitting, check_one_rank, count_steps
from mfmarl.custom import check_classes, check_types, given_class, is_ours, text_name
from mfmarl.data.rounds import RoundsDataModule
from mfmarl.environments import Game
from mfmarl.seeds import seed_numbers
from mfmarl.values import decode, encode, write_weights

_OF = "mfmarl"  # a checkpoint's key, of what says with whom it goes
# What one family calls by the one name and another by the other.
_SIBLINGS = {"loss": "losses", "losses": "loss", "make_network": "make_critic", "make_critic": "make_network"}


class Agent(pl.LightningModule):
    """What trains as one job: S seeds of a game, under manual optimization, each training batch a round of play.

    Any Trainer trains it on its data module, up to the data module's evaluations: an epoch ends with one.
    `global_step` counts gradient steps, one a minibatch however many optimizers there are. `max_steps` is looked at
    between rounds: training ends with the round that reaches it. The epoch that it cuts short counts as one, as always
    in Lightning; to go on with its other rounds, bit for bit, save between rounds, as
    `ModelCheckpoint(every_n_train_steps=n)` does after the first round at or past each multiple of n gradient steps.

    `trainer.validate` evaluates the agent as it stands, and returns the means over seeds beside the steps played. A
    score that is a mean over training since the last evaluation stays what it was where there was none since.
    `limit_train_batches` leaves rounds out of each epoch, with a warning.

    Args:
        environment: the game.
        seeds: the seeds whose runs are stacked in this module.
    """

    kind: ClassVar[str]  #: of the games that it plays, a key of `mfmarl.algorithms.ALGORITHMS`.
    unit: ClassVar[str] = "agent-steps"  #: what a step of one of its agents is called.
    called: ClassVar[str]  #: in rows and by `train`; a class that does not say so itself goes by its name.
    data_module: ClassVar[type[RoundsDataModule]]  #: plays its game; built like the agent, from game and seeds.
    shared_with_data: ClassVar[tuple[str, ...]] = ("environment", "seeds")  #: attributes that must be the same there.
    file: ClassVar[str] = "agent.safetensors"  #: that `save` writes.
    always_saved: ClassVar[bool] = False  #: in its job's folder, asked for or not.
    scores: dict[str, Tensor]  #: `[seeds]` (or `[conditions, seeds]`) float64 a score, after each evaluation.
    arguments: dict[str, Any]  #: of the constructor, by name, as they were given.
    made_at: Tensor  #: the state of torch's global generator before it was made.

    def __new__(cls, *arguments: Any, **named: Any) -> Any:
        """Note the arguments, from which a checkpoint makes the agent again, and where torch's global generator is."""
        agent = super().__new__(cls)
        given = by_name(cls, arguments, named)
        check_types(cls, {name: value for name, value in given.items() if name != "seeds"})
        object.__setattr__(agent, "arguments", given)
        object.__setattr__(agent, "made_at", torch.default_generator.get_state())
        return agent

    def __init__(self, environment: Game, seeds: Sequence[int]) -> None:
        super().__init__()
        check_overrides(type(self))
        self.automatic_optimization = False
        self.environment = environment
        self.seeds = seed_numbers(seeds)
        self.scores = {}

    @classmethod
    def files_of(cls, seeds: Sequence[int]) -> tuple[str, ...]:
        """What `save` writes of an agent of these seeds, below its folder."""
        return (cls.file,)

    def configure_callbacks(self) -> list[pl.Callback]:
        """What makes any Trainer count gradient steps, step schedulers, and refuse what does not go together.

        Raises:
            ValueError: several processes are to train this agent. Lightning has started them by now: it asks neither
                agent nor data module earlier. They have not met yet.
        """
        if self._trainer is not None:
            check_one_rank(self.trainer)
        return [Fitting()]

    def validation_step(self, evaluation: Callable[[Any], dict[str, Tensor]], batch_idx: int) -> None:
        """Score the policy as it stands, and log the means over seeds, at the steps played.

        Raises:
            ValueError: `Trainer.validate` before any play, of a game whose scores are means over training.
        """
        if self._trainer is None:  # a loop without Lightning
            self.scores = evaluation(self)
            return
        if self.trainer.sanity_checking:  # nothing has been played yet, and an evaluation has draws of its own
            return
        if self.trainer.state.fn == TrainerFn.VALIDATING:
            self.scores |= measured(evaluation, self)
            if not self.scores:
                raise ValueError("datamodule: got one that has played nothing, but its scores are means over training")
            # Lightning returns what it logs, at the `step` that is among it.
            means = {name: values.mean() for name, values in self.scores.items()}
            self.log_dict({**means, "step": float(self.steps_played)}, batch_size=1)
            return
        self.scores = evaluation(self)
        means = {name: values.mean() for name, values in self.scores.items()}
        # To callbacks through Lightning; to loggers by hand, for Lightning would call the number of the round the step.
        self.log_dict(means, batch_size=1, logger=False)
        for logger in self.loggers:
            logger.log_metrics({name: float(mean) for name, mean in means.items()}, self.steps_played)

    @property
    def steps_played(self) -> int:
        """By the data module so far."""
        played: int = self.trainer.datamodule.steps_played  # type: ignore[attr-defined]
        return played

    def raw_optimizers(self) -> list[Optimizer]:
        """Those of `configure_optimizers`, without Lightning's wrapper: it costs a third of a small gradient step."""
        optimizers = self.optimizers(use_pl_optimizer=False)
        return cast(list[Optimizer], optimizers if isinstance(optimizers, list) else [optimizers])

    @property
    def is_custom(self) -> bool:
        """Whether its class is not of this package."""
        return not is_ours(type(self))

    def count_steps(self, steps: int) -> None:
        """Count towards `global_step` what was learned without an optimizer."""
        if self._trainer is not None:
            count_steps(self.trainer, steps)

    def described(self) -> dict[str, Any]:
        """The arguments as plain data; one that is not plain is None, and its text is under `not_plain`."""
        plain: dict[str, Any] = {"not_plain": {}}
        for name, value in {**self.arguments, "environment": self.environment, "seeds": self.seeds}.items():
            try:
                plain[name] = encode(value)
            except ValueError:
                plain[name] = None
                plain["not_plain"][name] = repr(value)
        return plain

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the arguments as plain data: a checkpoint loads without unpickling; and of what it is."""
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY] = self.described()
        checkpoint[_OF] = self.goes_with()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on from another's checkpoint.

        Raises:
            ValueError: one of another class, game, seeds, temperatures or neighbourhood.
        """
        saved = checkpoint.get(_OF, {})
        for name, own in self.goes_with().items():
            if saved.get(name, own) != own:
                raise ValueError(f"ckpt_path must be of the same {name}, got one of {saved[name]} for {own}")

    def goes_with(self) -> dict[str, str]:
        """What whoever goes on from its checkpoint must have as it has, as text."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        shared = {name: getattr(self, name) for name in self.shared_with_data}
        if hasattr(data, "neighbourhood"):
            shared["neighbourhood"] = data.neighbourhood
        plain = {name: repr(each) if _tells(each) else type(each).__name__ for name, each in shared.items()}
        return {"algorithm": type(self).__name__, **plain}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: Any, map_location: Any = None, *, classes: Sequence[type] = (), **changes: Any
    ) -> Any:
        """The agent of a checkpoint. Nothing is unpickled, and no code is run that a checkpoint names.

        Args:
            checkpoint_path: as Lightning saved it.
            map_location: the device; None: where it was, or the CPU.
            classes: custom ones of its arguments, of which the checkpoint holds the name alone.
            **changes: arguments of the constructor in place of those it was built by.

        Raises:
            ValueError: the checkpoint is of no agent or of another class, or an argument that built it is no plain data
                or needs a class that is not among `classes`.
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
        agent = cls(**arguments_of(checkpoint[cls.CHECKPOINT_HYPER_PARAMS_KEY], changes, custom))
        agent.load_state_dict(checkpoint["state_dict"])
        return agent if map_location is None else agent.to(map_location)

    def check_plain(self) -> dict[str, Any]:
        """The arguments as plain data.

        Raises:
            ValueError: one is none.
        """
        described = self.described()
        for name, text in described.pop("not_plain").items():
            raise ValueError(f"{name} must be plain data to be saved, see mfmarl/values.py, got {text}")
        return described

    def check_saved(self) -> None:
        """Raise ValueError unless the agent could be saved, before it is trained."""
        self.check_plain()

    def save(self, directory: str | Path) -> None:
        """Write the trained agent, as agent.safetensors in a folder that is made; `load_agent` reads it.

        Raises:
            ValueError: it was built by an argument that is no plain data.
        """
        described = self.check_plain()
        cls = type(self)
        name = text_name(cls) if self.is_custom else cls.__name__
        write_weights(made(directory) / self.file, "agent", {"class": name, "arguments": described}, self.state_dict())


@torch.inference_mode(False)
@torch.no_grad()
def measured(evaluation: Callable[[Any], dict[str, Tensor]], agent: Agent) -> dict[str, Tensor]:
    """The scores of an evaluation, but for means over training since the last one where there was none."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The ``compute`` method of metric", category=UserWarning)
        scores = evaluation(agent)
    return {name: values for name, values in scores.items() if not values.isnan().all()}


def check_overrides(cls: type) -> None:
    """Raise ValueError if a custom class defines what its family calls by another name, and so would never call."""
    own = {name for base in takewhile(lambda base: not is_ours(base), cls.__mro__) for name in vars(base)}
    ours = next(base for base in cls.__mro__ if is_ours(base))
    for name, called in _SIBLINGS.items():
        if name in own and called not in own and hasattr(ours, called) and not hasattr(ours, name):
            raise ValueError(f"{cls.__name__}: {name} is never called, {ours.__name__} calls {called}")


def _tells(value: object) -> bool:
    """Whether the text of a value tells it from others, in another process too."""
    return is_dataclass(value) or isinstance(value, tuple)


def made(directory: str | Path) -> Path:
    """The folder, which is made if need be."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    return Path(directory)


def by_name(cls: type, arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """A constructor's arguments by name; none if they do not fit it, which it will say itself."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    try:
        bound = signature.bind(None, *arguments, **named).arguments
    except TypeError:
        return {}
    found: dict[str, Any] = {}
    for number, (name, value) in enumerate(bound.items()):
        kind = signature.parameters[name].kind
        if kind == inspect.Parameter.VAR_POSITIONAL:
            found |= dict(zip(("environment", "seeds")[number - 1 :], value, strict=False))
        elif kind == inspect.Parameter.VAR_KEYWORD:
            found |= value
        elif number:  # 0 is self
            found[name] = value
    return found


def arguments_of(
    described: Mapping[str, Any], changes: Mapping[str, Any], custom: Callable[[str], type]
) -> dict[str, Any]:
    """The arguments that `Agent.described` told, with the changes; `custom` gives custom classes by name.

    Raises:
        ValueError: one was no plain data, and is not among the changes; or `custom` raises it.
    """
    plain = dict(described)
    for name, text in plain.pop("not_plain", {}).items():
        if name not in changes:
            raise ValueError(f"{name} must be given to load this checkpoint: it holds plain data alone, not {text}")
    return {**{name: decode(value, custom) for name, value in plain.items() if name not in changes}, **changes}


def checked_values(values: Any, shape: list[int]) -> Tensor:
    """What a network gave, if it has this shape.

    Raises:
        ValueError: it has not.
    """
    if not isinstance(values, Tensor) or list(values.shape) != shape:
        got = str(list(values.shape)) if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"network must give {shape}, a number an action, got {got}")
    return values


def check_rate(name: str, value: float) -> None:
    """Raise ValueError unless the rate of a soft update is in (0, 1]."""
    if not 0 < value <= 1:
        raise ValueError(f"{name} must be in (0, 1], got {value}")


def check_discount(discount: float) -> None:
    """Raise ValueError unless gamma is in [0, 1)."""
    if not 0 <= discount < 1:
        raise ValueError(f"discount must be in [0, 1), got {discount}")
