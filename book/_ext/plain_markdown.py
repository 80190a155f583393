"""MyST Markdown turned into the plain Markdown that JupyterLab, Colab and Binder show.

A directive becomes what it means: a note a quotation with a bold title, an exercise a heading, a solution a `<details>`
element. A role becomes its text or a link. What has no plain form is an error, so that no notebook shows braces.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

FENCE = re.compile(r"^( *)(`{3,}|:{3,}|~{3,})(?:\{([\w:-]+)\})?[ \t]*(.*)$")
ROLE = re.compile(r"\{([a-z:]+)\}`([^`]+)`", flags=re.S)
FORMULA = re.compile(r"^\$\$[ \t]*\n(.*?)^\$\$[ \t]*(?:\(([\w:-]+)\)[ \t]*)?$", flags=re.M | re.S)
LABEL = re.compile(r"\s*\\label\{([\w:-]+)\}")
EXPLICIT = re.compile(r"^(.*?)\s*<([^<>]+)>$", flags=re.S)
ADMONITIONS = {"note", "warning", "tip", "hint", "important", "caution", "attention", "seealso", "danger", "error"}
NO_BODY = {"solution-end", "exercise-end", "index", "contents", "tableofcontents"}


class NoPlainForm(ValueError):
    """A directive or role that this module does not know."""


@dataclass
class Links:
    """How a page's references read and where they lead: each a function from a target to (text, address or None)."""

    document: Callable[[str], tuple[str, str | None]]
    citation: Callable[[str], tuple[str, str | None]]  # a key -> ("Grave et al., 2017", address)
    label: Callable[[str], str]  # the text of a figure, exercise or section
    equation: Callable[[str], str]  # its number
    exercises: dict[str, int] = field(default_factory=dict)  # label -> number on this page, filled on the way


def link(text: str, address: str | None) -> str:
    return f"[{text}]({address})" if address else text


def role(name: str, content: str, links: Links) -> str:
    """Return one role as plain Markdown."""
    explicit = EXPLICIT.match(content)
    text, target = (explicit[1], explicit[2]) if explicit else (None, content)
    if name == "term":
        return text or target
    if name == "doc":
        title, address = links.document(target)
        return link(text or title, address)
    if name in ("cite:p", "cite", "cite:t"):
        cited = [links.citation(key.strip()) for key in target.split(",")]
        if name == "cite:t":
            return ", ".join(link(re.sub(r", (\d{4}\w?)$", r" (\1)", said), address) for said, address in cited)
        return f"({'; '.join(link(said, address) for said, address in cited)})"
    if name in ("ref", "numref"):
        return text or (f"exercise {links.exercises[target]}" if target in links.exercises else links.label(target))
    if name == "eq":
        return f"({links.equation(target)})"
    if name in ("class", "func", "meth", "mod", "attr", "data", "py:func", "py:class", "py:meth", "code"):
        short = target.rsplit(".", 1)[-1] if target.startswith("~") else target
        return f"`{text or short}`"
    if name == "math":
        return f"${content}$"
    if name in ("index", "kbd", "abbr", "sub", "sup"):
        return text or target
    raise NoPlainForm(f"the role {{{name}}}`{content}` has no plain form")


def formula(latex: str, label: str | None, links: Links) -> str:
    """Return a displayed formula with its number, or a number at the end of each line that has one."""
    latex = LABEL.sub(lambda m: rf"\qquad ({links.equation(m[1])})", latex.strip())
    if "&" in latex and r"\begin" not in latex:
        latex = f"\\begin{{aligned}}\n{latex}\n\\end{{aligned}}"
    tag = rf" \tag{{{links.equation(label)}}}" if label else ""
    return f"$$\n{latex}{tag}\n$$"


def inline(text: str, links: Links) -> str:
    """Replace the roles outside of code."""
    text = ROLE.sub(lambda m: role(m[1], re.sub(r"\s*\n\s*", " ", m[2]), links), text)
    text = FORMULA.sub(lambda m: formula(m[1], m[2], links), text)
    return re.sub(r"^\([\w:.-]+\)=[ \t]*\n", "", text, flags=re.M)


def quoted(title: str, body: str) -> str:
    lines = ([f"**{title}**", ""] if title else []) + body.strip("\n").splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def options(body: list[str]) -> tuple[Mapping[str, str], list[str]]:
    """Split the options (`:name: value`, or between `---`) off the lines of a directive."""
    found = {}
    while body and (match := re.match(r"^\s*:([\w-]+):\s*(.*)$", body[0])):
        found[match[1]] = match[2]
        body = body[1:]
    return found, body


def directive(name: str, argument: str, body: list[str], links: Links) -> str:
    """Return one directive as plain Markdown."""
    found, body = options(body)
    inner = plain("\n".join(body), links)
    if name in NO_BODY:
        return ""
    if name == "div":
        return quoted("", inner) if "question" in argument else inner
    if name in ADMONITIONS:
        return quoted(argument or name.capitalize(), inner)
    if name in ("admonition", "dropdown", "topic"):
        return quoted(inline(argument, links), inner)
    if name in ("exercise", "exercise-start"):
        number = links.exercises.setdefault(found.get("label", ""), len(links.exercises) + 1)
        return f"#### Exercise {number}{': ' + inline(argument, links) if argument else ''}\n\n{inner}".rstrip()
    if name == "solution":
        return f"<details>\n<summary><b>{solution(argument, links)}</b></summary>\n\n{inner}\n\n</details>"
    if name == "solution-start":
        return f"#### {solution(argument, links)}"
    if name == "glossary":
        return glossary(body, links)
    if name in ("figure", "image"):
        caption = f"\n\n*{' '.join(inner.split())}*" if inner.strip() else ""
        return f"![{found.get('alt', '')}]({argument}){caption}"
    if name == "math":
        return formula("\n".join(body), found.get("label"), links)
    if name in ("epigraph", "pull-quote"):
        return quoted("", inner)
    if name in ("playground", "exhibit", "attending"):
        return "*In the book, a model runs in this place in the reader's browser.*"
    if name in ("stepper", "dropouts", "recalling"):
        return "*In the book, a picture in this place takes you through the steps.*"
    if name == "cards":  # "- 03-lstm: derive the cell"
        entries = [re.sub(r"^- ([\w-]+): ", r"- {doc}`chapters/\1`: you can ", line) for line in body]
        return inline("\n".join(entries), links)
    raise NoPlainForm(f"the directive {{{name}}} has no plain form")


def solution(argument: str, links: Links) -> str:
    number = links.exercises.get(argument.strip())
    return f"Solution of exercise {number}" if number else "Solution"


def glossary(body: list[str], links: Links) -> str:
    """Terms in bold, each with its definition behind it."""
    entries, terms, text = [], [], []
    for line in [*body, "end"]:
        if line.strip() and not line.startswith(" "):
            if text:
                entries.append(f"**{', '.join(terms)}**: {inline(' '.join(text), links)}")
                terms, text = [], []
            terms.append(line.strip())
        elif line.strip():
            text.append(line.strip())
    return "\n\n".join(entries)


def plain(text: str, links: Links) -> str:
    """Return MyST Markdown as plain Markdown.

    Raises
    ------
    NoPlainForm
        If the text uses a directive or a role that has none.
    """
    out, prose, lines, at = [], [], text.split("\n"), 0

    def flush() -> None:
        out.append(inline("\n".join(prose), links)) if prose else None
        prose.clear()

    while at < len(lines):
        opened = FENCE.match(lines[at])
        if not opened:
            prose.append(lines[at])
            at += 1
            continue
        indent, fence, name, argument = opened.groups()
        closes = re.compile(rf"^ *{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
        end = next((i for i in range(at + 1, len(lines)) if closes.match(lines[i])), len(lines))
        body = [line.removeprefix(indent) for line in lines[at + 1 : end]]
        flush()
        if name:
            shown = directive(name, argument.strip(), body, links)
            out.append("\n".join(indent + line for line in shown.split("\n")) if shown else "")
        else:
            out.append("\n".join(lines[at : end + 1]))
        at = end + 1
    flush()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")
