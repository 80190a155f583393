"""Fill the line of the README that leads to the published book.

    LMTUTOR_REPOSITORY=owner/name .venv/bin/python book/_ext/published.py

The workflow that publishes the pages runs it and commits what has changed.
"""

import re

from notebooks import ROOT, site

LINE = re.compile(r"(<!-- published: [^>]*-->).*?(<!-- end -->)", flags=re.S)


def fill(readme: str, address: str) -> str:
    """The README with links to the book at an address."""
    links = (
        f"**[Read it]({address}/book/intro.html)** · [PDF]({address}/book.pdf) · "
        f"[Try the model in your browser]({address}/book/playground.html)"
    )
    return LINE.sub(rf"\1 {links} \2", readme)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(fill(readme.read_text(encoding="utf-8"), site()), encoding="utf-8")
