"""The directive `commands`: every command of a Typer application with its options, as its own `--help` says it."""

import re
from collections.abc import Iterator
from importlib import import_module

from docutils import nodes
from docutils.parsers.rst import Directive
from typer.main import get_command


def walk(command, path: str) -> Iterator[tuple[str, object]]:
    """Yield each command below a group with its full name, in the order of the source."""
    for name, child in getattr(command, "commands", {}).items():
        if hasattr(child, "commands"):
            yield from walk(child, f"{path} {name}")
        else:
            yield f"{path} {name}", child


def is_option(parameter) -> bool:
    return parameter.param_type_name == "option"


def usage(name: str, command) -> str:
    """Return a command with the names of its arguments."""
    arguments = [p.metavar or p.name.upper() for p in command.params if not is_option(p)]
    return " ".join([name, *arguments])


def typeset(said: str) -> list[nodes.Node]:
    """Return the text of a help, with code where it quotes or names an option, of whose hyphens Sphinx makes a dash."""
    parts = re.split(r"``(.+?)``|(--[\w-]+)", " ".join(said.split()))
    plain, code = parts[::3], [quoted or option for quoted, option in zip(parts[1::3], parts[2::3], strict=True)]
    text = [nodes.Text(plain[0])]
    for literal, after in zip(code, plain[1:], strict=True):
        text += [nodes.literal(literal, literal), nodes.Text(after)]
    return text


def described(parameter) -> nodes.list_item:
    """Return an option or argument with its help."""
    label = ", ".join(parameter.opts) if is_option(parameter) else parameter.metavar or parameter.name.upper()
    help = f": {parameter.help}" if getattr(parameter, "help", None) else ""
    return nodes.list_item("", nodes.paragraph("", "", nodes.literal(label, label), *typeset(help)))


class Commands(Directive):
    """`{commands} module:application name`: a definition list of the commands of a Typer application."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        module, attribute = self.arguments[0].split(":")
        application = get_command(getattr(import_module(module), attribute))
        listed = nodes.definition_list()
        for name, command in walk(application, self.arguments[1]):
            term = usage(name, command)
            text = nodes.definition("", nodes.paragraph("", "", *typeset(command.help or "")))
            parameters = [p for p in command.params if getattr(p, "help", None) and p.name != "help"]
            if parameters:
                text += nodes.bullet_list("", *map(described, parameters))
            if command.epilog:
                example = command.epilog.removeprefix("Example: ")
                text += nodes.literal_block(example, example, language="text")
            listed += nodes.definition_list_item("", nodes.term("", "", nodes.literal(term, term)), text)
        return [listed]


def setup(app):
    app.add_directive("commands", Commands)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
