"""Each line of code in an element of its own, that knows how far it is indented: so a phone can wrap it legibly.

An option of a command is not broken after its hyphens, nor a number before its exponent.
"""

import re

from pygments.formatters import HtmlFormatter
from sphinx.highlighting import PygmentsBridge


class Lines(HtmlFormatter):
    """Pygments' formatter, with `<span class="line">` around each line."""

    def _format_lines(self, tokensource):
        for is_code, line in super()._format_lines(tokensource):
            shown = re.sub(r"<[^>]*>", "", line)
            depth = len(shown) - len(shown.lstrip(" "))
            indent = f' style="--in:{depth}"' if depth and shown.strip() else ""
            line = re.sub(
                r"(?<=[\s>])(--[a-z-]+)|(?<![\w.])(\d[\d.]*e-\d+)", r'<span class="unbroken">\g<0></span>', line
            )
            yield is_code, f'<span class="line"{indent}>{line}</span>' if is_code else line


def setup(app):
    PygmentsBridge.html_formatter = Lines
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
