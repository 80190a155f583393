"""A regression set: wrong answers lose points, right ones keep them, whatever the seed; hints help. Without nbgrader.

Two kinds of answers. `answers/NAME.py` holds whole ones, written from the release alone: `# %% a1-q1 wrong: why`, then
the code. The lists below take the solution with one piece replaced; a piece of None replaces the whole cell.
"""

import contextlib
import io
import re
from functools import cache
from pathlib import Path

import pytest
import torch

import lmtutor as lm
from lmtutor.classroom.hints import NO_MISTAKE
from lmtutor.classroom.sources import HIDDEN, SOLUTION, assignment_names, definitions, question_of, read_assignment

WRONG = [
    # a1: perplexity, places, discount, model
    (
        "a1-q1",
        "math.exp(-sum(log_probs) / len(log_probs))",
        "(lambda p: p ** (-1 / len(log_probs)) if p else math.inf)(math.prod(map(math.exp, log_probs)))",
    ),
    ("a1-q1", "-sum(log_probs)", "sum(log_probs)"),
    ("a1-q1", " / len(log_probs)", ""),
    ("a1-q1", "/ len(log_probs)", "/ (len(log_probs) + 1)"),
    ("a1-q1", "math.exp(-sum(log_probs) / len(log_probs))", "2 ** (-sum(log_probs) / len(log_probs))"),
    ("a1-q1", "math.exp(-sum(log_probs) / len(log_probs))", "sum(math.exp(-x) for x in log_probs) / len(log_probs)"),
    ("a1-q2", "u for u, _ in pairs", "u for u, _ in zip(tokens, tokens[1:])"),
    ("a1-q2", "x for _, x in pairs", "x for _, x in zip(tokens, tokens[1:])"),
    ("a1-q2", "len(pairs)", "sum(pairs.values())"),
    ("a1-q2", "zip(tokens, tokens[1:])", "set(zip(tokens, tokens[1:]))"),
    ("a1-q2", "zip(tokens, tokens[1:])", "zip(tokens, tokens[1:] + tokens[:1])"),
    ("a1-q2", "followers, predecessors, len", "predecessors, followers, len"),
    ("a1-q3", "2 * twos", "twos"),
    ("a1-q3", "if ones else 0.0", "if twos else 0.0"),
    ("a1-q3", "of_counts[1], of_counts[2]", "of_counts[1], sum(of_counts.values()) - of_counts[1]"),
    ("a1-q3", " if ones else 0.0", ""),
    ("a1-q3", "ones / (", "twos / ("),
    ("a1-q4", "Counter(tokens[:-1])", "Counter(tokens)"),
    ("a1-q4", "if not histories[u]", "if u not in tokens"),
    ("a1-q4", "predecessors[x] / kinds", "tokens.count(x) / len(tokens)"),
    ("a1-q4", "max(pairs[u, x] - D, 0)", "(pairs[u, x] - D)"),
    ("a1-q4", "D * followers[u] / histories[u] * lower", "D * lower"),
    ("a1-q4", "            return lower", "            return 0.0"),
    # a2: softmax, forward, backward, numbers, clipping
    ("a2-q1", "z.max(axis=-1, keepdims=True)", "z.max()"),
    ("a2-q1", "e = np.exp(z - z.max(axis=-1, keepdims=True))", "z -= z.max(axis=-1, keepdims=True)\n    e = np.exp(z)"),
    ("a2-q1", "z - z.max(axis=-1, keepdims=True)", "z"),
    ("a2-q1", "z - z.max(axis=-1, keepdims=True)", "np.clip(z, -700, 700)"),
    ("a2-q1", "e.sum(axis=-1, keepdims=True)", "e.sum()"),
    ("a2-q1", "e.sum(axis=-1, keepdims=True)", "(e.sum(axis=-1, keepdims=True) + 1e-3)"),
    ("a2-q2", "h = [h0]", "h = [0 * h0]"),
    ("a2-q2", "    h = np.array(h)", "    h[0] = h0\n    h0 *= 2\n    h = np.array(h)"),
    ("a2-q2", "h[-1] @ params", "h[0] @ params"),
    ("a2-q2", '@ params["W_hh"]', '@ params["W_hh"].T'),
    ("a2-q2", ' + params["b_h"]', ""),
    ("a2-q2", 'h[1:] @ params["W_hy"]', 'h[:-1] @ params["W_hy"]'),
    ("a2-q2", "-np.log(p[np.arange(len(y)), y]).sum()", "-np.log(p[np.arange(len(y)), y]).mean()"),
    ("a2-q3", "dz = p[t].copy()", "dz = p[t]"),
    ("a2-q3", "np.outer(h[t], da_next)", "np.outer(h[t + 1], da_next)"),
    ("a2-q3", 'grads["W_xh"][x[t]] += da_next', 'grads["W_xh"][x[t]] = da_next'),
    ("a2-q3", ' + da_next @ params["W_hh"].T', ""),
    ("a2-q3", "(1 - h[t + 1] ** 2)", "(1 - h[t] ** 2)"),
    ("a2-q3", 'da_next @ params["W_hh"].T', 'da_next @ params["W_hh"]'),
    ("a2-q3", "range(len(x) - 1, -1, -1)", "range(len(x) - 1, 0, -1)"),
    ("a2-q4", "(2 * s)", "s"),
    ("a2-q4", "kept - s", "kept"),
    ("a2-q4", "    slopes =", "    s = 1e-6\n    slopes ="),
    ("a2-q5", "min(1.0, limit / norm)", "limit / norm"),
    ("a2-q5", "g * factor for", "g.clip(-limit, limit) for"),
    ("a2-q5", " if norm > 0 else 1.0", ""),
    (
        "a2-q5",
        "math.sqrt(sum(float((g**2).sum()) for g in grads.values()))",
        "max(float(np.sqrt((g**2).sum())) for g in grads.values())",
    ),
    # a3: the check, the mended pass, the product of gates
    ("a3-q1", "tolerance * np.abs(slopes).max()", "tolerance"),
    ("a3-q1", "tolerance * np.abs(slopes).max()", "tolerance * max(np.abs(g).max() for g in grads.values())"),
    ("a3-q1", "np.abs(slopes - grads[name]).max()", "np.abs(slopes - grads[name]).mean()"),
    ("a3-q1", "np.abs(slopes - grads[name]).max()", "(slopes - grads[name]).max()"),
    ("a3-q1", "np.abs(slopes - grads[name]).max()", "abs(slopes.sum() - grads[name].sum())"),
    ("a3-q1", "            theta[place] = kept\n", "            theta[place] += s\n"),
    ("a3-q1", "> tolerance", "> 1e-4"),
    ("a3-q1", "/ (2 * s)", "/ s"),
    ("a3-q2", " * (1 - tanh_c**2)", ""),
    ("a3-q2", "d_f = dc * c[t]", "d_f = dc * c[t + 1]"),
    ("a3-q2", "(1 - g[t] ** 2)", "g[t] * (1 - g[t])"),
    ("a3-q2", "np.outer(h[t], da)", "np.outer(h[t + 1], da)"),
    ("a3-q2", "dc_next = dc * f[t]", "dc_next = dc * i[t]"),
    ("a3-q3", "shares[t + 1] * f[t + 1]", "shares[t + 1] * f[t]"),
    ("a3-q3", "    shares = np.ones_like(f)", "    shares = f\n    shares[-1] = 1"),
    (
        "a3-q3",
        "for t in range(len(f) - 2, -1, -1):\n        shares[t] = shares[t + 1] * f[t + 1]",
        "return f.prod(axis=0) / np.cumprod(f, axis=0)",
    ),
    # a4: columns, windows, loop, score
    ("a4-q1", ".view(B, length).t()", ".view(length, B)"),
    ("a4-q1", "ids[: length * B]", "ids[len(ids) - length * B :]"),
    ("a4-q2", "range(0, len(grid) - 1, T)", "range(0, len(grid), T)"),
    ("a4-q2", "range(0, len(grid) - 1, T)", "range(0, len(grid) - T, T)"),
    ("a4-q2", "min(start + T, len(grid) - 1)", "start + T"),
    ("a4-q2", "range(0, len(grid) - 1, T)", "range(0, len(grid) - 1, T + 1)"),
    ("a4-q3", "losses.append(loss.item())", "losses.append(loss)"),
    ("a4-q3", "        state = tuple(part.detach() for part in state)\n", ""),
    ("a4-q3", "        model.zero_grad()\n", ""),
    ("a4-q3", "        nn.utils.clip_grad_norm_(model.parameters(), clip)\n", ""),
    ("a4-q3", "    model.train()\n", ""),
    ("a4-q3", "if not carry", "if carry"),
    ("a4-q3", "theta -= lr * theta.grad", "theta += lr * theta.grad"),
    ("a4-q4", "    model.eval()\n", ""),
    ("a4-q4", "    model.train(mode)\n", ""),
    ("a4-q4", "with torch.no_grad():", "if True:"),
    ("a4-q4", "range(0, len(ids) - 1, stretch)", "range(0, len(ids) - stretch, stretch)"),
    ("a4-q4", "(len(ids) - 1)", "len(ids)"),
    # a5: words, vocabulary, merges, one number
    ("a5-q1", r"[^\W\d_]+(?:['’-][^\W\d_]+)*", r"\w+(?:['’-]\w+)*"),
    ("a5-q1", r"[^\W\d_]+(?:['’-][^\W\d_]+)*", r"[^\W\d]+(?:['’-][^\W\d]+)*"),
    ("a5-q1", r"(?:['’-][^\W\d_]+)*|\d", r"(?:['’-][^\W\d_]+)?|\d"),
    ("a5-q1", r"[^\W\d_]+(?:['’-][^\W\d_]+)*", r"[a-zA-Z]+(?:['’-][a-zA-Z]+)*"),
    ("a5-q1", r"(?:[.,]\d+)*", r"(?:[.,]\d+)?"),
    ("a5-q1", "|<eos>", ""),
    ("a5-q1", r"\d+(?:[.,]\d+)*", r"\d[\d.,]*"),
    ("a5-q2", ' and t != "<unk>"', ""),
    ("a5-q2", "n >= min_count", "n > min_count"),
    ("a5-q2", "(-counts[t], t)", "-counts[t]"),
    ("a5-q2", ' - {"<unk>"}', ""),
    ("a5-q2", "in tokens) / len(tokens)", "in set(tokens)) / len(set(tokens))"),
    ("a5-q2", ' and t != "<unk>"', ' and t not in ("<unk>", "<eos>")'),
    ("a5-q3", "(-pairs[pair], pair)", '(-pairs[pair], "".join(pair))'),
    ("a5-q3", "+= words[word]", "+= 1"),
    ("a5-q3", "(-pairs[pair], pair)", "-pairs[pair]"),
    ("a5-q3", "                i += 2", "                i += 1"),
    (
        "a5-q3",
        "        if not pairs:\n            break\n",
        "        if not pairs:\n            return [('', '')] * n\n",
    ),
    ("a5-q4", "len(text)", "len(text.encode())"),
    ("a5-q4", "len(text)", 'len(text.replace("\\n", ""))'),
    ("a5-q4", "len(word) + 1", "len(word.encode()) + 1"),
    ("a5-q4", "in unknown_words", "in set(unknown_words)"),
    ("a5-q4", "alphabet_size + 1", "alphabet_size"),
    # a6: three dropouts, the rule
    ("a6-q1", "(1, *x.shape[1:])", "x.shape"),
    ("a6-q1", "(1, *x.shape[1:])", "(1, 1, x.shape[2])"),
    ("a6-q1", "    mask = torch.bernoulli", "    torch.manual_seed(0)\n    mask = torch.bernoulli"),
    ("a6-q1", " / (1 - p)\n", "\n"),
    ("a6-q1", "not training or ", ""),
    ("a6-q2", "(len(weight), 1)", "weight.shape"),
    ("a6-q2", "    keep = torch", "    torch.manual_seed(0)\n    keep = torch"),
    ("a6-q2", "weight[ids] * keep[ids]", "weight.detach()[ids] * keep[ids]"),
    ("a6-q2", " / (1 - p)\n", "\n"),
    ("a6-q3", "dropped = nn.functional.dropout(lstm.weight_hh_l0, p)", "dropped = lstm.weight_hh_l0"),
    ("a6-q3", "nn.functional.dropout(lstm.weight_hh_l0, p)", "nn.functional.dropout(lstm.weight_hh_l0, p).detach()"),
    ("a6-q3", "    dropped = nn", "    torch.manual_seed(0)\n    dropped = nn"),
    ("a6-q3", "not lstm.training or ", ""),
    ("a6-q3", '"weight_hh_l0"', '"weight_ih_l0"'),
    ("a6-q4", "now > min(", "now >= min("),
    ("a6-q4", "min(earlier[: len(earlier) - n])", "min(earlier)"),
    ("a6-q4", "len(earlier) > n", "len(earlier) >= n"),
    ("a6-q4", "min(earlier[: len(earlier) - n])", "max(earlier[: len(earlier) - n])"),
    # a7: loop, matrix, mixture, tuning
    ("a7-q1", "first:t", "first : t + 1"),
    ("a7-q1", "t - window", "t - window - 1"),
    (
        "a7-q1",
        "a = torch.softmax(theta * (states[first:t] @ states[t]), dim=0)",
        "a = torch.exp(theta * (states[first:t] @ states[t]))\n        a = a / a.sum()",
    ),
    ("a7-q1", "theta * (", "("),
    ("a7-q1", ".sum()\n", ".max()\n"),
    (
        "a7-q2",
        None,
        "def cache_matrix(states, words, theta, window):\n    return cache_loop(states, words, theta, window)",
    ),
    ("a7-q2", None, "cl = cache_loop\ndef cache_matrix(*a):\n    return cl(*a)"),
    (
        "a7-q2",
        None,
        "def cache_matrix(s, w, theta, window):\n"
        "    softmax, past = torch.softmax, lambda t: slice(max(0, t - window), t)\n"
        "    one = lambda t: (softmax(theta * (s[past(t)] @ s[t]), 0) * (w[past(t)] == w[t])).sum()\n"
        "    return torch.stack([0 * s[0, 0], *map(one, range(1, len(w)))])",
    ),
    ("a7-q2", "back >= 1", "back >= 0"),
    ("a7-q2", " & (back <= window)", ""),
    ("a7-q2", ".nan_to_num(0.0)", ""),
    (
        "a7-q2",
        "weights = torch.softmax(scores, dim=1).nan_to_num(0.0)",
        "e = scores.exp()\n    weights = (e / e.sum(1, keepdim=True)).nan_to_num(0.0)",
    ),
    ("a7-q3", "    mixed[0] = model_log_probs[0]\n", ""),
    (
        "a7-q3",
        "mixed = torch.logaddexp(model_log_probs + math.log1p(-lam), cache_probs.log() + math.log(lam))",
        "mixed = ((1 - lam) * model_log_probs.exp() + lam * cache_probs).log()",
    ),
    ("a7-q3", "model_log_probs + math.log1p(-lam)", "model_log_probs.add_(math.log1p(-lam))"),
    ("a7-q3", "    if lam == 0:\n        return model_log_probs.clone()\n", "    lam = lam or 0.5\n"),
    ("a7-q4", "perplexity < best[2]", "perplexity > best[2]"),
    ("a7-q4", "best = theta, lam, perplexity", "best = lam, theta, perplexity"),
    ("a7-q4", "            mixed[0] = model_log_probs[0]\n", ""),
    ("a7-q4", "in lams:", "in lams[:2]:"),
    # a8: rounds, integers
    ("a8-q2", "while back < len(a):", "while back < min(len(a), 4096):"),
    ("a8-q4", "int((S.T @ vectors[key]).argmax())", "(S.T @ vectors[key]).argmax()"),
]

RIGHT = [
    ("a1-q1", "math.exp(-sum(log_probs) / len(log_probs))", "float(np.exp(-np.mean(log_probs)))"),
    (
        "a1-q2",
        None,
        "def count_places(tokens):\n    pairs, f, p = Counter(), Counter(), Counter()\n"
        "    for u, x in zip(tokens, tokens[1:]):\n        f[u] += not pairs[u, x]\n"
        "        p[x] += not pairs[u, x]\n        pairs[u, x] += 1\n    return pairs, f, p, len(pairs)",
    ),
    ("a1-q3", "of_counts[1], of_counts[2]", "list(pairs.values()).count(1), list(pairs.values()).count(2)"),
    ("a1-q4", "if not histories[u]:", "if histories[u] == 0 or u not in histories:"),
    ("a1-q4", "Counter(tokens[:-1])", "Counter(u for u, _ in zip(tokens, tokens[1:]))"),
    ("a2-q1", "z - z.max(axis=-1, keepdims=True)", "z - np.max(z, -1)[..., None]"),
    ("a2-q2", "h = [h0]", "h = [np.array(h0)]"),
    ("a2-q3", "np.outer(h[t], da_next)", "h[t][:, None] * da_next[None]"),
    ("a2-q4", "np.zeros_like(theta)", "np.empty(theta.shape)"),
    ("a2-q5", "min(1.0, limit / norm) if norm > 0 else 1.0", "min(1.0, limit / (norm + 1e-6))"),
    ("a3-q1", "np.abs(slopes).max():", "np.max(np.abs(slopes)) + 1e-12:"),
    (
        "a3-q3",
        "for t in range(len(f) - 2, -1, -1):\n        shares[t] = shares[t + 1] * f[t + 1]",
        "shares[:-1] = np.cumprod(f[:0:-1], axis=0)[::-1]",
    ),
    ("a4-q1", ".view(B, length).t()", ".reshape(B, length).T"),
    ("a4-q2", None, "def windows(grid, T):\n    yield from zip(grid[:-1].split(T), grid[1:].split(T))"),
    ("a4-q3", "loss.item()", "np.float32(loss.item())"),
    ("a4-q3", "        model.zero_grad()\n", "        model.zero_grad(set_to_none=False)\n"),
    ("a4-q4", "with torch.no_grad():", "with torch.inference_mode():"),
    ("a5-q1", r"|\S", r"|[^\s]"),
    ("a5-q2", "sum(token not in known for token in tokens)", "len([t for t in tokens if t not in known])"),
    ("a5-q3", "range(n)", "range(int(n))"),
    ("a5-q4", "(len(word) + 1 for word in unknown_words)", "(map(len, [w + '.' for w in unknown_words]))"),
    (
        "a6-q1",
        "torch.bernoulli(torch.full((1, *x.shape[1:]), 1 - p, dtype=x.dtype)) / (1 - p)",
        "nn.functional.dropout(torch.ones_like(x[:1]), p)",
    ),
    ("a6-q2", "weight[ids] * keep[ids]", "(weight * keep)[ids]"),
    (
        "a6-q3",
        "nn.functional.dropout(lstm.weight_hh_l0, p)",
        "lstm.weight_hh_l0 * nn.functional.dropout(torch.ones_like(lstm.weight_hh_l0), p)",
    ),
    ("a6-q4", "min(earlier[: len(earlier) - n])", "sorted(earlier[: len(earlier) - n])[0]"),
    ("a7-q1", "a[words[first:t] == words[t]].sum()", "(a * (words[first:t] == words[t])).sum()"),
    ("a7-q2", "    steps =", "    # the same as cache_loop, without for or while\n    steps ="),
    (
        "a7-q2",
        "(back >= 1) & (back <= window)",
        "torch.ones(len(words), len(words), dtype=torch.bool).tril(-1).triu(-window)",
    ),
    ("a7-q3", "cache_probs.log() + math.log(lam)", "(lam * cache_probs).log()"),
    ("a7-q4", "one_by_one(", "cache_loop("),
]


BLOCK = re.compile(r"^# %% (a\d+-q\d+) (wrong|right): (.+)\n", re.M)
SEEDS = (1, 2, 3)


@cache
def prepared(name: str) -> dict:
    """What stands above the first question: its names."""
    space = {}
    for cell in read_assignment(name).cells.values():
        if cell.metadata.nbgrader.solution:
            return space
        if "%pip" not in cell.source:
            exec(cell.source, space)


@cache
def cells(name: str) -> dict:
    """The cells of an assignment."""
    return read_assignment(name).cells


def solved(question: str, piece: str | None = None, instead: str | None = None) -> str:
    """The solution of a question, with a piece of it replaced."""
    code = SOLUTION.sub(lambda m: m[2], HIDDEN.sub("", cells(question.split("-")[0])[question].source))
    if instead is not None:
        assert piece is None or piece in code, f"{piece!r} is not in the solution of {question}"
        code = instead if piece is None else code.replace(piece, instead)
    return code


def regression_set() -> list[tuple[str, str, str, str]]:
    """Question, "wrong" or "right", why, and the code of an answer."""
    found = []
    for path in sorted((Path(__file__).parent / "answers").glob("*.py")):
        parts = BLOCK.split(path.read_text(encoding="utf-8"))[1:]
        found += zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
    for kind, pieces in (("wrong", WRONG), ("right", RIGHT)):
        found += [
            (question, kind, instead.strip(), solved(question, piece, instead)) for question, piece, instead in pieces
        ]
    return found


SET = regression_set()
NAMED = [pytest.param(*one, id=f"{one[0]} {one[1]}: {one[2][:50]}") for one in SET]


def run(question: str, answer: str, seed: int | None) -> list | dict:
    """Run the answers up to a question with one of them changed; return what each part of its tests raised.

    Without a seed, return the names that are there before the tests.
    """
    space, errors = dict(prepared(question.split("-")[0])), []
    with contextlib.redirect_stdout(io.StringIO()), torch.enable_grad():
        for grade_id, cell in cells(question.split("-")[0]).items():
            facts, asked = cell.metadata.nbgrader, question_of(grade_id)
            if cell.cell_type == "markdown":
                break
            if facts.solution:
                if errors or (asked > question and seed is None):
                    break
                exec(compile(answer if asked == question else solved(asked), grade_id, "exec"), space)
            elif facts.grade and asked != question:
                exec(definitions(HIDDEN.sub("", cell.source)), space)
            elif facts.grade and seed is not None:
                try:
                    exec(compile(cell.source.replace("default_rng()", f"default_rng({seed})"), grade_id, "exec"), space)
                    errors.append(None)
                except Exception as error:
                    errors.append(error)
    return space if seed is None else errors


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:Converting a tensor")  # torch warns once a process
@pytest.mark.parametrize(("question", "kind", "why", "answer"), NAMED)
def test_wrong_answers_lose_points_and_right_ones_keep_them(question, kind, why, answer):
    for seed in SEEDS:
        errors = run(question, answer, seed)
        if kind == "wrong":
            assert any(errors), f"it passes with seed {seed}"
        else:
            assert not any(errors), f"with seed {seed}: {errors!r}"


CODE = [
    grade_id
    for name in assignment_names()
    for grade_id, cell in cells(name).items()
    if cell.cell_type == "code" and cell.metadata.nbgrader.solution
]


@pytest.mark.parametrize("wrong", ["nothing is defined", "None comes back"])
@pytest.mark.parametrize("question", CODE)
def test_a_wrong_answer_costs_the_points_of_its_own_question_alone(question, wrong):
    """Of its own tests only what they define is there, as where they end the process."""
    space, names = dict(prepared(question.split("-")[0])), re.findall(r"^(?:def|class) (\w+)", solved(question), re.M)
    lost = [f"def {name}(*a, **k): return None" for name in names if wrong != "nothing is defined"]
    with contextlib.redirect_stdout(io.StringIO()):
        for grade_id, cell in cells(question.split("-")[0]).items():
            asked, is_code = question_of(grade_id), cell.cell_type == "code"
            if is_code and cell.metadata.nbgrader.solution:
                exec(compile("\n".join(lost) if asked == question else solved(asked), grade_id, "exec"), space)
            elif is_code and cell.metadata.nbgrader.grade:
                test = cell.source.replace("default_rng()", "default_rng(1)")
                exec(compile(definitions(test) if asked == question else test, grade_id, "exec"), space)


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", assignment_names())
def test_hints_help_with_wrong_answers_and_raise_no_false_alarm(name):
    helped = {}
    for question, kind, why, answer in SET:
        if not question.startswith(f"{name}-"):
            continue
        function = first_function(question, answer)
        with torch.enable_grad():  # whatever an answer switches off, the next one finds it on
            hint = lm.check(question, function)
        if kind == "right":
            assert hint == NO_MISTAKE, f"{question}, right ({why}): {hint}"
        else:
            helped[f"{question} {why}"] = hint != NO_MISTAKE
    silent = [which for which, spoke in helped.items() if not spoke]
    assert len(silent) <= 0.3 * len(helped), f"{len(silent)} of {len(helped)} get no hint: {silent}"


def first_function(question: str, answer: str):
    """What a student would give to `lm.check`: the function that the question asks for, or the first of two."""
    name = re.search(r"^def (\w+)", solved(question), re.M)[1]
    return run(question, answer, None)[name]


def test_the_set_is_large_enough_for_every_assignment():
    """An assignment needs 15 wrong and 5 right answers, written from its release: see CONTRIBUTING."""
    files = [one for one in SET if one not in SET[len(SET) - len(WRONG) - len(RIGHT) :]]
    for name in assignment_names():
        own = [kind for question, kind, _, _ in files if question.startswith(f"{name}-")]
        assert own.count("wrong") >= 15 and own.count("right") >= 5, name
