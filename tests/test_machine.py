"""The choice of device and number format."""

import platform
import subprocess
import sys

import pytest
import torch

from lmtutor.system import machine
from lmtutor.system.errors import LMTutorError
from lmtutor.training.config import TrainConfig


@pytest.fixture
def processor(monkeypatch):
    """Pretend to have a processor with certain features."""

    def pretend(*features):
        machine.has_bfloat16.cache_clear()
        monkeypatch.setattr(machine, "_processor_features", lambda: set(features))

    yield pretend
    machine.has_bfloat16.cache_clear()


def test_auto_follows_the_processor(processor):
    processor("avx2", "avx512_f")
    assert machine.product_dtype("auto", "cpu") == torch.float32
    assert machine.product_dtype("bfloat16", "cpu") == torch.bfloat16
    assert machine.describe_device("cpu").endswith("products in float32 (no bfloat16 in hardware)")
    processor("avx512_bf16")
    assert machine.product_dtype("auto", "cpu") == torch.bfloat16
    assert machine.product_dtype("float32", "cpu") == torch.float32
    assert machine.describe_device("cpu").endswith("products in bfloat16 (in hardware)")
    processor("amx_bf16")
    assert machine.product_dtype("auto", torch.device("cpu")) == torch.bfloat16


def test_features_are_those_of_the_processor():
    try:
        with open("/proc/cpuinfo") as file:
            flags = file.read().split()
    except OSError:
        return
    assert ("avx512_bf16" in machine._processor_features()) == ("avx512_bf16" in flags)


def test_precision_and_device_are_checked():
    with pytest.raises(LMTutorError, match="Unknown precision 'float31'. Did you mean 'float32'"):
        TrainConfig(precision="float31")
    for name in ("gpu", "cuda:97", "mars", "mps", "meta", "cpu:-1", ""):
        with pytest.raises(LMTutorError, match=f"got '{name}'"):
            machine.choose_device(name)
    assert machine.choose_device("cpu") == torch.device("cpu")
    assert machine.choose_device("auto").type in ("cpu", "cuda")


def test_freed_memory_is_kept_where_glibc_is():
    """In a fresh process: after the call, a large tensor made again and again costs no page faults."""
    program = (
        "import resource, torch\n"
        "from lmtutor.system.machine import keep_freed_memory\n"
        "kept = keep_freed_memory()\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def work(n):\n"
        "    before = faults()\n"
        "    for _ in range(n): torch.zeros(6_000_000)\n"
        "    return faults() - before\n"
        "work(3)\n"
        "print(kept, work(10))\n"
    )
    kept, faults = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.split()
    assert kept == str(platform.libc_ver()[0] == "glibc")
    assert kept == "False" or int(faults) < 1000
