"""pyproject.toml, constraints.txt and environment.yml name one environment; the wheel carries what it needs."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import QUICK
from tests.helpers import build_wheel

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def pins() -> dict[str, Version]:
    """Return what constraints.txt pins, by canonical name."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, version = re.fullmatch(r"([\w.-]+)==([\w.]+)", line).groups()
            found[canonicalize_name(name)] = Version(version)
    return found


def asked() -> list[Requirement]:
    """Return all direct requirements, of the core and of every extra."""
    listed = [*PROJECT["project"]["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    return [Requirement(line) for line in listed]


def test_every_requirement_is_pinned_within_its_range():
    pinned = pins()
    for requirement in asked():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt does not pin {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} does not admit the pinned {version}"


def test_pins_reach_every_indirect_requirement():
    """Nothing that the project pulls in is left to the day of the installation."""
    pinned, seen = pins(), set()
    todo = [(requirement.name, requirement.extras) for requirement in asked()]
    while todo:
        name, extras = todo.pop()
        if (canonicalize_name(name), *sorted(extras)) in seen:
            continue
        seen.add((canonicalize_name(name), *sorted(extras)))
        try:
            needs = distribution(name).requires or []
        except ModuleNotFoundError:  # an extra that is not installed here
            continue
        for line in needs:
            need = Requirement(line)
            wanted = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if need.marker is None or any(need.marker.evaluate(environment) for environment in wanted):
                if not need.name.startswith(("nvidia-", "triton", "cuda-")):  # torch names their versions itself
                    assert canonicalize_name(need.name) in pinned, f"{name} needs {need.name}: not pinned"
                    todo.append((need.name, need.extras))


def test_the_lock_has_the_pins_and_a_hash_of_each_file():
    """requirements.lock, made by `make lock`: all that constraints.txt pins, but torch, whose file depends on where
    it comes from."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\w)", "\n".join(line for line in text.splitlines() if not line.startswith("#")).strip())
    locked = {}
    for block in blocks:
        first, *hashes = (line.strip(" \\") for line in block.splitlines())
        name, version = re.match(r"([\w.-]+)==([\w.]+)", first).groups()
        locked[canonicalize_name(name)] = Version(version)
        assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", line) for line in hashes), name
    assert len(locked) == len(blocks) > 150 and "torch" not in locked
    assert locked.items() <= pins().items()
    assert {canonicalize_name(r.name) for r in asked()} - {"torch"} <= locked.keys()


def test_the_pins_install_on_the_oldest_python():
    """Debian 12 has Python 3.11.2: a pin that wants a later one would end `make book` there."""
    for name, version in pins().items():
        try:
            about = distribution(name)
        except ModuleNotFoundError:  # of an extra that is not installed here
            continue
        if Version(about.version) == version and (wants := about.metadata.get("Requires-Python")):
            assert SpecifierSet(wants).contains("3.11.0"), f"{name} {version} wants Python {wants}"


def test_warnings_are_errors():
    """Whatever a library is about to change, the tests say first."""
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"


def test_no_requirement_is_pinned_twice():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert len([line for line in lines if "==" in line]) == len(pins())


def test_torch_is_pinned_and_the_package_admits_older_ones():
    """A torch left free pulls the newest, with gigabytes of libraries; the package itself runs from 2.6 on."""
    assert pins()["torch"] == Version("2.13.0")
    (torch,) = [r for r in map(Requirement, PROJECT["project"]["dependencies"]) if r.name == "torch"]
    assert torch.specifier.contains("2.6.0") and not torch.specifier.contains("2.5.1")


def test_core_stays_lean():
    core = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    assert core <= {
        "torch", "numpy", "pandas", "matplotlib", "nltk", "pooch", "requests", "filelock", "safetensors", "tqdm",
        "typer",
    }  # fmt: skip


def test_conda_environment_is_the_same_one():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    plain = [entry for entry in environment["dependencies"] if isinstance(entry, str)]
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    python = Requirement(next(entry for entry in plain if entry.startswith("python ")))
    assert str(python.specifier) == PROJECT["project"]["requires-python"]
    assert "pip" in plain
    assert "--constraint constraints.txt" in pip
    (editable,) = [line for line in pip if line.startswith("--editable")]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    wanted = re.search(r"^EXTRAS := ([\w,]+)$", makefile, flags=re.M).group(1)
    assert editable == f"--editable .[{wanted}]"
    assert set(wanted.split(",")) <= set(EXTRAS)


def test_every_package_folder_is_listed():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    present = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "lmtutor").rglob("__init__.py")}
    assert listed == present | {"lmtutor._data", "lmtutor._assets"}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The wheel, unpacked into an empty folder."""
    target = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(build_wheel(tmp_path_factory.mktemp("wheel"))) as archive:
        archive.extractall(target)
    return target


def test_wheel_carries_scripts_recipes_and_all_data(unpacked):
    """A notebook on Colab has the wheel and nothing else: recorded runs and pretrained weights must be in it."""
    for folder, inside, pattern in (
        ("lmtutor/display", "lmtutor/display", "*.js"),
        ("lmtutor/display", "lmtutor/display", "*.html"),
        ("book/assets", "lmtutor/_assets", "*.[jc]s*"),
        ("lmtutor/recipes", "lmtutor/recipes", "**/*.toml"),
        ("data", "lmtutor/_data", "**/*.*"),
    ):
        sources = {path.relative_to(ROOT / folder) for path in (ROOT / folder).glob(pattern)}
        carried = {path.relative_to(unpacked / inside) for path in (unpacked / inside).glob(pattern)}
        assert sources and carried == sources, folder


def test_wheel_works_away_from_the_checkout(unpacked, tmp_path):
    program = (
        "import lmtutor, lmtutor.system.files as files; print(lmtutor.__file__); "
        "print(files.path('catalogue.toml')); print(files.path('published'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert all(line.startswith(str(unpacked)) for line in done.stdout.split())


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run make with the project's Makefile in an empty folder."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=60)


def test_make_help_lists_every_target(tmp_path):
    shown = make(tmp_path, "help").stdout
    (line,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.M)
    for target in set(line.split()) - {"FORCE"}:
        assert re.search(rf"^  make {target} +\S", shown, flags=re.M), target
    assert shown == make(tmp_path).stdout, "make alone is make help"


def test_an_old_python_is_refused_in_words(tmp_path):
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make(tmp_path, "book", f"PYTHON={old}")
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr and "Python 3.9.18" in done.stderr
    assert "make book PYTHON=python3.11" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("file", QUICK)
def test_quick_tests_are_there(file):
    source = (ROOT / "tests" / file).read_text(encoding="utf-8")
    for name in QUICK[file].split():
        assert f"\ndef {name}(" in source, f"tests/conftest.py names {name} as quick"


def test_every_target_waits_passively_unless_told(tmp_path):
    shown = "\nshown:\n\t@echo $$OMP_WAIT_POLICY\n"
    (tmp_path / "more.mk").write_text("include Makefile" + shown)
    for told, meant in (({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")):
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "OMP_", "GOMP_"))}
        shutil.copy(ROOT / "Makefile", tmp_path)
        done = subprocess.run(
            ["make", "-s", "-f", "more.mk", "shown"], cwd=tmp_path, env=env | told, capture_output=True, text=True
        )
        assert done.stdout.strip() == meant, done.stderr


def test_ci_runs_what_the_readme_says():
    readme, ci = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    assert "make test" in readme
    assert ci.strip().splitlines()[-1] == "make test"
    assert os.access(ROOT / ".ci/run", os.X_OK)
