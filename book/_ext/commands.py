"""The directive `commands`: a section for each command of a Typer application, as its own `--help` says it."""

import re
from collections.abc import Iterator
from importlib import import_module
from itertools import filterfalse

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
    return " ".join([name, *map(placeholder, filterfalse(is_option, command.params))])


def placeholder(argument) -> str:
    """Return the name of an argument as a usage line writes it, in brackets where it may be left out."""
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def typeset(said: str) -> list[nodes.Node]:
    """Return the text of a help, with code where it quotes or names an option, of whose hyphens Sphinx makes a dash."""
    parts = re.split(r"``(.+?)``|(--[\w-]+)", " ".join(said.split()))
    plain, code = parts[::3], [quoted or option for quoted, option in zip(parts[1::3], parts[2::3], strict=True)]
    text = [nodes.Text(plain[0])]
    for literal, after in zip(code, plain[1:], strict=True):
        text += [nodes.literal(literal, literal), nodes.Text(after)]
    return text


def described(parameter) -> nodes.list_item:
    """Return an option or argument with its help, and with its default where the help does not say it."""
    option, said = is_option(parameter), parameter.help
    label = ", ".join([*parameter.opts, *parameter.secondary_opts]) if option else placeholder(parameter)
    if option and parameter.default is not False and parameter.default not in (None, "") and "default" not in said:
        default = "on" if parameter.default is True else str(parameter.default).removesuffix(".0")
        said = f"{said.removesuffix('.')}; default: {default}."
    return nodes.list_item("", nodes.paragraph("", "", nodes.literal(label, label), *typeset(f": {said}")))


class Commands(Directive):
    """`{commands} module:application name`: a section for each command of a Typer application."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        module, attribute = self.arguments[0].split(":")
        application = get_command(getattr(import_module(module), attribute))
        return [self.section(name, command) for name, command in walk(application, self.arguments[1])]

    def section(self, name: str, command) -> nodes.section:
        title = usage(name, command)
        section = nodes.section("", nodes.title("", "", nodes.literal(title, title)), ids=[nodes.make_id(name)])
        section += nodes.paragraph("", "", *typeset(command.help or ""))
        parameters = [p for p in command.params if getattr(p, "help", None) and p.name != "help"]
        if parameters:
            section += nodes.bullet_list("", *map(described, parameters))
        if command.epilog:
            example = command.epilog.removeprefix("Example: ")
            section += nodes.literal_block(example, example, language="text")
        return section


def setup(app):
    app.add_directive("commands", Commands)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
