"""The processes that the speed benchmark drives: each holds one contestant, and works only while it is asked to.

    python -m tests.benchmarks.workers ROLE JSON

A worker reads one request a line, ``{"do": "train", "count": 5}``, and answers with one line of JSON. So two
contestants take turns within seconds of each other, and whatever else the machine does falls on both.

The peer is the word-level example of pytorch/examples. Nothing of it is in this project: `LMTUTOR_PEER` names a folder
that holds its `main.py`, `model.py`, `data.py` and `generate.py`, and its own `main.py` runs here, unchanged. It calls
`clip_grad_norm_` once a step; there it waits for the next request.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.nn.functional as F

CHANNEL = None  # where answers go; whatever the contestants print goes to standard error
V, BATCH, BPTT = 33_278, 20, 35


def receive() -> dict:
    """The next request; the parent closes the channel when it is done."""
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    return json.loads(line)


def answer(**values) -> None:
    CHANNEL.write(json.dumps(values) + "\n")
    CHANNEL.flush()


def peak_mb() -> float:
    """Largest resident memory of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """Seconds by the wall and of the processor, both since `start`."""

    def start(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.began[0], time.process_time() - self.began[1]


def peer(data: str, train_only: bool = False) -> None:
    """The peer's own training script, stopped at each step; its `evaluate` and `generate.py` on request."""
    folder = Path(os.environ["LMTUTOR_PEER"]).resolve()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    imported = peak_mb()
    script, clock, pending = {"__name__": "__main__", "__file__": str(folder / "main.py")}, Clock(), []
    clip = torch.nn.utils.clip_grad_norm_
    left, before = 0, None

    def stop_here(*args, **kwargs):
        nonlocal left, before
        if left:
            wall, cpu = clock.read()
            pending.append((wall, cpu))
            left -= 1
        if not left:
            if pending:
                answer(times=pending.copy(), peak=peak_mb())
                pending.clear()
            while (request := receive())["do"] != "train":
                serve_peer(script, request, data)
            left = request["count"]
        clock.start()
        return clip(*args, **kwargs)

    torch.nn.utils.clip_grad_norm_ = stop_here
    sys.argv = ["main.py", "--data", data, "--tied", "--epochs", "1", "--save", os.devnull]
    answer(imported=imported)
    exec(compile((folder / "main.py").read_text(), "main.py", "exec"), script)


def serve_peer(script: dict, request: dict, data: str) -> None:
    """Answer a request other than a training step."""
    clock = Clock()
    if request["do"] == "evaluate":
        rows = script["test_data"][: request["count"] // 10 + 1]
        clock.start()
        with torch.no_grad():
            script["evaluate"](rows)
        answer(times=[clock.read()], tokens=(len(rows) - 1) * 10)
        script["model"].train()
    elif request["do"] == "generate":
        with tempfile.TemporaryDirectory() as folder:
            torch.save(script["model"], Path(folder) / "model.pt")
            words = request["count"]
            command = [sys.executable, "-u", "generate.py", "--data", data, "--checkpoint", f"{folder}/model.pt"]
            command += ["--words", str(words + 1), "--log-interval", str(words), "--outf", f"{folder}/out.txt"]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            marks = []
            for line in process.stdout:  # printed after the first word and after the last
                if "Generated" in line:
                    marks.append((time.perf_counter(), cpu_seconds(process.pid)))
            process.wait()  # so that it is out of the way when the next contestant's turn begins
            first, last = marks
            answer(times=[(last[0] - first[0], last[1] - first[1])], tokens=words)


def cpu_seconds(pid: int) -> float:
    """Processor seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class PlainHead(torch.nn.Module):
    """What a loss costs without any of this project's tricks: the whole matrix of logits, torch's cross-entropy."""

    def __init__(self, head):
        super().__init__()
        self.weight, self.bias, self.vocab_size, self.precision = head.weight, head.bias, head.vocab_size, "float32"

    def loss(self, hidden, targets):
        return F.cross_entropy(F.linear(hidden.flatten(0, 1), self.weight, self.bias), targets.flatten())


class PlainOptimizer:
    """SGD as a loop over the parameters."""

    def __init__(self, model, lr):
        self.parameters, self.lr = list(model.parameters()), lr

    def zero_grad(self, set_to_none=True):
        for p in self.parameters:
            p.grad = None

    @torch.no_grad()
    def step(self):
        for p in self.parameters:
            p.add_(p.grad, alpha=-self.lr)


def ours(
    data: str | None = None,
    head: str = "tiles",
    precision: str = "auto",
    keep_memory: bool = True,
    fused: bool = True,
    vocab: int = V,
    hidden: int = 200,
    bptt: int = BPTT,
    seed: int = 1,
) -> None:
    """Our training step, evaluation and generation; parts of it can be replaced by the plain way."""
    import lmtutor as lm
    from lmtutor.models.base import detach
    from lmtutor.system import machine
    from lmtutor.text.batches import stream_batches
    from lmtutor.training.optim import make_optimizer

    make_optimizer("sgd", [torch.nn.Parameter(torch.zeros(1))], 1.0)  # imports half of torch
    imported = peak_mb()
    if keep_memory:
        machine.keep_freed_memory()
    torch.manual_seed(seed)
    if data:
        corpus = lm.load_corpus(data)
        train, test, words = corpus.train, corpus.test, corpus.vocab
    else:
        train = torch.randint(0, vocab, (400_000,))
        words, test = vocab, None
    model = lm.build_model("lstm-200", words, embedding=hidden, hidden=hidden)
    if head == "plain":
        model.head = PlainHead(model.head)
    model.head.precision = precision
    optimizer = make_optimizer("sgd", model.parameters(), 20.0) if fused else PlainOptimizer(model, 20.0)

    def batches():
        while True:
            yield from stream_batches(train, BATCH, bptt)

    stream, state, clock = batches(), model.initial_state(BATCH), Clock()
    answer(imported=imported, threads=torch.get_num_threads(), describe=machine.describe_device("cpu", precision))
    while True:
        request = receive()
        count, times, losses = request["count"], [], []
        if request["do"] == "train":
            for _ in range(count):
                clock.start()
                batch = next(stream)
                optimizer.zero_grad(set_to_none=True)
                loss, _, state = model.loss(batch.inputs, batch.targets, detach(state))
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
                optimizer.step()
                losses.append(loss.item())
                times.append(clock.read())
            answer(times=times, peak=peak_mb(), loss=sum(losses) / len(losses))
        elif request["do"] == "evaluate":
            clock.start()
            score = lm.evaluate(model, test[: count + 1])
            answer(times=[clock.read()], tokens=score.tokens, nats_per_token=score.nats_per_token)
        elif request["do"] == "generate":
            lm.generate(model, words, "", 1, seed=1)
            clock.start()
            lm.generate(model, words, "", count, seed=1)
            answer(times=[clock.read()], tokens=count)


def limit(hidden: int = 200, vocab: int = V, bptt: int = BPTT) -> None:
    """The products of one training step and nothing else: the head's three in the machine's best format, the LSTM's.

    The LSTM's, for each of two layers: from the inputs to the gates and the two products back, each for all steps at
    once; from the state to the gates and back, step by step; and the recurrent weight's gradient, at once.
    """
    from lmtutor.system import machine

    machine.keep_freed_memory()
    dtype, rows = machine.product_dtype("auto", "cpu"), BATCH * bptt
    h, w, e = (torch.randn(s).to(dtype) for s in ((rows, hidden), (vocab, hidden), (rows, vocab)))
    x, gates = torch.randn(rows, hidden), torch.randn(rows, 4 * hidden)
    step, step_gates = torch.randn(BATCH, hidden), torch.randn(BATCH, 4 * hidden)
    weight = torch.randn(4 * hidden, hidden)
    clock = Clock()
    answer()
    while True:
        request, times = receive(), []
        for _ in range(request["count"]):
            clock.start()
            h @ w.t(), e @ w, e.t() @ h
            for _ in range(2):
                x @ weight.t(), gates @ weight, gates.t() @ x, gates.t() @ x
                for _ in range(bptt):
                    step @ weight.t(), step_gates @ weight
            times.append(clock.read())
        answer(times=times)


class Worker:
    """The parent's end: start a contestant, ask, and read the answer."""

    def __init__(self, role: str, **settings):
        command = [sys.executable, "-m", "tests.benchmarks.workers", role, json.dumps(settings)]
        root = Path(__file__).resolve().parents[2]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, cwd=root
        )
        self.hello = self.read()

    def read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            said = self.errors.read()[-2000:]
            self.close()
            raise RuntimeError(f"A benchmark process ended early: {said}")
        return json.loads(line)

    def ask(self, do: str, count: int) -> dict:
        self.process.stdin.write(json.dumps({"do": do, "count": count}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()


@contextmanager
def workers(**roles: tuple[str, dict]):
    """Several workers by name, closed at the end: ``workers(ours=("ours", {}), peer=("peer", {…}))``."""
    started = {}
    try:
        for name, (role, settings) in roles.items():
            started[name] = Worker(role, **settings)
        yield started
    finally:
        for worker in started.values():
            worker.close()


if __name__ == "__main__":
    CHANNEL = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    {"peer": peer, "ours": ours, "limit": limit}[sys.argv[1]](**json.loads(sys.argv[2]))
