"""Small corpora and models that several tests use, and the wheel."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from lmtutor.models import build_model
from lmtutor.models.recurrent import RecurrentConfig
from lmtutor.text.corpora import Corpus
from lmtutor.text.vocabulary import Vocabulary

ROOT = Path(__file__).resolve().parents[1]
WORDS = ["<unk>", "<eos>", *"abcdefgh"]


def tiny_corpus(tokens: int = 1200, seed: int = 0) -> Corpus:
    """A corpus in which the next letter depends on the last: something to learn, in a second."""
    generator = torch.Generator().manual_seed(seed)
    jumps = torch.randint(1, 3, (tokens,), generator=generator)
    ids = 2 + torch.cumsum(jumps, 0) % 8
    ids[::17] = 1
    valid = slice(tokens * 8 // 10, tokens * 9 // 10)
    return Corpus(
        "tiny",
        ids[: valid.start],
        ids[valid],
        ids[valid.stop :],
        Vocabulary(WORDS),
        dict(train=None, valid=None, test=None),
    )


def tiny_model(vocab=10, dropout: float = 0.0, seed: int = 0, **changes):
    """A small LSTM language model."""
    torch.manual_seed(seed)
    return build_model(RecurrentConfig(embedding=8, hidden=8, layers=2, dropout=dropout), vocab, **changes)


def assert_pieces_are_the_whole(layer, x: torch.Tensor) -> None:
    """A layer that reads x (T, B, E) in pieces, or step by step, gives what it gives at once, in float64; T = 70."""
    state = layer.initial_state(x.shape[1])
    whole, last = layer(x, state)
    for cut in ([1, 33, 4, 32], [1] * 70, [69, 1]):
        pieces, now = [], state
        for piece in x.split(cut):
            out, now = layer(piece, now)
            pieces.append(out)
        torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-10)
        torch.testing.assert_close(now, last, rtol=0, atol=1e-10)


def build_wheel(folder: Path) -> Path:
    """Build the package's wheel from a copy of its sources, so that nothing is left in the checkout; its path."""
    copy = folder / "sources"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in ("lmtutor", "data", "book/assets"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, "."]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


if __name__ == "__main__":  # python -m tests.helpers FOLDER: the wheel into a folder, for the notebooks
    with tempfile.TemporaryDirectory() as place:
        built = build_wheel(Path(place))
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        shutil.copy(built, sys.argv[1])
