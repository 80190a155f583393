"""The command: what it makes, what it prints, and how it refuses."""

import json
import math
import re
import subprocess
import sys

import pandas as pd
import pytest

from lmtutor import find_run
from lmtutor.cli import commands as cli
from lmtutor.scoring.score import evaluate
from lmtutor.system.errors import LMTutorError
from lmtutor.text.batches import stream_batches, window_batches
from tests.test_runs import RECIPE, TEXT


def test_a_text_is_printed_as_it_is(tmp_path, capsys):
    """Also what a terminal takes for a colour, which typer would drop where the output is a file or a pipe."""
    (tmp_path / "a.txt").write_text("a \x1b[31mcat\x1b[0m\n" * 60)
    assert run("corpora", "sample", str(tmp_path / "a.txt"), "--characters", "15", capsys=capsys) == (
        "a \x1b[31mcat\x1b[0m\n\n"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text, a recipe, and the run that the command made of it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cats.txt").write_text(TEXT)
    (folder / "cats.toml").write_text(RECIPE.format(name=folder / "cats.txt"))
    run("train", str(folder / "cats.toml"), "--out", str(folder / "run"), "--sample", "the cat")
    return folder


def run(*words: str, capsys=None) -> str:
    """Call the command in this process; return what it printed."""
    try:
        cli.app(list(words), standalone_mode=False)
    finally:
        out = capsys.readouterr().out if capsys else ""
    return out


def test_training_makes_a_run_and_says_the_score(folder):
    assert {"recipe.toml", "history.csv", "result.json", "checkpoint"} <= {p.name for p in (folder / "run").iterdir()}


def test_a_dry_run_says_what_a_training_takes_and_writes_nothing(folder, tmp_path, capsys):
    out = run("train", str(folder / "cats.toml"), "--out", str(tmp_path / "new"), "--dry-run", capsys=capsys)
    assert list(tmp_path.iterdir()) == []
    model = json.loads((folder / "run" / "result.json").read_text())
    assert re.search(rf"total +{model['parameters']}\n", out) and re.search(r"embedding.weight +\(\d+, 8\)", out)
    assert re.search(r"memory: 0 MiB of weights, gradients and optimizer, [1-9][\d,]* MiB in all", out)
    assert re.search(r"an epoch: \d+\.\d\d minutes at [\d,]+ tokens/s", out)


def test_the_published_figure_stands_beside_the_one_reached(folder, capsys):
    out = folder / "run"  # a finished run resumed has nothing to train
    lines = run("train", str(folder / "cats.toml"), "--out", str(out), "--resume", capsys=capsys).splitlines()
    valid, test = (find_run(out).score(split) for split in ("valid", "test"))
    assert lines == [f"{out}: valid {valid}", f"{out}: test {test}; published 3.5 (a made-up paper)"]


def test_evaluate_repeats_the_recorded_score(folder, capsys):
    out = run("evaluate", str(folder / "run"), "--split", "valid", capsys=capsys)
    assert f"perplexity {find_run(folder / 'run').score('valid').perplexity:.2f}" in out
    assert "protocol: batch 1" in out


def test_evaluate_another_text_with_the_models_own_vocabulary(folder, tmp_path, capsys):
    (tmp_path / "dogs.txt").write_text("the dog sat .\nthe zebra sat .\n" * 60)
    out = run("evaluate", str(folder / "run"), "--corpus", str(tmp_path / "dogs.txt"), capsys=capsys)
    assert "dogs.txt test: perplexity" in out and "of another text" in out


def test_columns_and_windows_are_read_where_they_are_asked_for(folder, capsys):
    model, vocab = find_run(folder / "run").load()
    text = str(folder / "cats.txt")
    ids = vocab.encode_text((folder / "cats.txt").read_text())
    for words, batches in (
        (["--batch-size", "5"], stream_batches(ids, 5, 35)),
        (["--context", "20", "--stride", "4", "--batch-size", "50"], window_batches(ids, 50, 20, 4)),
    ):
        out, score = run("evaluate", str(folder / "run"), text, *words, capsys=capsys), evaluate(model, batches)
        assert f"perplexity {score.perplexity:.2f} " in out and f"protocol: {score.protocol}\n" in out
        bits = float(re.search(r"([\d.]+) bits per character", out)[1])  # of the characters of what is scored
        characters = len((folder / "cats.txt").read_text()) / (len(ids) - 1)  # to a token
        assert bits == pytest.approx(score.bits_per_token / characters, rel=0.005)


@pytest.mark.parametrize(
    "words", ["--stride 4", "--per-line --context 9", "--per-line --batch-size 2", "--per-line --dynamic"]
)
def test_no_option_is_passed_over(words, folder):
    with pytest.raises(LMTutorError, match="--stride is|--per-line reads"):
        cli.app(["evaluate", str(folder / "run"), str(folder / "cats.txt"), *words.split()], standalone_mode=False)


def test_a_table_with_a_row_a_line(folder, tmp_path, capsys):
    words = ("evaluate", str(folder / "run"), str(folder / "cats.txt"), "--per-line")
    shown = run(*words, capsys=capsys).splitlines()
    assert shown[0].split() == ["line", "tokens", "unknown", "nats", "perplexity"]
    assert run(*words, "--out", str(tmp_path / "lines.csv"), capsys=capsys) == ""
    table = pd.read_csv(tmp_path / "lines.csv")
    whole = run("evaluate", str(folder / "run"), str(folder / "cats.txt"), capsys=capsys)
    assert len(table) == len(shown) - 1 == TEXT.count("\n")
    assert f"perplexity {math.exp(table['nats'].sum() / table['tokens'].sum()):.2f} " in whole
    cached = run(*words, "--window", "9", "--theta", "1", "--lam", "0.5", capsys=capsys)
    assert cached.splitlines()[0] == shown[0] and cached.splitlines()[2] != shown[2]


def test_generate_and_score(folder, capsys):
    words = ("generate", str(folder / "run"), "--prompt", "the cat", "--tokens", "5", "--seed", "1")
    first, second = run(*words, capsys=capsys), run(*words, capsys=capsys)
    assert first == second and first.startswith("the cat")
    out = run("score", str(folder / "run"), "the cat zebra", capsys=capsys)
    assert re.search(r"zebra\s+<unk>\s+-\d", out) and re.search(r"\d nats, perplexity \d", out)


def test_a_scheme_that_does_not_fit_is_told_beside_the_output(folder, tmp_path, capsys):
    (tmp_path / "zh.txt").write_text("我爱北京。\n")
    for words, says in (
        (["score", str(folder / "run"), "the cat sat, and the cat."], "use the tokenizer 'treebank'"),
        (["score", str(folder / "run"), "the cat sat"], ""),
        (["tokenize", str(tmp_path / "zh.txt"), "--run", str(folder / "run")], "no spaces between words"),
        (["tokenize", str(tmp_path / "zh.txt")], "no spaces between words"),
        (["tokenize", str(tmp_path / "zh.txt"), "--tokenizer", "characters"], ""),
    ):
        cli.app(words, standalone_mode=False)
        told = capsys.readouterr()
        assert says in told.err and bool(says) == bool(told.err) and "Hint" not in told.out


def test_a_text_becomes_the_ids_of_a_run_and_comes_back(folder, tmp_path, capsys):
    (tmp_path / "own.txt").write_text("the cat sat 12\nthe dog\n")  # 12 is no word of it
    cut = run("tokenize", str(tmp_path / "own.txt"), "--run", str(folder / "run"), capsys=capsys)
    assert [line.split()[1] for line in cut.splitlines()][:4] == ["'the'", "'cat'", "'sat'", "'<unk>'"]
    (tmp_path / "ids.txt").write_text(cut)
    back = run("detokenize", str(folder / "run"), str(tmp_path / "ids.txt"), capsys=capsys)
    assert back == "the cat sat <unk>\nthe dog\n\n"
    ids = " ".join(line.split()[0] for line in cut.splitlines())
    assert run("detokenize", str(folder / "run"), ids, capsys=capsys) == back


def test_samples_go_to_a_file_and_say_when_they_repeat_themselves(folder, tmp_path, capsys):
    words = ("generate", str(folder / "run"), "--tokens", "8", "--sentences", "1", "--samples", "3", "--seed", "1")
    shown = run(*words, capsys=capsys)
    assert run(*words, "--out", str(tmp_path / "drawn.txt"), capsys=capsys) == ""
    assert (tmp_path / "drawn.txt").read_text() == shown and shown.count("\n\n") == 2
    assert run(*words, "--out", str(tmp_path / "drawn.jsonl"), capsys=capsys) == ""
    rows = (tmp_path / "drawn.jsonl").read_text().splitlines()
    assert "\n\n".join(json.loads(row)["text"] for row in rows) + "\n" == shown
    cli.app(["generate", str(folder / "run"), "--tokens", "60", "--temperature", "0"], standalone_mode=False)
    assert "sample 1 repeats itself" in capsys.readouterr().err


def test_lists(capsys):
    assert "wikitext-2/lstm-200" in run("runs", capsys=capsys)
    assert "2,088,628" in run("corpora", "list", capsys=capsys)


def test_texts_described_cut_and_counted(folder, tmp_path, capsys):
    text = str(folder / "cats.txt")
    assert "tokens" in run("corpora", "describe", text, capsys=capsys)
    assert run("corpora", "sample", text, "--characters", "7", capsys=capsys) == "the cat\n"
    lines = run("tokenize", text, "--limit", "3", capsys=capsys).split()
    assert [line.strip("'") for line in lines[1::2]] == ["the", "cat", "sat"]
    out = run("vocabulary", text, "--limit", "1", "--out", str(tmp_path / "v.json"), capsys=capsys)
    assert "oov_rate" in out
    from lmtutor import Vocabulary

    assert "cat" in Vocabulary.load(tmp_path / "v.json")


@pytest.mark.parametrize(
    "words, says",
    [
        (["train", "wikitext-2/lstm-20"], "Did you mean 'wikitext-2/lstm-200"),
        (["train", "wikitext-2/lstm-200", "--set", "learning_rate=3"], "has no 'learning_rate'"),
        (["evaluate", "nowhere"], "There is no run 'nowhere'"),
        (["corpora", "fetch", "wikitext2"], "Did you mean 'wikitext-2"),
        (["corpora", "describe", "no/such/file.txt"], "no such file"),
        (["tokenize", "baker-street", "--tokenizer", "word"], "Did you mean 'words'"),
        (["score", "{run}", " "], "no text to score"),
        (["detokenize", "{run}", "5 999"], "ids from 0 to"),
        (["detokenize", "{run}", "the cat"], "ids from 0 to"),
        (["generate", "{run}", "--temperature", "-1"], "temperature must be"),
        (["generate", "{run}", "--epoch", "1"], "has not kept epoch 1 (kept: none"),
        (["generate", "{run}", "--out", "{folder}/cats.txt"], "is there already"),
        (["train", "{folder}/cats.toml", "--out", "{run}"], "is not empty"),
        (["evaluate", "{run}", "--per-line"], "wants a file"),
        (
            ["evaluate", "{run}", *"--batch-size 2 --window 5 --theta 1 --lam 0.1".split()],
            "read one stream",
        ),
        (["evaluate", "{run}", "--epochs", "1", "--theta", "0"], "without a cache"),
        (["evaluate", "{run}", "--epochs", "1", "--batch-size", "2"], "as one stream"),
        (["evaluate", "{run}", "{folder}/cats.txt", "--per-line", "--dynamic"], "reads one stream: no --dynamic"),
        (["evaluate", "{run}", "{folder}/cats.txt", "--per-line", "--out", "{folder}/cats.txt"], "is there already"),
        (["evaluate", "{run}", "--split", "tset"], "Unknown split 'tset'"),
    ],
)
def test_bad_input_is_one_line(folder, words, says):
    words = [word.format(run=folder / "run", folder=folder) for word in words]
    with pytest.raises(LMTutorError) as error:
        run(*words)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_vocabulary_that_does_not_match(folder, tmp_path):
    import shutil

    shutil.copytree(folder / "run", tmp_path / "run")
    vocabulary = tmp_path / "run" / "checkpoint" / "vocabulary.json"
    vocabulary.write_text(vocabulary.read_text().replace('"cat"', '"cow"'))
    with pytest.raises(LMTutorError, match="is not the vocabulary"):
        run("evaluate", str(tmp_path / "run"))


def test_the_process_ends_with_code_2_and_one_line_on_stderr(tmp_path):
    (tmp_path / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1") * 50)
    words = [sys.executable, "-m", "lmtutor", "corpora", "describe", str(tmp_path / "latin.txt")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("lmtutor: ") and done.stderr.count("\n") == 1
    assert "byte" in done.stderr and "3" in done.stderr  # the offset of the first bad byte


@pytest.mark.parametrize(
    "command",
    [
        [],
        *[[c] for c in "train evaluate generate score runs tokenize detokenize vocabulary".split()],
        *[[c] for c in "finetune tune-cache pretrained release export page".split()],
        *[["corpora", c] for c in ("list", "fetch", "verify", "describe", "sample")],
    ],
)
def test_every_help_gives_an_example(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.app([*command, "--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert not command or "Example: lmtutor " + " ".join(command) in out
