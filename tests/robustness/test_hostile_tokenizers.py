"""Byte pairs from a file that is damaged, or meant to do harm, and texts that would keep them busy for minutes."""

import json
import random
import time

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from lmtutor.system.errors import LMTutorError
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.tokenizers import Tokenizer, Treebank
from lmtutor.text.vocabulary import Vocabulary

STORY = "The cat sat on the mat, and the hat sat on the cat.\nIt's 3.5 <unk> o'clock;  the cat’s “hat” 猫が座った。\n"
FITTED = BytePairs(size=300).fit([STORY] * 5)
LIMIT = 20_000
any_script = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.text("the cat\n<unk>é", max_size=60)


def changed(**parts):
    """What is saved of a sound tokenizer, with parts of its pipeline exchanged."""
    return FITTED.to_dict() | {"merges": json.dumps(json.loads(FITTED.merges) | parts)}


def model(**parts):
    return {"model": json.loads(FITTED.merges)["model"] | parts}


def complaint(saved, tmp_path):
    """The one line that reading a text with this tokenizer, from a vocabulary's file, ends in."""
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps({"tokens": ["<unk>", "a"], "tokenizer": saved}))
    began = time.perf_counter()
    with pytest.raises(LMTutorError) as caught:
        Vocabulary.load(path).encode_text("a" * 64)
    assert time.perf_counter() - began < 1
    said = str(caught.value)
    assert "\n" not in said and len(said) < 250
    return said


VOCAB, MERGES = (json.loads(FITTED.merges)["model"][part] for part in ("vocab", "merges"))
BLOWN_UP = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 64}
PADDING = {"strategy": {"Fixed": 300_000_000}, "direction": "Right", "pad_to_multiple_of": None}
PADDING |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "!"}
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}], "pair": []}
TRUNCATION = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 5}
SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
ADDED = {"id": 0, "content": "a", "special": True, "single_word": False, "lstrip": False, "rstrip": False}
HOSTILE = {
    "text that explodes": changed(normalizer={"type": "Sequence", "normalizers": [BLOWN_UP] * 5}),
    "another form of the text": changed(normalizer={"type": "Lowercase"}),
    "endless padding": changed(padding=PADDING),
    "no decoder": changed(decoder=None),
    "a decoder of another kind": changed(decoder={"type": "Fuse"}),
    "a post-processor without its token": changed(post_processor=TEMPLATE | {"special_tokens": {}}),
    "a stride beyond the length": changed(truncation=TRUNCATION),
    "a regex that backtracks": changed(pre_tokenizer=SPLIT),
    "nothing before the model": changed(pre_tokenizer=None),
    "an added token": changed(added_tokens=[ADDED]),
    "a word model": changed(model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}),
    "a unigram model": changed(model={"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]]}),
    "another kind with our parts": changed(**model(type="WordPiece")),
    "no model": changed(model=None),
    "a list as vocabulary": changed(**model(vocab=list(VOCAB))),
    "no pieces": changed(**model(vocab={}, merges=[])),
    "a byte missing": changed(**model(vocab={str(i): i for i in range(300)}, merges=[])),
    "ids that are no numbers": changed(**model(vocab=VOCAB | {"a": "0"})),
    "an id that is no whole number": changed(**model(vocab={piece: float(i) for piece, i in VOCAB.items()})),
    "an id twice": changed(**model(vocab=VOCAB | {"a": 0})),
    "a negative id": changed(**model(vocab=VOCAB | {"a": -1})),
    "an id far away": changed(**model(vocab=VOCAB | {"a": 4_000_000_000})),
    "an id beyond the library's": changed(**model(vocab=VOCAB | {"a": 2**80})),
    "half a character": changed(**model(vocab=VOCAB | {"\ud800": len(VOCAB)})),
    "merges as a number": changed(**model(merges=7)),
    "merges of one piece": changed(**model(merges=[["a"]])),
    "merges of three pieces": changed(**model(merges=[["a", "b", "c"]])),
    "merges of numbers": changed(**model(merges=[[1, 2]])),
    "merges of lists": changed(**model(merges=[[["a"], "b"]])),
    "merges of an unknown piece": changed(**model(merges=[*MERGES, ["a", "[X]"]])),
    "merges into an unknown piece": changed(**model(merges=[*MERGES, ["\u0120the", "\u0120the"]])),
    "no JSON": FITTED.to_dict() | {"merges": FITTED.merges[:-9]},
    "JSON too deep": FITTED.to_dict() | {"merges": "[" * 100_000},
    "JSON of another kind": FITTED.to_dict() | {"merges": "[1]"},
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_fit_did_not_save_is_refused(case, tmp_path):
    said = complaint(HOSTILE[case], tmp_path)
    assert said == "the tokenizer's byte pairs are damaged: fit it again, or restore its file."
    with pytest.raises(LMTutorError, match="damaged"):
        Tokenizer.from_dict(HOSTILE[case]).detokenize(["a"])
    with pytest.raises(LMTutorError, match="damaged"):
        Tokenizer.from_dict(HOSTILE[case]).types  # noqa: B018


@pytest.mark.parametrize(
    "part",
    [{"merges": 7}, {"size": "300"}, {"size": True}, {"more": 1}, {"more": None}, {"name": [1]}, {"normalisation": 5}]
    + [{"normalisation": {"lower": 1}}, {"normalisation": {"upper": True}}],
)
def test_settings_of_the_wrong_kind(part, tmp_path):
    assert "tokenizer" in complaint(FITTED.to_dict() | part, tmp_path)


PUNKT = Treebank().fit([STORY] * 5).to_dict()


@pytest.mark.parametrize("part", PUNKT["punkt"])
@pytest.mark.parametrize("value", [None, 5, "abc", [1], [["a"], 2], {"a": "b"}, {"a": 1.5}])
def test_punkt_that_was_not_learned(part, value, tmp_path):
    said = complaint(PUNKT | {"punkt": PUNKT["punkt"] | {part: value}}, tmp_path)
    assert said == "not a valid tokenizer: punkt is damaged: fit it again."


def test_settings_of_the_parts_are_ours():
    """A number in the right kind of part changes nothing: the pipeline is always the one that `fit` trains."""
    before = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": False}
    for saved in (changed(pre_tokenizer=before), changed(**model(dropout=0.9, ignore_merges=True, unk_token="!"))):
        again = Tokenizer.from_dict(saved)
        assert again.tokenize(STORY) == FITTED.tokenize(STORY)
        assert again.detokenize(again.tokenize(STORY)) == STORY


def test_what_fit_saves_has_not_changed():
    """Files of earlier versions hold the library's own JSON; it comes back to the letter from what is made of it."""
    saved = json.loads(json.dumps(FITTED.to_dict()))
    assert set(saved) == {"name", "normalisation", "size", "merges"}
    again = Tokenizer.from_dict(saved)
    assert again.to_dict() == FITTED.to_dict() == saved
    assert json.loads(again._pairs.to_str()) == json.loads(saved["merges"])
    assert sorted(again.types) == sorted(VOCAB) and len(again.types) == 300


def test_tokens_by_hand():
    pairs = BytePairs(size=259).fit(["ab ab abc abc abc\n"])
    assert json.loads(pairs.merges)["model"]["merges"] == [["a", "b"], ["\u0120", "ab"], ["\u0120ab", "c"]]
    assert pairs.tokenize("ab abc\nb <unk>é") == ["ab", "\u0120abc", "<eos>", "b", "\u0120", "<unk>", "Ã", "©"]
    assert pairs.detokenize(["ab", "\u0120abc", "<eos>", "<eos>", "Ã", "©", "<unk>", "b"]) == "ab abc\n\né<unk>b"
    assert pairs.detokenize([]) == "" and pairs.tokenize("") == []


def test_nothing_to_learn_from_leaves_the_bytes():
    for saved in (BytePairs().fit([]), BytePairs(size=256).fit([STORY])):
        again = Tokenizer.from_dict(saved.to_dict())
        assert len(again.types) == 256 and again.detokenize(again.tokenize(STORY)) == STORY


@given(any_script)
def test_tokens_are_those_of_the_saved_pipeline(text):
    """The road that files took before: the library reads all of its own JSON."""
    before, again = tokenizers.Tokenizer.from_str(FITTED.merges), Tokenizer.from_dict(FITTED.to_dict())
    tokens = []
    for piece in FITTED._seam.split(text):
        special = {"\n": ["<eos>"], "<unk>": ["<unk>"]}.get(piece)
        tokens += special or before.encode(piece).tokens
    assert again.tokenize(text) == FITTED.tokenize(text) == tokens
    assert again.detokenize(tokens) == text


def test_a_run_without_whitespace_is_refused_by_both_roads():
    letters = "".join(random.Random(1).choices("abcdefgh", k=1_000_000))
    for text, said in (
        (letters, "1,000,000 letters"),
        ("two words " + letters[: LIMIT + 1] + "\n", "20,001 letters"),
        ("a" + " \t" * LIMIT + "b\n", "40,000 letters, digits, signs or spaces"),
        ("!\x1c" * LIMIT, "40,000 letters"),  # no whitespace to the library
        ("1Ⅷ1²" * LIMIT, "80,000 letters, digits"),  # all four are digits to it
    ):
        for road in (FITTED.tokenize, lambda text: BytePairs(size=300).fit([STORY, text])):
            began = time.perf_counter()
            with pytest.raises(LMTutorError) as caught:
                road(text)
            assert time.perf_counter() - began < 1
            assert said in str(caught.value) and "\n" not in str(caught.value)
            assert "at most 20,000: break its lines, or read it as 'characters'." in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "吾輩は猫である。名前はまだ無い。" * (LIMIT // 4),
        "a" * LIMIT + " " + "b" * LIMIT + "\n",
        ("a" * 15_000 + "\n") * 3,
        "a" * 15_000 + "<unk>" + "b" * 15_000,
        "one line, many words; " * 5000,
        "<p>x1,</p>" * LIMIT,
    ],
    ids=["Japanese", "two runs", "three lines", "a special between", "one long line", "signs between"],
)
def test_up_to_the_limit_all_is_read(text):
    for pairs in (FITTED, BytePairs(size=300).fit([text])):
        assert pairs.detokenize(pairs.tokenize(text)) == text


def test_half_a_character_is_refused():
    for road in (FITTED.tokenize, lambda text: BytePairs().fit([text]), lambda text: FITTED.detokenize([text])):
        with pytest.raises(LMTutorError, match="half a character"):
            road("a\ud800b")


def test_a_size_beyond_all_memory():
    """The library would set memory aside for each of these pieces, and end the process."""
    assert BytePairs(size=10**13).fit([STORY]).types


def test_what_a_text_raises_is_not_the_library():
    def texts():
        yield STORY
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        BytePairs().fit(texts())
