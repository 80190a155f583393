"""Ways to spoil a file: blindly, byte by byte, or knowing how it is made, with its checksums put right again."""

import copy
import hashlib
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import torch

MARK = "opened-by-a-pickle"
PIECES = [b"\0", b"\xff", b"{", b"}", b"[[", b'"', b"nan", b"NaN", b"1e999", b"-1", b"9" * 30, b"\n", b"=", b",",
          b"\xe9", b"\x80"]  # fmt: skip
VALUES = [None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**30, 0.5, -0.5, 1e308, float("nan"), float("inf"), "", "x",
          "lstm", "é" * 50, [], [1], ["a", "b"], [[]], {}, {"a": 1}, [None], {"tensor": "t0"},
          {"tuple": [1]}]  # fmt: skip


class Payload:
    """What a hostile pickle would do: here, leave a file behind."""

    def __reduce__(self):
        return (open, (MARK, "w"))


WHOLE = (b"", pickle.dumps(Payload()), b"<!DOCTYPE html>", b"[" * 100_000, b"{}", b"null", b"PK\3\4")  # other files


def spoil(data: bytes, dice: random.Random) -> bytes:
    """Some bytes of a file changed, lost, doubled or replaced."""
    size, way = len(data), dice.randrange(11)
    at = dice.randrange(size) if size else 0
    to = min(size, at + dice.choice((1, 2, 8, 100, size)))
    if way <= 2:  # lost bits
        changed = bytearray(data)
        for _ in range(dice.choice((1, 1, 2, 10))):
            changed[dice.randrange(size)] ^= 1 << dice.randrange(8)
        return bytes(changed)
    return [
        lambda: data[:at],
        lambda: data[:at] + data[to:],
        lambda: data[:to] + data[at:],
        lambda: data[:at] + bytes(to - at) + data[to:],
        lambda: data[:at] + dice.choice(PIECES) + data[at:],
        lambda: data[:at] + dice.choice(PIECES) + data[to:],
        lambda: data[:at] + dice.randbytes(to - at) + data[to:],
        lambda: dice.choice(WHOLE),
    ][way - 3]()


def nodes(value, path=()) -> list[tuple]:
    """The paths to all that is inside nested lists and tables."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for key, item in inside for below in nodes(item, (*path, key)))]


def change_node(value, dice: random.Random, draw: Callable[[], object]):
    """A copy of nested lists and tables in which one thing is replaced, dropped, doubled or renamed."""
    value = copy.deepcopy(value)
    paths = nodes(value)
    short = [path for path in paths if len(path) <= 3]  # what matters is near the top
    *above, last = dice.choice(short if dice.random() < 0.7 else paths) or (None,)
    if last is None:
        return draw()
    inside = value
    for key in above:
        inside = inside[key]
    way = dice.randrange(6)
    if way == 0:
        del inside[last]
    elif way == 1 and isinstance(inside, dict):
        inside[dice.choice(("", "x", "config", "tokens"))] = inside.pop(last)
    elif way == 2 and isinstance(inside, list):
        inside.insert(last, copy.deepcopy(inside[last]))
    else:
        inside[last] = draw()
    return value


def change_tensor(tensors: dict, dice: random.Random) -> None:
    """Give one tensor another shape, type, name or content, or drop it."""
    if not tensors:
        return
    name = dice.choice(sorted(tensors))
    tensor = tensors[name]
    way = dice.randrange(9)
    if way == 0:
        del tensors[name]
    elif way == 1:
        tensors[dice.choice(("x", "t0", "head.bias"))] = tensors.pop(name)
    else:
        tensors[name] = [
            lambda: tensor.reshape(-1),
            lambda: tensor.to(torch.float64),
            lambda: (tensor * 1000).to(torch.int8) if tensor.is_floating_point() else tensor.float(),
            lambda: tensor.double().fill_(float("nan")).float() if tensor.is_floating_point() else tensor - 1000,
            lambda: torch.cat([tensor.reshape(-1)] * 2),
            lambda: torch.zeros(0),
            lambda: tensor.double().fill_(1e38).float(),
        ][way - 2]()


def change_safetensors(path: Path, dice: random.Random, draw: Callable[[], object]) -> None:
    """Change the header or a tensor of a file of ours, and sign it again; a changed vocabulary stays its own."""
    from lmtutor.training.checkpoint import read_tensors, write_tensors

    tensors, header = read_tensors(path)
    if dice.random() < 0.4:
        change_tensor(tensors, dice)
    else:
        kept = header.get("vocabulary_sha256")
        header = change_node(header, dice, draw)
        if not isinstance(header, dict):
            return
        if kept and dice.random() < 0.5:
            header["vocabulary_sha256"] = kept
    write_tensors(path, tensors, header)


def change_json(path: Path, dice: random.Random, draw: Callable[[], object]) -> None:
    """Change one thing in a JSON file; where a model's header keeps its checksum, sign that again."""
    path.write_text(json.dumps(change_node(json.loads(path.read_text(encoding="utf-8")), dice, draw)))
    beside = path.parent / "model.safetensors"
    if path.name == "vocabulary.json" and beside.exists():
        from lmtutor.training.checkpoint import read_tensors, write_tensors

        tensors, header = read_tensors(beside)
        write_tensors(beside, tensors, header | {"vocabulary_sha256": hashlib.sha256(path.read_bytes()).hexdigest()})


def change_toml(path: Path, dice: random.Random, draw: Callable[[], object]) -> None:
    """Give one key of a TOML file another value."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = dice.choice([i for i, line in enumerate(lines) if "=" in line])
    key = lines[number].partition("=")[0]
    try:
        lines[number] = f"{key}= {json.dumps(draw(), ensure_ascii=False)}"
    except TypeError:  # JSON has no bytes
        lines[number] = f"{key}= {{}}"
    path.write_text("\n".join(lines), encoding="utf-8")


def change_csv(path: Path, dice: random.Random, draw: Callable[[], object]) -> None:
    """Put another value into one cell."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    row = dice.choice(rows)
    row[dice.randrange(len(row))] = str(draw())
    path.write_text("\n".join(",".join(row) for row in rows))


KNOWING = {".safetensors": change_safetensors, ".json": change_json, ".toml": change_toml, ".csv": change_csv}
