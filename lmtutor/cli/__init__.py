"""The `lmtutor` command. Imports every room, each when a command needs it, and `classroom`."""

from lmtutor.cli.commands import app, main
