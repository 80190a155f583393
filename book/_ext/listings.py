"""Each line of code in an element of its own, that knows how far it is indented and where it may go on in a new row.

That is after a blank, a slash or the parenthesis of a call, and before what follows a closing one. No name, number or
option is broken, unless it is longer than a phone is wide.
"""

import html
import re

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge

SHORT = 30  # characters: a line that fits on every screen
WIDE = 40  # of one piece: more than a phone shows in a row
BETWEEN = re.compile(r" +|/(?=\w)")
CALLED = re.compile(r"\w(?:</span>)?+(?:<span[^>]*>)?+\((?!\))")
CLOSED = re.compile(r"[)\]](?:</span>)?+(?=(?:<span[^>]*>)?[.\[])")
ENDLESS = re.compile(rf"(?:&#?\w+;|[^\s<>&]){{{WIDE}}}(?=[^\s<])")


def may_wrap(line: str) -> str:
    """Return a line of code, as HTML, with `<wbr>` where it may go on in a new row; it may have them already."""
    if "<wbr>" in line or len(html.unescape(re.sub(r"<[^>]*>", "", line))) <= SHORT:
        return line
    first = re.match(r"(?:<[^>]*>)* *", line).end()
    pieces = re.split(r"(<[^>]*>)", line[first:])
    for place in (BETWEEN, ENDLESS):
        pieces[::2] = [place.sub(r"\g<0><wbr>", text) for text in pieces[::2]]
    return line[:first] + CLOSED.sub(r"\g<0><wbr>", CALLED.sub(r"\g<0><wbr>", "".join(pieces)))


def may_go_on(code: str) -> str:
    """Return code in a sentence, or an address, that may go on behind an opening sign and before a dot."""
    return re.sub(r"(?<=\w)(?=\.[A-Za-z_])|(?<=[([/=,])(?=[\w&\"'])", "<wbr>", code)


class Lines(HtmlFormatter):
    """Pygments' formatter, with `<span class="line">` around each line."""

    def _format_lines(self, tokensource):
        for is_code, line in super()._format_lines(tokensource):
            shown = re.sub(r"<[^>]*>", "", line)
            depth = len(shown) - len(shown.lstrip(" "))
            indent = f' style="--in:{depth}"' if depth and shown.strip() else ""
            yield is_code, f'<span class="line"{indent}>{line}</span>' if is_code else line


def setup(app):
    PygmentsBridge.html_formatter = Lines
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
