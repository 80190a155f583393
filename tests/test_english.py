"""Turns of phrase that a native editor would change, where they can be named: package, README, book, assignments."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNITS = "nats|bits|bytes|tokens|words|steps|numbers|operations|seconds|minutes|rows?|lines?|discount|weights|GB|MB"
FINE = "run|loop|step|set|split|state|text|loss|pass|mode|curve|script|perplexity|data"  # after “a training”
THINGS = (
    "token|character|byte|second|minute|epoch|step|row|line|split|run|file|key|order|curve|batch|weight|logit|class"
)
TICS = {
    rf"\b(one )?({UNITS}) an? ({THINGS}|setting|figure|corpus|graded|kept|computation|bar)\b": "per",
    r"[:;] (it|they) ha(s|ve) to be\b": "must be: what must hold (got what was got)",
    r"\bunless given\b": "default: …",
    r"\bwhole numbers?\b": "integer",
    r"\bfirst weights\b": "initial weights",
    r"\bto be had\b": "available",
    r"\b[Ww]hoever\b": "anyone who, or the passive",
    r"\bone's own\b": "your own",
    r"\blearnt\b": "learned",
    r"\bwant(s)? choosing\b": "must be chosen",
    r"\bmend (it|them|the)\b": "fix",
    r"\b[Gg]o on (with|from)\b|\bgoes on (with|from)\b": "continue, resume",
    rf"\ba training(?! ({FINE})\b)": "training run",
}
FILES = [
    *ROOT.glob("*.md"), ROOT / "Makefile", *(ROOT / "book").rglob("*.md"), *(ROOT / "lmtutor").rglob("*.py"),
    *(ROOT / "lmtutor").rglob("*.toml"), *(ROOT / "book" / "_ext").glob("*.py"),
]  # fmt: skip


def tics(text: str) -> list[str]:
    """Return each tic of a text with what stands around it and what an editor would write."""
    text = re.sub(r"\s*\n\s*(?:#\s)?", " ", text)
    return [
        f"…{text[max(0, found.start() - 30) : found.end() + 20]}… : {better}"
        for tic, better in TICS.items()
        for found in re.finditer(tic, text)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_named_tic(file):
    assert not tics(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "4.8 nats a token",
        "epochs=0: it has to be at least 1",
        "mend\n    the folder",
        "a training, begun",
        "goes on from",
    ],
)
def test_the_gate_can_fail(text):
    assert len(tics(text)) == 1


def test_what_is_well_said_passes():
    assert not tics("4.8 nats per token in a training run; it must be at least 1. The text goes on. A file a day.")
