"""Formulas in docstrings: an indented block after a blank line is shown as it was typed.

A docstring is read in the editor first, so that its formulas are plain text, indented. Sphinx would take them for
quotations and run their lines together.
"""

import re

SECTION = re.compile(r"^-{3,}\s*$")


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


def setup(app):
    app.connect("autodoc-process-docstring", formulas_are_literal, priority=400)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
