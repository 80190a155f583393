"""Tokenizers and the vocabulary: what goes in comes out, and specials stay whole."""

import json
import time
import unicodedata
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lmtutor.system.errors import LMTutorError
from lmtutor.text.byte_pairs import BytePairs
from lmtutor.text.tokenizers import SPECIAL, SPECIALS, Characters, Normalisation, Tokenizer, Treebank, get_tokenizer
from lmtutor.text.vocabulary import Vocabulary

STORY = """Mr. Holmes didn't look up. “It is <unk>,” said Dr. Watson. "Is it?"
He had read 3.5 pages of it.

The next day Mr. Holmes, of St. James's, wasn't there; Dr. Watson was. Mr. Holmes came at 6 p.m.
"""
FITTED = {name: get_tokenizer(name).fit([STORY] * 20) for name in Tokenizer.kinds}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=60)
any_script = st.one_of(texts, st.text("ab .,'\n<unk>\"", max_size=60), st.just("他说：「你好」。\n"))


@pytest.mark.parametrize("name", FITTED)
def test_specials_stay_one_token(name):
    text = "one <unk>, two <eos> <bos>three <pad>\n"
    tokens = FITTED[name].tokenize(text)
    assert [t for t in tokens if t in SPECIALS[:1] + SPECIALS[2:]] == ["<unk>", "<bos>", "<pad>"]
    assert tokens.count("<eos>") == (1 if name == "characters" else 2)
    assert not [t for t in tokens if "<" in t and t not in SPECIALS]


@pytest.mark.parametrize("name", FITTED)
def test_a_tokenizer_survives_json(name):
    again = Tokenizer.from_dict(json.loads(json.dumps(FITTED[name].to_dict())))
    assert type(again) is type(FITTED[name])
    assert again.tokenize(STORY) == FITTED[name].tokenize(STORY)


@given(any_script)
def test_characters_and_byte_pairs_are_exact(text):
    for name in ("characters", "bpe"):
        if name == "bpe" and "<eos>" in text:
            continue  # a written <eos> comes back as the line end that it means
        assert FITTED[name].detokenize(FITTED[name].tokenize(text)) == text


@given(any_script)
def test_words_are_exact_up_to_blanks(text):
    words = FITTED["words"]
    tokens = words.tokenize(text)
    back = words.detokenize(tokens)
    assert words.tokenize(back) == tokens
    if not SPECIAL.search(text):
        assert [line.split() for line in back.split("\n")] == [line.split() for line in text.split("\n")]


@given(any_script)
def test_treebank_loses_no_character_but_blanks(text):
    def bare(t):
        return "".join(t.replace("``", '"').replace("''", '"').replace('"', "”").split())

    text = text.replace("`", "").replace("'", "")
    tokens = [t for t in FITTED["treebank"].tokenize(text) if t != "<eos>"]
    curved = str.maketrans({"“": "”", "‘": "`", "’": "'"})
    assert bare("".join(tokens)) == bare(text.translate(curved))


def test_treebank_knows_the_abbreviations_of_its_own_text():
    tokens = FITTED["treebank"].tokenize("Mr. Holmes came. He didn't go to St. James's.\n")
    assert tokens == "Mr. Holmes came . <eos> He did n't go to St. James 's . <eos>".split()


def test_treebank_agrees_with_nltk_on_plain_sentences():
    from nltk.tokenize import NLTKWordTokenizer

    for sentence in ['She said, "I can\'t (yet) pay $3.50," and left.', "They'll've gone; gonna rain -- perhaps."]:
        assert FITTED["treebank"].tokenize(sentence) == NLTKWordTokenizer().tokenize(sentence)


def test_letters_of_the_private_use_area_are_letters_like_any_other():
    for letter in "\ue000\ue001\ue002\ue003":
        for tokenizer in FITTED.values():
            assert letter in tokenizer.detokenize(tokenizer.tokenize(f"glyph {letter} , more\n"))
    assert FITTED["treebank"].tokenize("glyph \ue001 (<unk>), more\n") == [
        *("glyph", "\ue001", "(", "<unk>", ")", ",", "more", "<eos>"),
    ]


def test_treebank_reads_sentences_across_lines_and_stops_at_blank_ones():
    tokens = FITTED["treebank"].tokenize("A line\nof prose. And\n\nmore of it")
    assert tokens == "A line of prose . <eos> And <eos> more of it".split()


def test_a_long_run_of_full_stops_is_read_once():
    began = time.process_time()
    assert FITTED["treebank"].tokenize("。" * 100_000) == ["。" * 100_000]
    assert time.process_time() - began < 4  # with each sign anew, half a minute


def test_byte_pairs_spell_what_they_never_saw_and_merge_what_they_did():
    pairs = FITTED["bpe"]
    assert "ĠHolmes" in pairs.tokenize("Mr. Holmes")
    assert len(pairs.tokenize("猫")) == 3 and set(pairs.tokenize("猫")) <= set(pairs.types)
    assert len(BytePairs(size=300).fit([STORY] * 5).types) == 300
    with pytest.raises(LMTutorError, match="at least 256"):
        BytePairs(size=100)


def test_what_must_learn_says_so():
    with pytest.raises(LMTutorError, match="call fit"):
        Treebank().tokenize("A text.")
    with pytest.raises(LMTutorError, match="Unknown tokenizer 'wrods'.*'words'"):
        get_tokenizer("wrods")


@given(texts, st.booleans(), st.booleans(), st.booleans())
def test_normalisation_does_what_its_switches_say(text, nfkc, whitespace, lower):
    made = Normalisation(nfkc, whitespace, lower)(text)
    if not (nfkc or whitespace or lower):
        assert made == text
    if nfkc and not lower:
        assert unicodedata.is_normalized("NFKC", made)
    if whitespace:
        assert "  " not in made and " \n" not in made and "\n " not in made
    if whitespace and not (nfkc or lower):
        assert made.split() == text.split() and made.count("\n") == text.count("\n")
    if lower and not nfkc:
        assert made == made.lower()


def test_normalisation_is_recorded_with_the_tokenizer():
    words = get_tokenizer("words", nfkc=True, lower=True)
    assert words.tokenize("Ｔhe ﬁrst") == ["the", "first"]
    assert Tokenizer.from_dict(words.to_dict()).normalisation == Normalisation(nfkc=True, lower=True)
    assert str(words.normalisation) == "nfkc, lower"


TOKENS = "b b b a a c c d <unk> <eos> <eos>".split()


def test_vocabulary_order_is_specials_then_frequency_then_alphabet():
    assert Vocabulary.build(TOKENS).tokens == ["<unk>", "<eos>", "b", "a", "c", "d"]
    assert Vocabulary.build(reversed(TOKENS)).tokens == Vocabulary.build(Counter(TOKENS)).tokens
    assert Vocabulary.build(TOKENS, min_count=2).tokens == ["<unk>", "<eos>", "b", "a", "c"]
    assert Vocabulary.build(TOKENS, max_size=4).tokens == ["<unk>", "<eos>", "b", "a"]
    with_all = Vocabulary.build(TOKENS, specials=SPECIALS)
    assert (with_all.unk_id, with_all.eos_id, with_all.bos_id, with_all.pad_id) == (0, 1, 2, 3)
    assert Vocabulary.build("hello", Characters(), specials=()).tokens == ["l", "e", "h", "o"]


@given(st.lists(st.text("abcdefg", min_size=1, max_size=2)), st.integers(1, 4), st.one_of(st.none(), st.integers(2, 9)))
def test_vocabulary_keeps_counts_promise(tokens, min_count, max_size):
    vocab = Vocabulary.build(tokens, min_count=min_count, max_size=max_size)
    counts = Counter(tokens)
    assert all(counts[t] >= min_count for t in vocab.tokens[2:])
    assert max_size is None or len(vocab) <= max_size
    ids = vocab.encode(tokens)
    assert ids.dtype == torch.long and ids.shape == (len(tokens),)
    assert vocab.decode(ids) == [t if t in vocab else "<unk>" for t in tokens]
    assert [vocab[t] for t in tokens] == ids.tolist()
    report = vocab.coverage(tokens)
    assert report["tokens"] == len(tokens)
    assert report["oov_tokens"] == sum(t not in vocab for t in tokens)
    assert report["oov_types"] == len({t for t in tokens if t not in vocab})


def test_coverage_tells_unk_in_the_text_from_out_of_vocabulary():
    vocab = Vocabulary.build(["a", "b"])
    report = vocab.coverage(["a", "<unk>", "c", "c"])
    assert (report["oov_tokens"], report["oov_types"], report["oov_rate"], report["unk_in_text"]) == (2, 1, 0.5, 1)


def test_without_unk_an_unknown_token_is_an_error():
    vocab = Vocabulary(["a", "b"], Characters())
    for call in (lambda: vocab["z"], lambda: vocab.encode(["a", "z"]), lambda: vocab.encode_text("az")):
        with pytest.raises(LMTutorError, match="'z' is not among the 2 types"):
            call()
    with pytest.raises(LMTutorError, match="lists 'a' more than once"):
        Vocabulary(["a", "b", "a"])


def test_text_goes_through_ids_and_back():
    vocab = Vocabulary.build("the cat sat <eos>".split())
    ids = vocab.encode_text("the cat\nsat dog")
    assert vocab.decode(ids) == ["the", "cat", "<eos>", "sat", "<unk>"]
    assert vocab.decode_text(ids) == "the cat\nsat <unk>"
    assert vocab.decode_text(ids.tolist()) == vocab.decode_text(ids)


def test_a_prompt_has_no_end_of_line():
    for name in FITTED:
        assert FITTED[name].tokenize("The detective")[-1] != "<eos>"
        assert FITTED[name].tokenize("The <unk>")[-1] == "<unk>"


@pytest.mark.parametrize("name", FITTED)
def test_a_vocabulary_survives_disk_with_its_tokenizer(name, tmp_path):
    vocab = Vocabulary.build(FITTED[name].tokenize(STORY), FITTED[name], min_count=2)
    vocab.save(tmp_path / "v.json")
    again = Vocabulary.load(tmp_path / "v.json")
    assert again == vocab and again != Vocabulary(["a"])
    assert torch.equal(again.encode_text(STORY), vocab.encode_text(STORY))


def test_byte_pair_vocabularies_hold_every_piece():
    vocab = Vocabulary.build(["a"], FITTED["bpe"], min_count=5, max_size=10)
    assert set(FITTED["bpe"].types) <= set(vocab.tokens)
    assert vocab.decode_text(vocab.encode_text("猫 and cat\n")) == "猫 and cat\n"


def test_a_broken_vocabulary_file_is_named():
    with pytest.raises(LMTutorError, match="not a valid vocabulary.*tokens"):
        Vocabulary.from_dict({"tokenizer": {"name": "words"}})
