"""The API pages name every module of the package, and only those."""

import re
from pathlib import Path

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
