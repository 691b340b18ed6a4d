"""What classes of algorithms take as arguments, and the mistakes in custom classes that can be told before training."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from mfmarl.custom import is_ours
from mfmarl.values import decode

# Methods with the same purpose but another name in another family.
_SIBLINGS = {"loss": "losses", "losses": "loss", "make_network": "make_critic", "make_critic": "make_network"}
# Lightning's hooks around a gradient step, which our `training_step` does not call.
_UNCALLED = {
    "backward",
    "configure_gradient_clipping",
    "on_after_backward",
    "on_before_backward",
    "on_before_optimizer_step",
    "on_before_zero_grad",
    "optimizer_step",
    "optimizer_zero_grad",
}


def constructor_keywords(cls: type) -> dict[str, bool]:
    """Keyword arguments of a constructor, including those of base classes to which it passes its `**` arguments.

    Args:
        cls: class whose constructor takes a game and seeds first.

    Returns:
        For each name, whether the argument is required. Names in the class's `refuses` are left out.
    """
    named: dict[str, bool] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = inspect.signature(vars(base)["__init__"]).parameters.values()
        place = 0
        for one in parameters:
            place += one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
            if one.kind is one.KEYWORD_ONLY or (one.kind is one.POSITIONAL_OR_KEYWORD and place > 2):
                named.setdefault(one.name, one.default is one.empty)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return {name: needed for name, needed in named.items() if name not in getattr(cls, "refuses", ())}


def keywords_of(cls: type[Any]) -> tuple[dict[str, bool], dict[str, bool]]:
    """The `constructor_keywords` of an algorithm and those of its data module."""
    return constructor_keywords(cls), constructor_keywords(cls.data_module)


def check_taken(cls: type[Any], names: Iterable[str], prefix: str = "") -> None:
    """Raise ValueError unless an algorithm or its data module takes arguments of these names.

    `steps` and `evaluations` are not among them, since all callers set these by other means.

    Args:
        cls: the algorithm.
        names: names of arguments.
        prefix: what precedes the name in the error message, such as "method.".
    """
    agent, data = keywords_of(cls)
    allowed = sorted({*agent, *data} - {"steps", "evaluations"})
    for name in names:
        if name not in allowed:
            raise ValueError(
                f"{prefix}{name}: {cls.__name__} and its data module take no such argument, allowed are "
                f"{', '.join(allowed)}"
            )


def divided(cls: type[Any], values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Divide arguments into those of the algorithm and those of its data module; an argument of both is in both.

    Raises:
        ValueError: neither takes an argument, or a required one is missing.
    """
    agent, data = keywords_of(cls)
    known = {**agent, **data}
    check_taken(cls, [name for name in values if name not in known])
    lacking = [name for name in known if name not in values and (agent.get(name) or data.get(name))]
    if lacking:
        raise ValueError(f"{lacking[0]}: {cls.__name__} needs this argument")
    return tuple({name: values[name] for name in values if name in own} for own in (agent, data))  # type: ignore[return-value]


def check_keywords(cls: type[Any], agent: Mapping[str, Any], data: Mapping[str, Any]) -> None:
    """Raise ValueError unless an algorithm takes the keyword arguments `agent`, and its data module takes `data`."""
    taken = divided(cls, {**agent, **data})
    for given, own, of in zip((agent, data), taken, (cls, cls.data_module), strict=True):
        for name in given:
            if name not in own:
                raise ValueError(f"{name}: {of.__name__} takes no such argument")


def check_constructor(cls: type) -> None:
    """Raise ValueError unless a constructor takes `environment` and `seeds` first.

    `train` gives them in this order, and a saved agent is created again by their names.
    """
    _, *parameters = inspect.signature(cls.__init__).parameters.values()  # type: ignore[misc]
    for parameter, name in zip(parameters, ("environment", "seeds"), strict=False):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return
        if parameter.name != name or parameter.kind is parameter.POSITIONAL_ONLY:
            raise ValueError(
                f"{cls.__name__}: the constructor must take environment and seeds first, got {parameter.name}"
            )


def check_overrides(cls: type) -> None:
    """Raise ValueError if a custom class defines a method that is never called: it has another name, or none."""
    own = {name for base in takewhile(lambda base: not is_ours(base), cls.__mro__) for name in vars(base)}
    ours = next(base for base in cls.__mro__ if is_ours(base))
    for name, called in _SIBLINGS.items():
        if name in own and called not in own and hasattr(ours, called) and not hasattr(ours, name):
            raise ValueError(f"{cls.__name__}: {name} is never called, {ours.__name__} calls {called}")
    for name in sorted(own & _UNCALLED if "training_step" not in own else ()):
        raise ValueError(
            f"{cls.__name__}: {name} is never called, gradient steps are made without it: "
            "define losses, or an optimizer in configure_optimizers"
        )


def by_name(cls: type, arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """A constructor's arguments by name; empty if they do not fit, in which case the constructor itself raises."""
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


def decoded_arguments(
    described: Mapping[str, Any], changes: Mapping[str, Any], custom: Callable[[str], type]
) -> dict[str, Any]:
    """Restore the arguments saved by `Agent.described`.

    Args:
        described: the saved arguments.
        changes: arguments that replace saved ones.
        custom: returns the custom class of a name.

    Raises:
        ValueError: an argument was not plain data and is not among `changes`, or `custom` raises ValueError.
    """
    plain = dict(described)
    for name, text in plain.pop("not_plain", {}).items():
        if name not in changes:
            raise ValueError(f"{name} must be given to load this checkpoint: it holds plain data alone, not {text}")
    return {**{name: decode(value, custom) for name, value in plain.items() if name not in changes}, **changes}
