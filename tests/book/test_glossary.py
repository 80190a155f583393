"""The glossary: every term that a page links to is defined, and what is defined is used."""

import re
from functools import cache
from pathlib import Path

BOOK = Path(__file__).resolve().parents[2] / "book"
GLOSSARY = BOOK / "appendix" / "glossary.md"
BLOCKS = re.compile(r"^```\{glossary\}\n(.*?)^```$", flags=re.M | re.S)
ROLE = re.compile(r"\{term\}`([^`]+)`", flags=re.S)


@cache
def entries() -> dict[str, str]:
    """Return the text of each term, read from the `{glossary}` directives."""
    found: dict[str, str] = {}
    for block in BLOCKS.findall(GLOSSARY.read_text("utf-8")):
        for entry in block.strip("\n").split("\n\n"):
            terms = [line.strip() for line in entry.splitlines() if not line.startswith(" ")]
            text = " ".join(line.strip() for line in entry.splitlines() if line.startswith(" "))
            for term in terms:
                assert term not in found, f"{term!r} is defined twice"
                found[term] = text
    return found


def linked(text: str) -> list[str]:
    """Return the terms that a text links to: of `shown <term>` the part between the brackets."""
    targets = (re.sub(r"\s+", " ", target).strip() for target in ROLE.findall(text))
    return [match[1] if (match := re.search(r"<([^<>]+)>$", target)) else target for target in targets]


def plain(text: str) -> str:
    """Return a text in lower case, with spaces for all of `-`, `_` and white space."""
    return re.sub(r"[-_\s]+", " ", text.casefold())


def reference() -> str:
    """Return the package's source, whose docstrings are the page "The package"."""
    return " ".join(path.read_text("utf-8") for path in sorted((BOOK.parent / "lmtutor").rglob("*.py")))


def pages() -> dict[str, str]:
    """Return the text of every page but the glossary."""
    return {path.name: path.read_text("utf-8") for path in sorted(BOOK.rglob("*.md")) if path != GLOSSARY}


def test_the_field_is_covered():
    assert len(entries()) >= 50
    for term, text in entries().items():
        assert len(text) > 30, f"{term!r} is hardly explained"
        assert text.rstrip().endswith((".", ".)", "$", "$.")), f"{term!r} ends in mid-sentence: …{text[-40:]!r}"


def test_terms_of_a_section_are_in_order():
    for block in BLOCKS.findall(GLOSSARY.read_text("utf-8")):
        terms = [entry.splitlines()[0] for entry in block.strip("\n").split("\n\n")]
        assert terms == sorted(terms, key=str.casefold)


def test_every_term_that_is_linked_is_defined():
    known = {term.casefold() for term in entries()}
    for name, text in {**pages(), GLOSSARY.name: GLOSSARY.read_text("utf-8")}.items():
        unknown = [term for term in linked(text) if term.casefold() not in known]
        assert not unknown, f"{name} links to terms that the glossary lacks: {sorted(set(unknown))}"


def test_every_term_that_is_defined_is_used():
    """Some page links to it or says it, be it the reference."""
    told = plain(" ".join([*pages().values(), reference()]))
    links = {term.casefold() for text in pages().values() for term in linked(text)}

    def said(term: str) -> bool:
        return re.search(rf"(?<!\w){re.escape(plain(term))}(s|es)?(?!\w)", told) is not None

    unused = [term for term in entries() if term.casefold() not in links and not said(term)]
    assert not unused, f"no page uses these terms: {unused}"


def test_chapters_link_their_terms():
    """A chapter that never links to the glossary has forgotten its readers."""
    for name, text in pages().items():
        if re.match(r"\d\d-", name):
            assert len(set(linked(text))) >= 5, f"{name} links to {len(set(linked(text)))} terms"
