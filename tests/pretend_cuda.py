"""A CUDA device that computes on the processor: what mixes devices fails as on a GPU, and the numbers are real.

A tensor "on cuda:0" is a shell around a tensor on the CPU. Every operation passes through `compute`: it refuses what a
GPU refuses (operands on two devices, a CPU generator for CUDA numbers), computes the rest on the CPU, and puts the
shell back on. Kernels, streams, sparse gradients and speed are not tried here.
"""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda:0")
CROSSING = {"copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_"}  # may take two devices
ONLY_THERE = {"aten.mm.dtype": lambda a, b, dtype: a.to(dtype) @ b.to(dtype)}  # operations that a processor lacks


class Shell(Tensor):
    """A tensor that says it is on CUDA, around the one on the CPU that has its numbers."""

    @staticmethod
    def __new__(cls, inner: Tensor):
        layout = dict(strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype)
        return Tensor._make_wrapper_subclass(cls, inner.shape, **layout)

    def __init__(self, inner: Tensor):
        self.inner = inner

    def __repr__(self, **options) -> str:
        return f"on cuda:0, {self.inner!r}"

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def to(self, *arguments, **named):
        """To the CPU if it is among what was asked for; torch itself believes the shell to be there already."""
        asked = [*arguments, *named.values()]
        devices = [torch.device(a) for a in asked if isinstance(a, (str, torch.device))]
        devices += [a.device for a in asked if isinstance(a, Tensor)]
        types = [a for a in asked if isinstance(a, torch.dtype)] + [a.dtype for a in asked if isinstance(a, Tensor)]
        result = super().to(types[0]) if types else self
        return result.cpu() if devices and devices[0].type == "cpu" else result

    def cpu(self):
        return ToHost.apply(self)

    def tolist(self):
        return self.cpu().tolist()

    def numpy(self, **options):
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy it to host memory")

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(cls, function, types, arguments=(), named=None):
        return compute(function, arguments, named or {})


class ToHost(torch.autograd.Function):
    """A copy on the CPU."""

    @staticmethod
    def forward(ctx, shell):
        return shell.inner.clone()

    @staticmethod
    def backward(ctx, gradient):
        return Shell(gradient)


class PretendCuda(TorchDispatchMode):
    """Send every operation through `compute`, those that make a tensor from nothing too."""

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        return compute(function, arguments, named or {})


class FirstGpu(TorchFunctionMode):
    """Say "cuda:0" for "cuda": a torch for processors cannot look up which one is meant."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        def first(value):
            return CUDA if isinstance(value, (str, torch.device)) and str(value) == "cuda" else value

        named = {name: first(value) for name, value in (named or {}).items()}
        if function in (torch.tensor, torch.as_tensor) and named.get("device") == CUDA:  # copies behind our back
            return Shell(function(*arguments, **named | {"device": "cpu"}))
        return function(*map(first, arguments), **named)


def every(change, value):
    """`value` with `change` applied to what is in it; the operations of torch nest no deeper than lists of tensors."""
    return type(value)(change(v) for v in value) if type(value) in (list, tuple) else change(value)


def tensors(values) -> Iterator[Tensor]:
    for value in values:
        yield from filter(torch.is_tensor, value if type(value) in (list, tuple) else (value,))


def compute(function, arguments, named):
    """One operation: refuse mixed devices, compute on the CPU, and return shells where a GPU would return CUDA."""
    where, given = named.get("device"), [*tensors(arguments), *tensors(named.values())]
    shells = {id(tensor.inner): tensor for tensor in given if isinstance(tensor, Shell)}
    if where is None and not shells:
        return function(*arguments, **named)
    name = function.overloadpacket.__name__
    if shells and name not in CROSSING and any(not isinstance(t, Shell) and t.dim() for t in given):
        raise RuntimeError(f"{name}: Expected all tensors to be on the same device, but found cuda:0 and cpu")
    to_cuda = bool(shells) or torch.device(where).type == "cuda"
    if to_cuda and isinstance(named.get("generator"), torch.Generator):
        raise RuntimeError(f"{name}: Expected a 'cuda' device type for generator but found 'cpu'")
    if name == "copy_":
        to_cuda = isinstance(arguments[0], Shell)

    def undress(value):
        return value.inner if isinstance(value, Shell) else value

    def dress(value):
        if not torch.is_tensor(value) or not to_cuda:
            return value
        known = shells.get(id(value))
        return Shell(value) if known is None else known

    bare = {key: every(undress, value) for key, value in named.items()}
    if where is not None:
        bare["device"] = torch.device("cpu")
    compute_here = ONLY_THERE.get(str(function), function)
    return every(dress, compute_here(*(every(undress, value) for value in arguments), **bare))


def swap(one: Tensor, other: Tensor) -> None:
    """What `torch.utils.swap_tensors` does, also where an old graph still holds one of them."""
    one.__class__, other.__class__ = other.__class__, one.__class__
    one.__dict__, other.__dict__ = other.__dict__, one.__dict__
    torch._C._swap_tensor_impl(one, other)


@contextlib.contextmanager
def pretend_cuda(patch) -> Iterator[None]:
    """Within, `cuda:0` is there; `patch` is pytest's monkeypatch."""
    answers = dict(
        _lazy_init=lambda: None, is_available=lambda: True, device_count=lambda: 1, current_device=lambda: 0,
        get_device_name=lambda device=None: "a pretended GPU", is_bf16_supported=lambda **options: True,
        get_rng_state=lambda device=None: torch.get_rng_state(), set_rng_state=lambda state, device=None: None,
        manual_seed_all=lambda seed: None,
    )  # fmt: skip
    for name, answer in answers.items():
        patch.setattr(torch.cuda, name, answer)
    patch.setattr(torch.utils, "swap_tensors", swap)
    patch.setattr(torch.backends.cudnn, "is_acceptable", lambda tensor: False)
    look_up = torch.embedding
    patch.setattr(torch, "embedding", lambda weight, ids, padding=-1, *flags: look_up(weight, ids, padding))
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)  # `.to()` keeps parameters the same objects
    try:
        torch._C._set_mkldnn_enabled(False)  # its layers are not a GPU's
        with FirstGpu(), PretendCuda():
            yield
    finally:
        torch._C._set_mkldnn_enabled(True)
        torch.__future__.set_swap_module_params_on_conversion(swaps)
