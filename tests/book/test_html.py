"""Every page is valid HTML by the checker of the W3C (vnu), but for a short list with reasons.

The checker is a Java program that npm carries: where either is missing, the test is skipped and says so. `VNU_JAR`
names a copy that is here already.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PINNED = "vnu-jar@26.9.27"

# What the theme, Sphinx or myst-nb writes, and no page of ours can change; a browser minds none of it.
ALLOWED = (
    (r"Element “p” not allowed as child of element “summary”", "admonition-title"),  # myst-nb; its styles ask for it
    (r"Attribute “(scriptlevel|displaystyle)” not allowed", "<m"),  # MathML Core allows both; the checker is behind
)


@pytest.fixture(scope="module")
def checker(tmp_path_factory) -> Path:
    """The checker's jar: as named, from an earlier test, or from npm at the pinned version."""
    if os.environ.get("VNU_JAR"):
        return Path(os.environ["VNU_JAR"])
    kept = ROOT / "_build" / "tools" / f"{PINNED}.jar"
    if shutil.which("java") is None:
        pytest.skip("no Java here (Debian: apt install default-jre-headless)")
    if not kept.is_file():
        if shutil.which("npm") is None:
            pytest.skip(f"neither npm nor VNU_JAR here: the checker {PINNED} cannot be had")
        folder = tmp_path_factory.mktemp("vnu")
        command = ["npm", "pack", "--silent", PINNED]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm cannot fetch {PINNED}: {done.stderr.strip()[-200:]}")
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            (member,) = (m for m in archive.getmembers() if m.name.endswith("vnu.jar"))
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(archive.extractfile(member).read())
    return kept


def faults(jar: Path, files: list[Path]) -> list[tuple[str, str, str]]:
    """Return (file, message, extract) of each error that the checker finds."""
    command = ["java", "-Xmx600m", "-jar", str(jar), "--format", "json", "--errors-only", "--exit-zero-always"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=600)
    messages = json.loads(done.stderr)["messages"]
    return [(Path(m["url"]).name, m["message"], m.get("extract", "")) for m in messages if m["type"] == "error"]


def allowed(message: str, extract: str) -> bool:
    return any(re.search(said, message) and re.search(where, extract, flags=re.S) for said, where in ALLOWED)


@pytest.mark.book
@pytest.mark.slow
def test_pages_are_valid(checker, pages, site):
    files = [page.path for page in pages] + [site / "genindex.html", site / "search.html"]
    found = {f"{file}: {m}\n    {x.strip()[:160]}" for file, m, x in faults(checker, files) if not allowed(m, x)}
    assert not found, "\n".join(sorted(found))


@pytest.mark.slow
def test_the_gate_can_fail(checker, tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<!doctype html><html lang="en"><title>t</title><p id="a"><div id="a"></div></p>', encoding="utf-8")
    assert any("Duplicate ID" in message for _, message, _ in faults(checker, [page]))
