"""Docstrings are read in the editor first: here what Sphinx would misread in them is put as it wants it.

Formulas are plain text, indented after a blank line; Sphinx would take them for quotations and run their lines
together. And a parameter whose name says its type is explained in the same line, ``lr : learning rate.``; Sphinx would
take the sentence for a type, and in a list of errors for nothing at all.
"""

import re

SECTION = re.compile(r"^-{3,}\s*$")
FIELD = re.compile(r"(?P<name>\*{0,2}\w[\w, *]*) : (?P<said>.+)$")


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


def sentences_are_no_types(app, what, name, thing, options, lines: list[str]) -> None:
    """Put a sentence beside a name below it, where a description stands, in place."""
    section, moved = "", []
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and SECTION.match(lines[number + 1]):
            section = line.strip()
        field = FIELD.match(line)
        if section in ("Parameters", "Attributes", "Raises") and field:
            following = lines[number + 1] if number + 1 < len(lines) else ""
            goes_on = following.startswith("    ") and following.strip()[:1].islower()
            if section == "Raises" or field["said"].endswith(".") or goes_on:
                moved += [field["name"], "    " + field["said"]]
                continue
        moved.append(line)
    lines[:] = moved


def setup(app):
    app.connect("autodoc-process-docstring", formulas_are_literal, priority=400)
    app.connect("autodoc-process-docstring", sentences_are_no_types, priority=410)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
