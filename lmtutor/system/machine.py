"""What this machine does well: the device, the number format of the large products, and memory that is kept."""

import ctypes
import functools
import platform
from pathlib import Path

import torch

from lmtutor.system.errors import LMTutorError

PRECISIONS = ("auto", "float32", "bfloat16")


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
    if hasattr(torch.cpu, "get_capabilities"):  # torch 2.10
        return {name for name, there in torch.cpu.get_capabilities().items() if there is True}
    try:
        return set(Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").split())
    except OSError:  # not Linux
        return set()


def product_dtype(precision: str, device: torch.device | str) -> torch.dtype:
    """The number format of the large products on a device.

    Parameters
    ----------
    precision : "auto", "float32" or "bfloat16"; auto is bfloat16 where the device multiplies it in hardware.
    """
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16(torch.device(device).type) else "float32"
    return getattr(torch, precision)


def choose_device(name: str = "auto") -> torch.device:
    """The device to train on: "auto" is CUDA where there is one, else the CPU.

    Raises
    ------
    LMTutorError : not one that this machine has. Apple's `mps` is none: sums are taken in float64, which it lacks.
    """
    gpus = torch.cuda.device_count()
    names = ["auto", "cpu", *(["cuda"] if gpus else []), *(f"cuda:{number}" for number in range(gpus))]
    if name not in names:
        raise LMTutorError(f"device must be {' or '.join(names)} on this machine (got {name!r}).")
    return torch.device(name if name != "auto" else "cuda" if gpus else "cpu")


def describe_device(device: torch.device | str, precision: str = "auto") -> str:
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


def peak_memory() -> int:
    """The most memory that this process has held so far, bytes; where there is CUDA, of the device."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


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
    mallopt = ctypes.CDLL(None).mallopt
    # Older versions take at most 32 MiB for the first.
    kept = mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25)
    return bool(mallopt(trim_threshold, (1 << 31) - 1) and kept)
