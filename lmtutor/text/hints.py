"""Where a tokenizer plainly does not fit a text: a hint which would."""

import re

from lmtutor.text.tokenizers import Tokenizer

MANY_UNKNOWN = 0.2  # share of the tokens
# Thai to Burmese, Khmer, Tai, kana, Chinese characters: written without spaces between words.
WITHOUT_BLANKS = re.compile(
    "[\u0e00-\u109f\u1780-\u17ff\u1950-\u1aaf\u3040-\u312f\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
CLINGING = re.compile(r"\w[,;:!?.]+[\"”’»)]*$")
DATA = re.compile(r'\ufeff?\s*(\[?\s*\{\s*"|<\?xml|<!doctype)', re.IGNORECASE)
TABLE = re.compile(r"\.(jsonl|ndjson|csv|tsv)(\.(gz|bz2|xz|zip))?$", re.IGNORECASE)


def hint(name: str, text: str, tokenizer: Tokenizer, unknown: float) -> str:
    """Say in a sentence which tokenizer would fit a text better; nothing where this one fits.

    Parameters
    ----------
    name
        Of the file, as far as it has one.
    text
        Its beginning.
    unknown
        The share of its tokens that the vocabulary lacks.
    """
    if TABLE.search(name):
        return f"Hint: this is a table; name the column that is the text, as in {name}:text."
    if _is_table(text.split("\n")[:20]):
        return "Hint: this looks like a table; name its file NAME.csv or NAME.tsv, and the column: NAME.csv:text."
    if DATA.match(text):
        return "Hint: this is JSON or XML, and its marks count as text; take the text out of it."
    if tokenizer.name in ("words", "treebank") and len(WITHOUT_BLANKS.findall(text)) > len(text) / 5:
        return "Hint: this script has no spaces between words; use the tokenizer 'characters' or 'bpe'."
    words = text.split()
    if tokenizer.name == "words" and sum(map(bool, map(CLINGING.search, words))) > len(words) / 20:
        return (
            "Hint: full stops and commas stick to the words; use the tokenizer 'treebank', or put spaces around them."
        )
    if unknown > MANY_UNKNOWN:
        return f"Hint: {unknown:.0%} of the tokens are unknown, and <unk> is easy to guess; use more types, or 'bpe'."
    return ""


def _is_table(lines: list[str]) -> bool:
    """Whether all of at least five lines have as many tabs, commas or semicolons, and the first none before a blank."""
    rows = [line.strip() for line in lines if line.strip()]
    return len(rows) >= 5 and any(
        len({row.count(mark) for row in rows}) == 1 and mark in rows[0] and f"{mark} " not in rows[0] for mark in "\t,;"
    )
