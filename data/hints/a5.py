"""Hints of assignment 5: tokens, vocabularies, merges, one number for all."""

import math
from collections import Counter


def tokenize(f):
    """Question 1."""
    tokens = f("It's <unk>,\nnot 1,000!")
    yield "\n" in "".join(tokens) or "<eos>" not in tokens, "A line end becomes a token `<eos>`."
    yield "<unk>" not in tokens, "`<unk>` falls apart. In a pattern with alternatives the first that fits wins."
    yield (
        "It's" not in tokens or "1,000" not in tokens,
        "A mark inside a word or a number belongs to it, and letters keep their case.",
    )
    yield "".join(tokens).replace("<eos>", "") != "It's<unk>,not1,000!", "Something was lost or added."
    yield f("a\n\nb").count("<eos>") != 2, "Two line ends are two tokens."
    yield f("x-y-z") != ["x-y-z"], "More than one hyphen may stand inside a word."
    yield f("1,2. 3.") != ["1,2", ".", "3", "."], "A mark at the end of a number does not belong to it."
    yield f("'a b'")[0] != "'" or f("'a b'")[-1] != "'", "A mark at the edge of a word does not belong to it."
    yield f("?!") != ["?", "!"], "Every other character is a token of its own."
    yield f("a1") != ["a", "1"] or f("a_b") != ["a", "_", "b"], "A word is a run of letters: no digit, no underscore."
    yield f("été") != ["été"] or f("мать") != ["мать"], "Letters are those of any language."
    yield f("a <eos> b") != ["a", "<eos>", "b"], "`<eos>` that stands in the text stays one token, as `<unk>` does."
    yield f("a\n") != ["a", "<eos>"], "A line end is a token at the end of the text, too."
    yield f("a\tb") != ["a", "b"], "A tab is white space."
    yield f("3-4") != ["3", "-", "4"], "A hyphen may stand inside a word, not in a number."


def build_vocabulary(f):
    """Question 2, its first half."""
    types = f(["b", "a", "b", "a", "<unk>", "<unk>", "<unk>", "c", "d", "d", "d"], 1)
    yield types.count("<unk>") != 1 or types[0] != "<unk>", "`<unk>` stands first, and once."
    yield sorted(types[1:]) != ["a", "b", "c", "d"], "With min_count 1 every type of the text belongs to it."
    yield (
        types.index("d") > types.index("a") or types.index("c") < types.index("a"),
        "Frequent types stand before rare ones.",
    )
    yield types.index("a") > types.index("b"), "Equally frequent types stand in alphabetical order."
    yield f(["a"], 1) != ["<unk>", "a"], "`<unk>` belongs to the list even where the text has none."
    yield "<eos>" not in f(["<eos>"], 1), "`<eos>` is a type like any other."


def learn_merges(f):
    """Question 3, its first half."""
    merges = f(Counter({"aab": 1, "cd": 5}), 3)
    yield merges[0] != ("c", "d"), "A pair counts as often as its word occurs."
    yield len(set(merges)) != len(merges), "One pair was merged twice: are the words cut anew after each merge?"
    yield (
        f(Counter({"ba": 1, "ab": 1}), 1) != [("a", "b")],
        "Of equally frequent pairs the first in alphabetical order is taken.",
    )
    yield (
        f(Counter({"abc": 2}), 2) != [("a", "b"), ("ab", "c")],
        "After `a b` became one piece, pairs are counted anew.",
    )
    yield f(Counter({"ab": 1}), 5) != [("a", "b")], "When no pair is left it stops."
    yield (
        f(Counter({"aaaa": 1}), 2) != [("a", "a"), ("aa", "aa")],
        "Merge `aaaa` twice by hand: every place of a pair is merged.",
    )
    yield (
        f(Counter({"ca": 5, "cab": 1, "ab": 3}), 3) != [("c", "a"), ("a", "b"), ("ca", "b")],
        "The pair `a b` is two whole pieces: it does not stand in `ca b`.",
    )
    yield (
        f(Counter({"ab": 5, "aba": 2, "ac": 2}), 2) != [("a", "b"), ("a", "c")],
        "Of the pairs `ab a` and `a c`, equally frequent, `min` takes the second.",
    )


def nats_per_character(f):
    """Question 4."""
    yield (
        not math.isclose(f(10.0, "abcde", [], 26), f(20.0, "abcdefghij", [], 26)),
        "Twice the nats on twice the characters has to give the same.",
    )
    yield (
        not math.isclose(f(8.0, "é b\n", [], 26), 2),
        "Eight nats on `é b` and a line end: four characters, whatever their bytes.",
    )
    yield f(10.0, "abcde", ["x"], 26) <= f(10.0, "abcde", [], 26), "An unknown word costs nothing."
    yield (
        not math.isclose(f(0.0, "abcde", ["xy"], 26) / f(0.0, "abcde", ["x"], 26), 1.5),
        "A word of two letters costs 3 signs, one of one letter 2: both have an end.",
    )
    yield (
        not math.isclose(f(0.0, "abcde", ["x", "x"], 26), 2 * f(0.0, "abcde", ["x"], 26)),
        "A word that is unknown twice is spelt twice.",
    )
    yield (
        not math.isclose(f(0.0, "ab", ["x"], 1), math.log(2)),
        "With an alphabet of one letter there are two signs. What does each cost, in nats?",
    )


HINTS = (tokenize, build_vocabulary, learn_merges, nats_per_character)
