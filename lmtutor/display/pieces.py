"""How several schemes cut one text: in Python, and in a page that has no kernel (``pieces.js``)."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmtutor.system.errors import LMTutorError
from lmtutor.text.tokenizers import Normalisation, treebank_rules
from lmtutor.text.vocabulary import Vocabulary

# What JavaScript writes in other words: what Python takes for a letter of a word, and NLTK's own library `regex` does.
_LETTERS_OF_RE = r"[\p{L}\p{N}_]"
_LETTERS_OF_REGEX = r"[\p{Alphabetic}\p{M}\p{Decimal_Number}\p{Connector_Punctuation}\p{Join_Control}]"
_BLANK = r"[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
_DIFFERENT = re.compile(r"\\([wdsb\"'<>])|\(\?#X\)|\(\?i\)|(?<=\*)\+")


class Pieces:
    """The tokens that each of several vocabularies makes of a text; what it lacks stands between ⟦ ⟧.

    Parameters
    ----------
    vocabularies
        What to call each scheme -> the vocabulary, with its tokenizer.
    """

    def __init__(self, vocabularies: Mapping[str, Vocabulary]):
        self.vocabularies = dict(vocabularies)

    def __call__(self, text: str) -> str:
        """Return the text, and two lines for each scheme: its name and the number of tokens, and the tokens."""
        lines = [text]
        for label, vocab in self.vocabularies.items():
            tokens = vocab.tokenizer.tokenize(text)
            shown = " ".join(token if token in vocab else f"⟦{token}⟧" for token in tokens)
            lines.append(f"{label}, {len(tokens)} tokens:\n{shown}")
        return "\n\n".join(lines)

    def in_page(self) -> str:
        """Return the same as JavaScript: an expression whose value is a function from a text to those lines.

        The page has no Punkt to find the ends of sentences: Treebank words take a text for one sentence there.

        Raises
        ------
        LMTutorError
            If a tokenizer changes the text before it cuts it: the page does not.
        """
        schemes = [_scheme(label, vocab) for label, vocab in self.vocabularies.items()]
        data = json.dumps(schemes, ensure_ascii=False, separators=(",", ":"))
        data = data.replace("<", r"\u003c")  # it stands in a script, which </script> would end
        code = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
        return f"({code.rstrip()})({data})"


def _scheme(label: str, vocab: Vocabulary) -> dict[str, Any]:
    tokenizer = vocab.tokenizer
    if tokenizer.normalisation != Normalisation():
        raise LMTutorError(f"{label}: a page cannot normalise ({tokenizer.normalisation}): switch it off.")
    learned = None
    if tokenizer.name == "treebank":
        learned = _treebank_rules()
    elif tokenizer.name == "bpe":
        pairs = json.loads(tokenizer.merges)["model"]["merges"]
        learned = [" ".join(pair) for pair in pairs]
    return {"label": label, "kind": tokenizer.name, "learned": learned, "types": vocab.tokens}


def _treebank_rules() -> list[tuple[str, str, str]]:
    """NLTK's rules in their order: pattern, flags and replacement, as JavaScript writes them."""
    Rules = treebank_rules()
    pairs = [*Rules.STARTING_QUOTES, *Rules.PUNCTUATION, Rules.PARENS_BRACKETS, Rules.DOUBLE_DASHES]
    pairs += [(re.compile("^|$"), " "), *Rules.ENDING_QUOTES]  # these ask for a space on each side
    pairs += [(pattern, r" \1 \2 ") for pattern in (*Rules.CONTRACTIONS2, *Rules.CONTRACTIONS3)]
    return [
        (
            _in_javascript(pattern),
            "i" if pattern.flags & re.IGNORECASE else "",
            re.sub(r"\\g<0>", "$&", replacement).replace("\\", "$"),
        )
        for pattern, replacement in pairs
    ]


def _in_javascript(pattern: Any) -> str:
    letter = _LETTERS_OF_RE if isinstance(pattern, re.Pattern) else _LETTERS_OF_REGEX
    border = f"(?:(?<={letter})(?!{letter})|(?<!{letter})(?={letter}))"
    # What else has a backslash there needs none.
    different = {"w": letter, "d": r"\p{Decimal_Number}", "s": _BLANK, "b": border, None: ""}
    return _DIFFERENT.sub(lambda match: different.get(match[1], match[1]), pattern.pattern)
