"""The prose is spelt, and spelt the British way throughout; `words.txt` has the words of the field.

Names of the field's tools keep their spelling (*tokenizer*, *optimizer*), as do all names in code.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROSE = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "book").glob("*.md"))]
PROSE += sorted((ROOT / "book" / "chapters").glob("*.md"))
PROSE += sorted((ROOT / "book" / "appendix").glob("*.md"))
NAMES = {"tokenizer", "tokenizers", "optimizer", "optimizers"}
SAME_BOTH_WAYS = {"story", "stories", "program", "programs", "disk", "disks", "meter"}  # a storey, a TV programme
IZE = re.compile(r"\w{3,}(iz(e[sd]?|ing|ers?|ations?)|yz(e[sd]?|ing))")
WITH_Z = {"size", "sizes", "sized", "seize", "seizes", "prize", "prizes", "capsize", "citizen", "horizon"}
NOT_PROSE = [
    re.compile(r"^---\n.*?\n---\n", flags=re.S),
    re.compile(
        r"^(`{3,})\{(code-cell|eval-rst|math|bibliography|commands|playground|exhibit|cards|stepper|dropouts|attending|recalling)\}.*?^\1\s*$",
        flags=re.M | re.S,
    ),
    re.compile(r"^```\w*\n.*?^```\s*$", flags=re.M | re.S),
    re.compile(r"\$\$.*?\$\$(?: \([\w:-]+\))?|\$[^$]{1,200}\$", flags=re.S),
    re.compile(r"\{(?!term)[a-z:]+\}`[^`]*`|^:[\w-]+:.*$|^[`:]{3,}.*$", flags=re.M),
]


def prose(text: str) -> str:
    """Return a page without code, formulas and references."""
    for pattern in NOT_PROSE:
        text = pattern.sub(" ", text)
    text = re.sub(r"\{term\}`([^`<]*)(<[^`]*>)?`", r"\1", text)
    return re.sub(r"`[^`]*`|https?://\S+|<[^>]+>|^ {4,}.*$", " ", text, flags=re.M)


def words(text: str) -> list[str]:
    return [word.replace("’", "'") for word in re.findall(r"[^\W\d_]+(?:[’'][^\W\d_]+)?", prose(text))]


@cache
def speller():
    from spellchecker import SpellChecker

    known = SpellChecker(language="en")
    known.word_frequency.load_words((Path(__file__).parent / "words.txt").read_text(encoding="utf-8").split())
    return known


@cache
def american() -> dict[str, str]:
    """Return American spellings and what they are in Britain, from codespell's list."""
    import codespell_lib

    table = Path(codespell_lib.__file__).parent / "data" / "dictionary_en-GB_to_en-US.txt"
    pairs = (line.split("->") for line in table.read_text(encoding="utf-8").splitlines() if "->" in line)
    return {there.split(",")[0].strip(): here for here, there in pairs}


def misspelt(text: str) -> set[str]:
    """Return the words that no dictionary knows; names and abbreviations with capitals inside are left out."""
    plain = {word.lower() for word in words(text) if len(word) > 2 and word[1:].islower()}
    bare = {word.removesuffix("'s") for word in plain}
    return speller().unknown(bare) - set(american().values())


def not_british(text: str) -> set[str]:
    used = {word.lower().removesuffix("'s") for word in words(text)} - NAMES - SAME_BOTH_WAYS
    return {word for word in used if word in american() or (IZE.fullmatch(word) and word not in WITH_Z)}


@pytest.mark.parametrize("file", PROSE, ids=lambda path: path.stem)
def test_page_is_spelt(file):
    text = file.read_text(encoding="utf-8")
    assert not misspelt(text), "mend it, or add a word of the field to tests/book/words.txt"
    assert not not_british(text)


def test_no_common_slip_in_pages_and_docstrings():
    command = [sys.executable, "-m", "codespell_lib", "--skip", "*.pyc,*baker_street/rules.py"]
    places = [*map(str, PROSE), str(ROOT / "lmtutor"), str(ROOT / "book" / "_ext")]
    done = subprocess.run([*command, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("text", "wrong", "foreign"),
    [
        ("The gradeint of the `lozz` vanishes.", {"gradeint"}, set()),
        ("We regularize the neighbor's tokenizer.", set(), {"regularize", "neighbor"}),
        ("Behaviour, {term}`tokenisation`, $x_t$ and “colour”.", set(), set()),
    ],
)
def test_the_gate_can_fail(text, wrong, foreign):
    assert wrong <= misspelt(text) and (wrong or not misspelt(text))
    assert not_british(text) == foreign
