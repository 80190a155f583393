"""What made a result: command, seed, commit, versions, device, date."""

import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch


def provenance(device: torch.device, seed: int) -> dict[str, Any]:
    """What made a result: command, seed, commit, versions, device, date."""
    return dict(
        command=shlex.join(["lmtutor", *sys.argv[1:]]) if "lmtutor" in sys.argv[0] else "lmtutor.train_recipe(…)",
        seed=seed,
        commit=git_commit(),
        versions={"python": platform.python_version(), "torch": torch.__version__, "pandas": pd.__version__},
        device=torch.cuda.get_device_name() if device.type == "cuda" else cpu_name(),
        threads=torch.get_num_threads(),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )


def cpu_name() -> str:
    """The processor's name and the number of cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {os.cpu_count()} cores"


def git_commit() -> str | None:
    """The commit of the checkout that the package runs from, ``+changes`` where it differs; None elsewhere."""
    git = ["git", "-C", str(Path(__file__).parents[2])]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        state = [*git, "status", "--porcelain", "--untracked-files=no", "--", "lmtutor"]
        changed = subprocess.run(state, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+changes" if changed else "")
