"""What this machine does well: the device, the number format of the large products, and the way to take them."""

import ctypes
import functools
import os
import platform
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from lmtutor.system.errors import LMTutorError, nearest

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@functools.cache
def has_bfloat16(device_type: str = "cpu") -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware.

    Asked of the processor's feature list rather than timed: a probe by the clock could fall out differently from one
    run to the next, and two runs with one seed have to agree. Without the hardware, bfloat16 is far slower than
    float32.
    """
    if device_type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return bool({"avx512_bf16", "amx_bf16"} & _processor_features())


def _processor_features() -> set[str]:
    """Names of the processor's extensions that matter here, empty where they cannot be read."""
    try:
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    except (AttributeError, RuntimeError):  # torch before 2.10
        pass
    found = {"avx512_bf16"} if getattr(torch.cpu, "_is_avx512_bf16_supported", bool)() else set()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return found | set(next((line for line in file if line.startswith("flags")), "").split())
    except OSError:
        return found


def memory() -> int:
    """Bytes of memory that this process may take: the machine's, or fewer where a limit is set."""
    try:
        import resource

        room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    except (ImportError, AttributeError, ValueError, OSError):  # not a Unix: it will say so when it is full
        return 1 << 62
    return room if limit == resource.RLIM_INFINITY else min(room, limit)


def product_dtype(precision: str, device: torch.device | str) -> torch.dtype:
    """The number format of the large products on a device.

    Parameters
    ----------
    precision : "float32", "bfloat16", or "auto": bfloat16 where the device multiplies it in hardware.

    Raises
    ------
    LMTutorError : unknown precision.
    """
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(torch.device(device).type) else "float32"
    if precision not in PRECISIONS:
        raise LMTutorError(f"Unknown precision {precision!r}.{nearest(precision, ['auto', *PRECISIONS])}")
    return PRECISIONS[precision]


def choose_device(name: str = "auto") -> torch.device:
    """The device to train on: "auto" is CUDA where there is one, else the CPU.

    Raises
    ------
    LMTutorError : not a device, or not one that this machine has.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not on `meta`, which has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise LMTutorError(f"device={name!r}: torch cannot use it on this machine; say auto, cpu or cuda.") from error
    return device


def describe(device: torch.device | str, precision: str = "auto") -> str:
    """One line to say aloud what a run will use."""
    device = torch.device(device)
    kind = str(product_dtype(precision, device)).removeprefix("torch.")
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        threads = torch.get_num_threads()
        where = f"{device.type} with {threads} thread{'s' if threads > 1 else ''}"
    why = ""
    if precision == "auto":
        why = " (in hardware)" if kind == "bfloat16" else " (no bfloat16 in hardware)"
    return f"{where}; the softmax's products in {kind}{why}"


def side_by_side(tasks: Iterable[Callable[[], Tensor]]) -> Iterator[Tensor]:
    """Run independent pieces of work on the CPU, each on one processor; yield the results in order.

    torch splits every operation over all processors and waits for the slowest each time. Where there are many pieces
    of work, one processor for each needs no such waiting, and the next piece can be prepared meanwhile: `tasks` is
    read by the calling thread, a few pieces ahead. Inside, that thread too works on one processor.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        yield from (task() for task in tasks)
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting = deque()
            for task in tasks:
                waiting.append(pool.submit(task))
                if len(waiting) > threads + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)


@functools.cache
def keep_freed_memory() -> bool:
    """Ask the C library to keep large pieces of freed memory for the next use; True where it agreed.

    Training frees and asks for the same tens of megabytes at every step. glibc hands such pieces back to the system,
    which clears every page of them before it lends them again: a fifth of the time of a step. This setting holds for
    the whole process, which keeps its peak of memory until it ends. Elsewhere than on Linux with glibc it does nothing.
    """
    mmap_threshold, trim_threshold = -3, -1  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of malloc.h
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # Older versions take at most 32 MiB for the first.
    kept = mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)
    return bool(mallopt(trim_threshold, (1 << 31) - 1) and kept)


@functools.cache
def _onednn_linear():
    """oneDNN's float32 product a @ b.T, or None where it is not to be had or not right.

    torch sends float32 products to MKL, which runs at half of oneDNN's speed or less on processors not made by Intel.
    The operator is not part of torch's public interface, so it is tried on a small case before it is trusted.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or not torch.backends.mkldnn.is_available():
        return None
    try:
        linear = torch.ops.mkldnn._linear_pointwise
        a, b = torch.arange(12.0).view(3, 4), torch.arange(20.0).view(4, 5).t()
        right = torch.equal(linear(a, b, None, "none", [], ""), a @ b.t())
    except (AttributeError, RuntimeError, TypeError):
        return None
    return linear if right else None


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """The matrix product (N, K) @ (K, M), plus a bias (M,), by the fastest exact road for its type and device.

    Not differentiable.
    """
    if a.dtype == torch.float32 and a.device.type == "cpu" and a.numel() * b.shape[1] > 1 << 20:
        linear = _onednn_linear()
        if linear is not None:
            return linear(a, b.t(), bias, "none", [], "")
    return a @ b if bias is None else torch.addmm(bias, a, b)
