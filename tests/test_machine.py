"""The choice of device and number format."""

import platform
import subprocess
import sys
import time

import pytest
import torch

from lmtutor.system import machine
from lmtutor.system.errors import LMTutorError


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
    assert machine.describe("cpu").endswith("products in float32 (no bfloat16 in hardware)")
    processor("avx512_bf16")
    assert machine.product_dtype("auto", "cpu") == torch.bfloat16
    assert machine.product_dtype("float32", "cpu") == torch.float32
    assert machine.describe("cpu").endswith("products in bfloat16 (in hardware)")
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
        machine.product_dtype("float31", "cpu")
    for name in ("gpu", "cuda:97", "mars"):
        with pytest.raises(LMTutorError, match=f"device='{name}'"):
            machine.choose_device(name)
    assert machine.choose_device("cpu") == torch.device("cpu")
    assert machine.choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("shape", [(1, 1, 1), (700, 33, 5), (64, 200, 900), (0, 3, 4)])
def test_product_is_the_matrix_product(shape):
    n, k, m = shape
    torch.manual_seed(0)
    a, b = torch.randn(n, k), torch.randn(k, m)
    expected = (a.double() @ b.double()).float()
    for left in (a, a.t().contiguous().t()):
        for right in (b, b.t().contiguous().t(), torch.cat([b, b], dim=1)[:, :m]):
            assert torch.allclose(machine.product(left, right), expected, rtol=1e-5, atol=1e-4)
            bias = torch.randn(m)
            assert torch.allclose(machine.product(left, right, bias), expected + bias, rtol=1e-5, atol=1e-4)


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


@pytest.mark.parametrize("threads", [1, 3])
def test_side_by_side_keeps_the_order_and_the_thread_count(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        made = []

        def tasks(broken=None):
            for i in range(20):
                made.append(i)
                yield lambda i=i: (time.sleep(0.002 * (i % 3)), 1 // (i != broken), i)[-1]

        results = machine.side_by_side(tasks())
        assert next(results) == 0 and len(made) <= threads + 2  # a few pieces ahead, not all
        assert list(results) == list(range(1, 20))
        with pytest.raises(ZeroDivisionError):
            list(machine.side_by_side(tasks(broken=7)))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_broken_operator_is_not_trusted(monkeypatch):
    machine._onednn_linear.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda a, b, *rest: a @ b.t() + 1)
    assert machine._onednn_linear() is None
    machine._onednn_linear.cache_clear()
