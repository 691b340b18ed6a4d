"""A stand-in for a GPU: tensors of a CPU's numbers that say they are on cuda:0, refuse what CUDA refuses, and count.

Inside `StandIn`, whatever is moved to "cuda" becomes an `OnGPU`. Its operations compute on the CPU, but

- raise where one operand is on the CPU and another is not, or where numpy or a CPU generator is asked for;
- what is downloaded without waiting is not there before the stream is waited for;
- are counted: kernels (operators that are no views), copies to and from the device, and how often the host waits.

The host waits at each copy, but for one from or into pinned memory that was asked not to; at `item`, `bool` and their
kin; where the size of a result is data, as in indexing by a mask; and where a stream is waited for.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

CUDA = torch.device("cuda", 0)
MOVES = ("copy_", "_to_copy", "_copy_from")
INDEXES = ("index", "index_put_", "index_put", "_index_put_impl_")
DATA_DEPENDENT = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "bincount", "_unique2")
NO_KERNELS = frozenset(
    [
        "view",
        "_unsafe_view",
        "expand",
        "permute",
        "transpose",
        "t",
        "select",
        "slice",
        "unsqueeze",
        "squeeze",
        "detach",
        "alias",
        "as_strided",
        "unbind",
        "split",
        "split_with_sizes",
        "_reshape_alias",
        "unflatten",
        "diagonal",
        "lift_fresh",
        "empty",
        "empty_strided",
        "empty_like",
        "new_empty",
        "resize_",
        "new_empty_strided",
        "is_same_size",
        "set_",
        "unfold",
        "_local_scalar_dense",
        "movedim",
    ]
)


class MismatchError(RuntimeError):
    """Operands on different devices."""


@dataclass
class Counts:
    """What was asked of the device since it was last at zero."""

    kernels: int = 0
    to_device: int = 0
    to_host: int = 0
    waits: int = 0


class OnGPU(Tensor):
    """A tensor that says it is on cuda:0; its numbers are `numbers`, on the CPU."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor, requires_grad: bool = False) -> "OnGPU":
        return torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            layout=numbers.layout,
            device=numbers.device,
            requires_grad=requires_grad,
        )

    def __init__(self, numbers: Tensor, requires_grad: bool = False) -> None:
        self.numbers = numbers

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """With the next method: what makes `Module.to` leave the identity of parameters alone, as on a GPU."""
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> "OnGPU":
        return OnGPU(inner["numbers"])

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return CUDA

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return True

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnGPU":
        copied = _as(self, OnGPU(self.numbers.clone(), self.requires_grad))
        memo[id(self)] = copied
        return copied

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def tolist(self) -> Any:
        StandIn.current().download(waits=True)
        return self.numbers.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        kwargs, name, here = dict(kwargs or {}), func.overloadpacket.__name__, StandIn.current()
        operands = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        on_cpu = [each for each in operands if not isinstance(each, OnGPU) and each.dim()]
        if name in MOVES:
            if name == "copy_" and here.moved(args[0], args[1], kwargs.get("non_blocking", (*args, False)[2])):
                return args[0]
        elif on_cpu:
            # Of an index on the CPU CUDA makes a copy; it refuses all else.
            if name not in INDEXES or any(each is args[0] or each is (*args, None, None)[2] for each in on_cpu):
                raise MismatchError(f"{func}: operands {[list(each.shape) for each in on_cpu]} are on the CPU")
            for _ in on_cpu:
                here.upload(waits=True)
        if name in INDEXES:
            here.counts.waits += any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in args[1])
        here.counts.waits += name in DATA_DEPENDENT
        here.counts.kernels += name not in NO_KERNELS
        if _is_cuda(kwargs.get("device")):
            kwargs["device"] = torch.device("cpu")
        found = func(*tree_map(_numbers, tuple(args)), **tree_map(_numbers, kwargs))
        return return_and_correct_aliasing(func, args, kwargs, tree_map(_on_gpu, found))  # type: ignore[no-untyped-call]


class _Factory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Makes new tensors on "cuda", also from within autograd, where the other mode sees nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Iterable[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if not _is_cuda(kwargs.get("device")) or any(isinstance(each, OnGPU) for each in args):
            return func(*args, **kwargs)
        if kwargs.get("generator") is not None:
            raise MismatchError(f"{func}: the generator is on the CPU")
        StandIn.current().counts.kernels += func.overloadpacket.__name__ not in NO_KERNELS
        return OnGPU(func(*args, **{**kwargs, "device": torch.device("cpu")}))


class StandIn(TorchFunctionMode):
    """While it is entered, "cuda" is there: `counts` says what was asked of it."""

    _entered: "list[StandIn]" = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counts()
        self._pinned: set[int] = set()  # where pinned memory begins
        self._downloads: list[tuple[Tensor, Tensor]] = []  # into pinned memory, not waited for yet
        self._patches = ExitStack()

    @classmethod
    def current(cls) -> "StandIn":
        """The one that is entered."""
        return cls._entered[-1]

    def __enter__(self) -> "StandIn":
        self._entered.append(self)
        doubles = {
            "_lazy_init": lambda: None,
            "current_stream": lambda *_: self,
            "synchronize": lambda *_: self.synchronize(),
        }
        for name, value in doubles.items():
            self._patches.enter_context(patch.object(torch.cuda, name, value))
        self._patches.enter_context(_Factory())  # type: ignore[no-untyped-call]
        return super().__enter__()  # type: ignore[no-any-return,no-untyped-call]

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._patches.close()
        self._entered.pop()

    def synchronize(self) -> None:
        """As of a stream: wait until all that was asked for is done."""
        self.counts.waits += 1
        for target, source in self._downloads:
            target.copy_(source)
        self._downloads.clear()

    def upload(self, waits: bool) -> None:
        """Count a copy to the device."""
        self.counts.to_device += 1
        self.counts.waits += waits

    def download(self, waits: bool) -> None:
        """Count a copy to the host."""
        self.counts.to_host += 1
        self.counts.waits += waits

    def is_pinned(self, tensor: Tensor) -> bool:
        """Whether it lies in pinned memory."""
        return tensor.untyped_storage().data_ptr() in self._pinned

    def moved(self, target: Tensor, source: Tensor, asked_not_to_wait: bool) -> bool:
        """Count `target.copy_(source)` if it is a move, and do it if it is a download."""
        if isinstance(target, OnGPU):
            if not isinstance(source, OnGPU) and source.dim():
                self.upload(waits=not (asked_not_to_wait and self.is_pinned(source)))
            return False
        assert isinstance(source, OnGPU)
        waits = not (asked_not_to_wait and self.is_pinned(target))
        self.download(waits)
        if waits:
            target.copy_(source.numbers)
        else:
            self._downloads.append((target, source.numbers.clone()))
        return True

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func is torch.Tensor.to:
            return self._to(func, *args, **kwargs)
        if func is torch.Tensor.cpu:
            return self._to_host(args[0], asked_not_to_wait=False)
        if func is torch.Tensor.cuda:
            return self._to_device(args[0], asked_not_to_wait=False)
        if func is torch.Tensor.pin_memory:
            return self._pin(args[0].clone())
        if func is torch.Tensor.is_pinned:
            return self.is_pinned(args[0])
        if kwargs.pop("pin_memory", False):
            return self._pin(func(*args, **kwargs))
        if name == "new_tensor" and isinstance(args[0], OnGPU):
            self.upload(waits=True)
            return OnGPU(func(args[0].numbers, *args[1:], **kwargs))
        return func(*args, **kwargs)

    def _to(self, func: Callable[..., Tensor], tensor: Tensor, *rest: Any, **named: Any) -> Tensor:
        device, dtype, other = named.get("device"), named.get("dtype"), named.get("other")
        for each in rest:
            if isinstance(each, torch.dtype):
                dtype = each
            elif isinstance(each, Tensor):
                other = each
            elif isinstance(each, torch.device | str):
                device = each
        if other is not None:
            device, dtype = other.device, other.dtype
        if dtype is not None and dtype != tensor.dtype:
            tensor = func(tensor, dtype)
        copied = tensor.clone() if named.get("copy") else tensor
        if device is None:
            return copied
        asked = named.get("non_blocking", False)
        if _is_cuda(device):
            return copied if isinstance(tensor, OnGPU) else self._to_device(tensor, asked)
        return self._to_host(tensor, asked) if isinstance(tensor, OnGPU) else func(copied, device)

    def _to_device(self, tensor: Tensor, asked_not_to_wait: bool) -> Tensor:
        if isinstance(tensor, OnGPU):
            return tensor
        self.upload(waits=not (asked_not_to_wait and self.is_pinned(tensor)))
        return _as(tensor, OnGPU(tensor.detach().clone(), tensor.requires_grad and tensor.is_leaf))

    def _to_host(self, tensor: Tensor, asked_not_to_wait: bool) -> Tensor:
        """Memory that torch takes itself is not pinned: it waits, asked not to or not."""
        if not isinstance(tensor, OnGPU):
            return tensor
        self.download(waits=True)
        return tensor.detach().numbers.clone()  # type: ignore[attr-defined,no-any-return]

    def _pin(self, tensor: Tensor) -> Tensor:
        self._pinned.add(tensor.untyped_storage().data_ptr())
        return tensor


def _is_cuda(device: Any) -> bool:
    return isinstance(device, torch.device | str) and torch.device(device).type == "cuda"


def _numbers(value: Any) -> Any:
    return value.numbers if isinstance(value, OnGPU) else value


def _on_gpu(value: Any) -> Any:
    return OnGPU(value) if isinstance(value, Tensor) and not isinstance(value, OnGPU) else value


def _as(original: Tensor, moved: OnGPU) -> OnGPU:
    """`moved`, a parameter if the original is one."""
    if isinstance(original, torch.nn.Parameter):
        moved._is_param = True
    return moved
