"""The API pages name every module of the package, and only those."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = {"lmtutor", "lmtutor.__main__"}  # re-exports, a one-liner


def test_every_module_is_on_an_api_page():
    pages = [ROOT / "book/appendix/api.md", *(ROOT / "book/appendix/api").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    listed = re.findall(r"automodule:: (\S+)", text)
    present = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "lmtutor").rglob("*.py")
    }
    assert len(listed) == len(set(listed))
    assert set(listed) == present - LEFT_OUT


def imported(room: Path) -> set[str]:
    """The other rooms that the modules of a room import, at their head or in a function."""
    nodes = [node for file in room.rglob("*.py") for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[1] for module in modules if module.startswith("lmtutor.")} - {room.name}


@pytest.mark.parametrize("room", sorted((ROOT / "lmtutor").glob("*/__init__.py")), ids=lambda file: file.parent.name)
def test_a_room_names_what_it_imports(room):
    said = re.search(r"^Imports (?!every|nothing)(.*?)\.$", ast.get_docstring(ast.parse(room.read_text("utf-8"))), re.M)
    if said:
        assert set(re.findall(r"`(\w+)`", said[1])) == imported(room.parent)
