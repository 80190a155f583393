"""Docstrings are read in the editor first: here what Sphinx would misread in them is put as it wants it.

Formulas are plain text, indented after a blank line; Sphinx would take them for quotations and run their lines
together. A parameter whose name says its type is explained in the same line, ``lr : learning rate.``; Sphinx would
take the sentence for a type, and in a list of errors for nothing at all. And a colon within a sentence is none between
a name and its type, which has a blank on each side. What a dataclass has to say of its fields stands in the comments
beside them, which Sphinx does not read.
"""

import ast
import inspect
import re
from functools import cache
from pathlib import Path

SECTION = re.compile(r"^-{3,}\s*$")
SENTENCE, HIDDEN = re.compile(r"(?<=[^\s:`]):(?= |$)"), "\ue000"
ARRAY = re.compile(r"~?(?:numpy\.)?ndarray\[tuple\[~?(?:typing\.)?Any, \.\.\.\], ~?(?:numpy\.)?dtype\[[^\]]*\]\]")
NAME = re.compile(r"(?<![`:\w])`(\w*[A-Z_]\w*)`(?!`)")
ROOT = Path(__file__).resolve().parents[2]
ANYTHING = re.compile(r"^\(\*args(: ~?[\w.]+)?, \*\*kwargs(: ~?[\w.]+)?\)$")
FACTORY = re.compile(r"(?<=: )(~?[\w.]+)(\[[^=:]*\])? = <factory>")
EMPTY = {"list": "[]", "dict": "{}"}
COMMENTED = re.compile(r"^    (\w+): .*?  # (.+)$", flags=re.M)  # a field of a dataclass or named tuple
FIELD = re.compile(r"(?P<name>\*{0,2}\w[\w, *]*) : (?P<said>.+)$")


def fields_are_parameters(app, what, name, thing, options, lines: list[str]) -> None:
    """Add what the comments beside the fields of a dataclass or named tuple say, as its parameters, in place."""
    if hasattr(thing, "__dataclass_fields__") or hasattr(thing, "_fields"):
        fields = COMMENTED.findall(inspect.getsource(thing))
        if fields:
            lines += ["", "Parameters", "----------"]
            lines += [line for field, said in fields for line in (field, f"    {said.removesuffix('.')}.")]


@cache
def explained() -> dict[str, str]:
    """Return where the reference explains a class or function, by its name, if only one has it."""
    found: dict[str, list[str]] = {}
    for path in (ROOT / "lmtutor").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) and "cli" not in module:
                found.setdefault(node.name, []).append(f"{module}.{node.name}")
    return {name: places[0] for name, places in found.items() if len(places) == 1 and not name.startswith("_")}


def names_are_links(app, what, name, thing, options, lines: list[str]) -> None:
    """Link a class, or a function of several words, where another docstring names it as code, in place."""

    def link(match: re.Match) -> str:
        place = explained().get(match[1], name)
        return match[0] if place == name else f":py:obj:`~{place}`"

    lines[:] = [NAME.sub(link, line) for line in lines]


def formulas_are_literal(app, what, name, thing, options, lines: list[str]) -> None:
    """Mark the indented blocks above a docstring's first section (Parameters, Returns ...) as literal, in place."""
    end = next((number - 1 for number, line in enumerate(lines) if SECTION.match(line)), len(lines))
    marked, inside, before = [], False, ""
    for line in lines[:end]:
        indented = line.startswith("    ")
        starts = indented and not inside and marked and not marked[-1].strip()
        if starts and not before.endswith("::") and not re.match(r"(- |\* |\d+\. |\.\. |>>>)", before):
            marked += ["::", ""]
        if line.strip():
            if not indented and inside and marked[-1].strip():
                marked.append("")
            inside, before = indented, line.strip()
        marked.append(line)
    lines[:end] = marked


def colons_are_no_types(app, what, name, thing, options, lines: list[str]) -> None:
    """Hide the colons of sentences from napoleon, in place: in sections, and in the first line of a property."""
    begin = next((number for number, line in enumerate(lines) if SECTION.match(line)), len(lines))
    for number, line in enumerate(lines):
        if (number > begin and not line.startswith(" ")) or (number == 0 and what in ("property", "attribute", "data")):
            lines[number] = SENTENCE.sub(HIDDEN, line)


def colons_come_back(app, what, name, thing, options, lines: list[str]) -> None:
    """Show the hidden colons again, in place."""
    lines[:] = [line.replace(HIDDEN, ":") for line in lines]


def sentences_are_no_types(app, what, name, thing, options, lines: list[str]) -> None:
    """Put a sentence beside a name below it, where a description stands, in place."""
    section, moved = "", []
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and SECTION.match(lines[number + 1]):
            section = line.strip()
        field = FIELD.match(line)
        if section in ("Parameters", "Attributes", "Returns", "Raises") and field:
            following = lines[number + 1] if number + 1 < len(lines) else ""
            goes_on = following.startswith("    ") and following.strip()[:1].islower()
            alone = section == "Returns" and not following.startswith("    ")
            if section == "Raises" or field["said"].endswith(".") or goes_on or alone:
                moved += [field["name"], "    " + field["said"]]
                continue
        moved.append(line)
    lines[:] = moved


def short_signature(app, what, name, thing, options, signature: str | None, returns: str | None):
    """Return a signature with arrays as arrays and a dataclass's fresh defaults; none where it says nothing."""

    def default(match: re.Match) -> str:
        name = match[1].rsplit(".", 1)[-1]
        return f"{match[1]}{match[2] or ''} = {EMPTY.get(name, f'{name}()')}"

    def short(text: str | None) -> str | None:
        return text and FACTORY.sub(default, ANYTHING.sub("", ARRAY.sub("ndarray", text))).replace("t.Any", "Any")

    return short(signature), short(returns)


def fields_say_more_than_their_number(app, what, name, thing, skip, options) -> bool | None:
    """Leave out what a named tuple says of its fields by itself; the docstring of the tuple explains them."""
    return True if (getattr(thing, "__doc__", None) or "").startswith("Alias for field number") else None


def setup(app):
    app.connect("autodoc-process-signature", short_signature)
    app.connect("autodoc-skip-member", fields_say_more_than_their_number)
    app.connect("autodoc-process-docstring", fields_are_parameters, priority=390)
    app.connect("autodoc-process-docstring", names_are_links, priority=395)
    app.connect("autodoc-process-docstring", formulas_are_literal, priority=400)
    app.connect("autodoc-process-docstring", sentences_are_no_types, priority=410)
    app.connect("autodoc-process-docstring", colons_are_no_types, priority=420)  # napoleon follows at 500
    app.connect("autodoc-process-docstring", colons_come_back, priority=600)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
