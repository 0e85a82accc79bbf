"""A device beside the CPU that computes on the CPU, and refuses what mixes the two as a GPU would.

Its tensors hold an ordinary tensor and say that they are elsewhere. So what runs here has the values of the CPU, and
what forgets to bring a tensor to the device of the others fails as it would on a GPU. It cannot be taken back:
importing this module changes torch for the rest of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

_NAME = "away"
_ATEN = torch.ops.aten
_CROSSING = (_ATEN._to_copy.default, _ATEN.copy_.default)
_INDEXING = (_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default, _ATEN._index_put_impl_.default)


class _Module(_DummyBackendModule):  # type: ignore[misc]
    """What torch asks about the device."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_setup_privateuseone_for_python_backend(_NAME, backend_module=_Module())
DEVICE = torch.device(_NAME, 0)


class AwayTensor(torch.Tensor):
    """A tensor of the device around `held`, its values on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> AwayTensor:
        tensor: AwayTensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=DEVICE,
        )
        tensor.held = held
        return tensor

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return _run(func, args, kwargs or {})

    def __repr__(self, **options: Any) -> str:
        return f"AwayTensor({self.held})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as an ordinary tensor, which is what loading to the CPU makes of one on a GPU."""
        held = torch.nn.Parameter(self.held) if isinstance(self, torch.nn.Parameter) else self.held
        return held.__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    def tolist(self) -> Any:
        """As on a GPU; wrappers have none of their own."""
        return self.held.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """Refused, as on a GPU."""
        raise TypeError("a tensor elsewhere cannot become an array; copy it to the CPU first")


class _Mode(TorchDispatchMode):
    """Lets new tensors, and those of the CPU, get to the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(issubclass(kind, AwayTensor) for kind in types) or _is_away(kwargs.get("device")):
            return _run(func, args, kwargs)
        return func(*args, **kwargs)


@contextmanager
def second_device() -> Iterator[torch.device]:
    """The device, as long as the context lasts."""
    modules = torch.__future__.get_overwrite_module_params_on_conversion()
    lift = torch._C._only_lift_cpu_tensors()  # type: ignore[attr-defined]
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # else a wrapper would keep what it held
    torch._C._set_only_lift_cpu_tensors(True)  # type: ignore[attr-defined]
    try:
        # Wrappers know no inference mode.
        with _Mode(), patch.object(torch, "inference_mode", torch.no_grad):
            yield DEVICE
    finally:
        torch._C._set_only_lift_cpu_tensors(lift)  # type: ignore[attr-defined]
        torch.__future__.set_overwrite_module_params_on_conversion(modules)


def _is_away(device: Any) -> bool:
    return device is not None and torch.device(device).type == _NAME


def _run(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Does `func` on the CPU; what comes out is where a GPU would have left it."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    away = [tensor for tensor in tensors if isinstance(tensor, AwayTensor)]
    _check(func, args, tensors)
    inner_args, inner_kwargs = tree_map(_to_cpu, (args, dict(kwargs)))
    result = func(*inner_args, **inner_kwargs)
    if func is _ATEN.copy_.default:
        return args[0]
    stays = _is_away(kwargs["device"]) if kwargs.get("device") is not None else bool(away)
    return tree_map(_wrapper({id(tensor.held): tensor for tensor in away}), result) if stays else result


def _check(func: Any, args: tuple[Any, ...], tensors: list[torch.Tensor]) -> None:
    """Single numbers may come from the CPU, as may indices and what is copied; nothing else."""
    if func in _CROSSING or (func in _INDEXING and isinstance(args[0], AwayTensor)):
        return
    here = [tensor for tensor in tensors if not isinstance(tensor, AwayTensor) and tensor.dim() > 0]
    if here and len(here) < len(tensors):
        places = [f"{'away' if isinstance(t, AwayTensor) else 'cpu'} {tuple(t.shape)}" for t in tensors]
        raise RuntimeError(f"{func}: all tensors must be on the same device, not {', '.join(places)}")


def _to_cpu(value: Any) -> Any:
    if isinstance(value, AwayTensor):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == _NAME else value


def _wrapper(known: dict[int, AwayTensor]) -> Callable[[Any], Any]:
    """Makes tensors away; what an operation in place has returned stays the tensor it was."""

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else AwayTensor(value)

    return wrap
