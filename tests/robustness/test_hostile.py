"""Inputs made by hand to do harm, each of which once did: now a line that says what to do, and nothing is changed."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

import lmtutor as lm
from lmtutor.cli import commands as cli
from lmtutor.runs.pretrained import load_packed, pack_model
from lmtutor.runs.recipe import read_recipe, toml_value
from lmtutor.runs.run import find_run
from lmtutor.runs.train import train_recipe
from lmtutor.training.checkpoint import load_checkpoint
from lmtutor.training.config import TrainConfig

TRAIN = ["train", "cats.toml", "--out", "new"]


@pytest.fixture
def run(recipe):
    """A small run, in the working directory."""
    return train_recipe(recipe, "run", progress=False)


@pytest.fixture
def command(monkeypatch, capsys):
    """The command in this process: its exit code and the lines of standard error."""

    def call(*words) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["lmtutor", *words])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
        return code, [line for line in capsys.readouterr().err.splitlines() if not line.startswith("epoch ")]

    return call


def refused(answer: tuple[int, list[str]], said: str) -> None:
    code, lines = answer
    assert code == 2 and len(lines) == 1 and said in lines[0], (code, lines)
    assert len(lines[0]) < 1000


# --- A training that could not be read again


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("momentum=inf", "momentum must be"),
        ("milestones=[inf]", "milestones"),
        ("milestones=[2020-01-01]", "milestones"),
        ("corpus.min_count=inf", "min_count"),
        ("corpus.max_size=nan", "max_size"),
        ("epochs=" + "9" * 5000, "epochs"),
        ("epochs=1" + "0" * 400, "epochs must be"),
        ("lr=" + "[" * 3000, "lr"),
        ("random_bptt=true", None),  # fine by itself
        ("bptt=1" + "0" * 40, "bptt must be"),
        ("corpus.progress=2020-01-01", "progress"),
        ("optimizer=adm", "adam"),
        ("precision=double", "precision"),
        ("device=meta", "device"),
        ("batch_size=100000", "batch"),
        ("cut=documents", "documents"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(recipe, command, change, said):
    answer = command(*TRAIN, "--set", change)
    if said is None:
        assert answer == (0, [])
        assert read_recipe("new/recipe.toml").training.random_bptt
        return
    refused(answer, said)
    assert not any(path.name != ".lock" for path in Path("new").glob("*")), "the folder is of no use any more"
    assert command(*TRAIN)[0] == 0


@pytest.mark.parametrize("name", ["a\nb.toml", "c\x01d.toml", "Bücher\x7f.toml", os.fsdecode(b"e\xff.toml")])
def test_a_recipe_of_any_name_leaves_a_run_that_can_be_read(recipe, command, name):
    shutil.copy("cats.toml", name)
    assert command("train", name, "--out", "new")[0] == 0
    assert find_run("new").recipe.training == recipe.training
    assert command("evaluate", "new")[0] == 0


def test_what_toml_writes_it_reads():
    for value in ("a\x7fb", 'q"\\\n\t', "é", [1, 2.5, "x"], [], True, 1e300, -0.0):
        import tomllib

        assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value
    for value in (float("nan"), "\udcff", None, {}):
        with pytest.raises(ValueError):
            toml_value(value)


def test_a_folder_whose_name_is_no_text_is_refused(recipe, command):
    refused(command("train", "cats.toml", "--out", os.fsdecode(b"n\xff")), "printable text")


# --- A run that goes on


def test_resume_on_a_changed_text_is_refused_and_changes_nothing(recipe, command):
    text = Path("cats.txt").read_text()
    assert command(*TRAIN)[0] == 0
    kept = {path: path.read_bytes() for path in Path("new").rglob("*") if path.is_file()}
    for changed in (text.replace("cat", "zebra"), text.replace("the cat", "the dog", 3)):
        Path("cats.txt").write_text(changed)
        refused(command(*TRAIN, "--set", "epochs=4", "--resume"), "another text")
    changed = {str(path) for path in kept if path.read_bytes() != kept[path]}
    assert not changed
    Path("cats.txt").write_text(text)
    assert command(*TRAIN, "--set", "epochs=4", "--resume")[0] == 0


def test_resume_on_splits_with_another_border_is_refused(recipe, command):
    lines = Path("cats.txt").read_text().splitlines(keepends=True)
    third = len(lines) // 3
    Path("parts").mkdir()

    def write(border: int, test: list[str] = lines[-third:]) -> None:
        for name, part in {"train": lines[:border], "valid": lines[border:-third], "test": test}.items():
            Path(f"parts/{name}.txt").write_text("".join(part))

    write(third)
    words = [*TRAIN, "--set", "corpus.name=parts"]
    assert command(*words)[0] == 0
    for border, test in ((third - 2, lines[-third:]), (third, lines[-third:-1])):
        write(border, test)
        refused(command(*words, "--set", "epochs=4", "--resume"), "another text")
    write(third)
    assert command(*words, "--set", "epochs=4", "--resume")[0] == 0


def test_resume_without_the_weights_of_the_best_epoch_is_refused(run, recipe, command):
    shutil.rmtree("run/checkpoint")
    kept = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    words = ["train", "cats.toml", "--out", "run", "--resume", "--set", "epochs=5"]
    refused(command(*words), "weights of the best epoch")
    assert all(path.read_bytes() == kept[path] for path in kept)


def test_the_recipe_names_the_new_epochs_before_the_training_goes_on(run, recipe, command, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lmtutor.training.loop.Trainer.run", killed)
    assert command("train", "cats.toml", "--out", "run", "--resume", "--set", "epochs=9")[0] == 130
    assert read_recipe("run/recipe.toml").training.epochs == 9


def test_whole_numbers_as_betas(recipe, command):
    assert command(*TRAIN, "--set", "optimizer=adam", "--set", "betas=[0,0.99]", "--set", "lr=0.01") == (0, [])


@pytest.mark.parametrize("name", ["checkpoint/vocabulary.json", "checkpoint/model.safetensors", "result.json"])
def test_a_pipe_in_place_of_a_file_of_a_run(name, run, recipe, command):
    import signal

    Path("run", name).unlink()
    os.mkfifo(f"run/{name}")
    before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError("this hangs")))
    signal.alarm(20)
    try:
        for words in (["generate", "run"], ["train", "cats.toml", "--out", "run", "--resume", "--set", "epochs=5"]):
            if words[0] == "train" or "checkpoint" in name:
                refused(command(*words), "not a plain file")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_writing_where_links_go_in_circles(tmp_path):
    from lmtutor.system.files import write_atomically

    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with contextlib.suppress(lm.LMTutorError):
        write_atomically(tmp_path / "a", b"new")
    with pytest.raises(lm.LMTutorError, match="cannot be written"):
        write_atomically(tmp_path / ("n" * 300), b"new")
    before = os.umask(0o077)
    try:
        write_atomically(tmp_path / "mine", b"new")
    finally:
        os.umask(before)
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o600


def test_resume_with_fewer_epochs_than_there_are_is_refused(recipe, command):
    assert command(*TRAIN)[0] == 0
    refused(command(*TRAIN, "--set", "epochs=1", "--resume"), "has 2 epochs already")
    assert find_run("new").recipe.training.epochs == 2


def test_a_file_of_the_users_own_is_left_alone(recipe, command):
    Path("new").mkdir()
    diary = Path("new/.unfinished-diary")
    diary.write_text("mine")
    refused(command(*TRAIN), "not empty")
    assert diary.read_text() == "mine"


def test_an_epoch_no_number_can_hold_is_a_damaged_history(run):
    path = run.path / "history.csv"
    path.write_text(path.read_text().replace("\n1,", f"\n{10**30},"))
    with pytest.raises(lm.LMTutorError, match="damaged"):
        _ = find_run("run").history


# --- Checkpoints


def rewrite(folder: Path, config: dict | None = None, tensors=None) -> None:
    """Change the header or the tensors of a checkpoint, as somebody would who knows how it is made."""
    path = folder / "model.safetensors"
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["lmtutor"])
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header.pop("sha256")
    header["config"] |= config or {}
    path.write_bytes(save(tensors(kept) if tensors else kept, {"lmtutor": json.dumps(header)}))


@pytest.mark.parametrize(
    "config",
    [
        dict(hidden=20_000, embedding=20_000),
        dict(layers=1000, hidden=400),
        dict(kind="window", order=10**9, embedding=1, hidden=1),
    ],
)
def test_a_small_file_that_describes_a_large_model_takes_no_memory(run, config, monkeypatch):
    built = []
    monkeypatch.setattr("lmtutor.training.checkpoint.build_model", lambda *args: built.append(args))
    folder = run.path / "checkpoint"
    rewrite(folder, config)
    with pytest.raises(lm.LMTutorError, match="saved tensors|shape|has no"):
        load_checkpoint(folder)
    assert not built


def test_numbers_of_a_type_that_is_never_written_are_refused(run):
    folder = run.path / "checkpoint"
    for kind in (torch.complex64, torch.bfloat16, torch.bool, torch.float8_e4m3fn, torch.int64):
        shutil.copytree(folder, "odd", dirs_exist_ok=True)
        try:
            rewrite(Path("odd"), tensors=lambda kept, kind=kind: {**kept, "head.bias": kept["head.bias"].to(kind)})
        except KeyError as unknown:
            assert unknown.args == (torch.complex64,)  # the lowest safetensors cannot write it, nor read it
            continue
        with pytest.raises(lm.LMTutorError, match="type"):
            load_checkpoint("odd")


@pytest.mark.parametrize("shape", [(60_000,), (4, 3, 2)])
def test_packed_rows_have_two_dimensions(run, shape):
    model, vocab = run.load()
    pack_model("packed", model, vocab, "A card.\n")
    name = "embedding.weight"

    def spoilt(kept):
        value = torch.zeros(shape, dtype=torch.int8)
        return {**kept, name: value, f"{name}.scale": torch.zeros(len(value), 1)}

    rewrite(Path("packed"), tensors=spoilt)
    with pytest.raises(lm.LMTutorError, match="no scale"):
        load_packed("packed")


def test_a_pipe_in_place_of_a_checkpoint_is_not_waited_for(run, command):
    path = run.path / "checkpoint" / "model.safetensors"
    path.unlink()
    os.mkfifo(path)
    refused(command("generate", "run"), "plain file")


# --- The command


def test_vocabulary_is_never_written_over_a_file(recipe, command):
    text = Path("cats.txt").read_text()
    for out in ("cats.txt", "cats.toml", "/dev/full"):
        code, lines = command("vocabulary", "cats.txt", "--out", out)
        assert code == 2 and "is there already" in lines[-1]
    assert Path("cats.txt").read_text() == text
    assert command("vocabulary", "cats.txt", "--out", "v.json")[0] == 0
    assert command("vocabulary", "cats.txt", "--out", "v.json", "--min-count", "2")[0] == 2


@pytest.mark.parametrize("closed", ["0", "1", "2"])
def test_a_closed_stream_is_no_traceback(run, closed):
    words = {"0": "score run -", "1": "score run cat", "2": "train cats.toml --out new"}[closed]
    call = f"exec {closed}>&-; exec {sys.executable} -m lmtutor {words}"
    done = subprocess.run(["bash", "-c", call], capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == (2 if closed == "0" else 0), done.stderr


def test_a_terminal_that_knows_only_ascii_ends_no_training(recipe):
    text = Path("cats.txt").read_text().replace("cat", "chaté")
    Path("cats.txt").write_text(text, encoding="utf-8")
    call = [sys.executable, "-m", "lmtutor", *TRAIN, "--sample", "chaté"]
    done = subprocess.run(call, capture_output=True, timeout=120, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "x"}, {"WORLD_SIZE": "2"}])
def test_half_of_what_torchrun_sets_is_one_line(recipe, variables):
    call = [sys.executable, "-m", "lmtutor", *TRAIN]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, env=os.environ | variables)
    assert done.returncode == 2 and "start with torchrun" in done.stderr and "Traceback" not in done.stderr


def test_output_that_a_file_cannot_hold_is_one_line_and_not_a_loss(recipe):
    Path("cats.txt").write_text(Path("cats.txt").read_text().replace("cat", "chaté"), encoding="utf-8")
    call = [sys.executable, "-m", "lmtutor", "tokenize", "cats.txt"]
    done = subprocess.run(call, capture_output=True, text=True, env=os.environ | {"PYTHONIOENCODING": "cp1251"})
    assert done.returncode == 2 and "PYTHONIOENCODING" in done.stderr and "?" not in done.stdout
    assert len(done.stderr.splitlines()) == 1


# --- From Python


def test_a_vocabulary_of_another_model_is_refused(run):
    model, vocab = run.load()
    other = lm.Vocabulary([*vocab.tokens, "more"], vocab.tokenizer)
    for call in (lambda: lm.generate(model, other, "cat"), lambda: lm.score_text(model, other, "cat")):
        with pytest.raises(lm.LMTutorError, match="use its own"):
            call()


def test_a_long_text_is_scored_in_pieces_and_to_the_same_values(run):
    model, vocab = run.load()
    words = ["the cat sat on the mat ."] * 400
    table = lm.score_text(model, vocab, " ".join(words))
    ids = torch.cat([torch.tensor([vocab.eos_id]), vocab.encode(" ".join(words).split())])
    assert len(table) == len(ids) - 1 > 2 * 1024
    assert -table["log_probability"].sum() == pytest.approx(lm.evaluate(model, ids).nats, rel=1e-6)


def test_bounds_of_whole_numbers():
    for name in ("epochs", "bptt", "batch_size", "nonmono", "stride", "seed"):
        with pytest.raises(lm.LMTutorError, match=f"{name} must be an integer from . to 2,147,483,647"):
            TrainConfig(**{name: 1 << 31})
