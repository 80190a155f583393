"""Each line of code in an element of its own, that knows how far it is indented and where it may go on in a new row.

That is after a blank, a slash or the parenthesis of a call, and before what follows a closing one. No name, number or
option is broken, unless it is longer than a phone is wide.
"""

import re

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge

SHORT = 30  # characters: a line that fits on every screen
WIDE = 40  # of one piece: more than a phone shows in a row
BETWEEN = re.compile(r" +(?!\n)|/(?=\w)")
CALLED = re.compile(r"\w(?:</span>)?+(?:<span[^>]*>)?+\((?!\))")
CLOSED = re.compile(r"[)\]](?:</span>)?+(?=(?:<span[^>]*>)?[.\[])")
ENDLESS = re.compile(rf"(?:&#?\w+;|[^\s<>&]){{{WIDE}}}(?=[^\s<])")


def may_wrap(line: str) -> str:
    """Return a highlighted line with `<wbr>` where it may go on in a new row."""
    pieces = re.split(r"(<[^>]*>)", line)
    pieces[::2] = [BETWEEN.sub(r"\g<0><wbr>", text) for text in pieces[::2]]
    line = "".join(pieces)
    for place in (CALLED, CLOSED, ENDLESS):
        line = place.sub(r"\g<0><wbr>", line)
    return line


class Lines(HtmlFormatter):
    """Pygments' formatter, with `<span class="line">` around each line."""

    def _format_lines(self, tokensource):
        for is_code, line in super()._format_lines(tokensource):
            shown = re.sub(r"<[^>]*>", "", line)
            depth = len(shown) - len(shown.lstrip(" "))
            indent = f' style="--in:{depth}"' if depth and shown.strip() else ""
            if len(shown.rstrip()) > SHORT:
                first = re.match(r"(?:<[^>]*>)* *", line).end()
                line = line[:first] + may_wrap(line[first:])
            yield is_code, f'<span class="line"{indent}>{line}</span>' if is_code else line


def setup(app):
    PygmentsBridge.html_formatter = Lines
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
