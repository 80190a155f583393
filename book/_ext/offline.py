"""Pages that are complete without a network: no script, style or font from another host.

Jupyter Book always loads Thebe (it runs a page's cells on a server, and its script fails on every page when there is
none). Its files are left out of each page, and so is whatever else names another host. And pages that are light: of the
theme's scripts and styles only what some page uses is kept.
"""

import re
import shutil
from pathlib import Path

from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
UNWANTED = ("thebe", "mathjax", "togglebutton", "togglehint", "toggleopen", "design-tabs")
LEFTOVER = (
    "scripts/fontawesome.js",
    "vendor",
    "**/*.map",
    "**/*thebe*",
    "**/*togglebutton*",
    "design-tabs.js",
    "**/*macros.html",
    "searchtools.js",
    "language_data.js",
)
SHEET = re.compile(r'<link (?=[^>]*rel="stylesheet")[^>]*href="[^"]*_static/([^"?]+)[^"]*"[^>]*>\s*')
IMPORT = re.compile(r'@import (?:url\()?"([^"]+)"\)?;?')
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
RULE = re.compile(r"([^{}]+)\{((?:[^{}]|\{[^{}]*\})*)\}")


def filename(asset) -> str:
    """Return the address of a script or style, whichever way Sphinx or an extension put it into the page."""
    return str(getattr(asset, "filename", asset) or "")


def drop_external(app, pagename, templatename, context, doctree) -> None:
    """Keep only what the page needs and what lies beside it."""
    for kind in ("script_files", "css_files"):
        kept = []
        for asset in context.get(kind, []):
            name = filename(asset)
            if any(word in name.lower() for word in UNWANTED):
                continue
            if name.startswith(("http:", "https:", "//")):
                LOGGER.warning("%s asks for %s: pages must need no network", pagename, name)
                continue
            if any(word in str(getattr(asset, "attributes", {}).get("body", "")).lower() for word in UNWANTED):
                continue
            kept.append(asset)
        context[kind] = kept


def used_words(out: Path) -> set[str]:
    """Return the classes of all pages, and whatever word of a script might be one."""
    words: set[str] = set()
    for page in out.rglob("*.html"):
        words.update(" ".join(re.findall(r'class="([^"]*)"', page.read_text(encoding="utf-8"))).split())
    for script in (out / "_static").rglob("*.js"):
        if script.stat().st_size < 1_000_000:  # not the weights of a model
            words.update(re.findall(r"[\w-]+", script.read_text(encoding="utf-8")))
    return words


def purge(style: str, words: set[str]) -> str:
    """Return a style sheet without the rules whose classes nothing has, and without fonts of icons."""

    def keep(rule: re.Match) -> str:
        selector, body = rule[1].strip(), rule[2]
        if selector.startswith(("@media", "@supports")):
            inner = RULE.sub(keep, body)
            return f"{selector}{{{inner}}}" if inner.strip() else ""
        if selector.startswith("@"):
            return "" if "fontawesome" in body else rule[0]
        parts = selector.split(",")
        if any(part.count("(") != part.count(")") for part in parts):  # a comma within :is(…)
            return rule[0]
        kept = [part for part in parts if set(CLASS.findall(re.sub(r":not\([^)]*\)", "", part))) <= words]
        return f"{','.join(kept)}{{{body}}}" if kept else ""

    return RULE.sub(keep, re.sub(r"/\*.*?\*/", "", style, flags=re.S))


def whole(style: Path) -> str:
    """Return a style sheet with those that it imports."""
    return IMPORT.sub(lambda asked: whole(style.parent / asked[1]), style.read_text(encoding="utf-8"))


def bundle(out: Path) -> None:
    """Put the styles that every page asks for into one file, and ask for that: a phone waits for each."""
    pages = {page: page.read_text(encoding="utf-8") for page in out.rglob("*.html")}
    asked = {page: SHEET.findall(text) for page, text in pages.items() if SHEET.search(text)}
    common = [name for name in next(iter(asked.values())) if all(name in names for names in asked.values())]
    style = "".join(whole(out / "_static" / name) for name in common)
    (out / "_static" / "common.css").write_text(style.replace("url(../", "url("), encoding="utf-8")
    for page in asked:
        link = f'<link rel="stylesheet" href="{"../" * len(page.relative_to(out).parents[1:])}_static/common.css">'
        text = SHEET.sub(lambda sheet: "" if sheet[1] in common else sheet[0], pages[page])
        place = SHEET.search(pages[page]).start()
        page.write_text(f"{text[:place]}{link}\n{text[place:]}", encoding="utf-8")
    for name in common:
        (out / "_static" / name).unlink()


def lighten(app, exception) -> None:
    """Remove what no page loads, and from the styles of others what no page needs."""
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for file in [file for pattern in LEFTOVER for file in (out / "_static").glob(pattern)]:
        shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    words, own = used_words(out), {file.name for file in (ROOT / "book" / "assets").iterdir()}
    for style in (out / "_static").rglob("*.css"):
        if style.name not in own:
            style.write_text(purge(style.read_text(encoding="utf-8"), words), encoding="utf-8")
    bundle(out)


def setup(app):
    app.connect("html-page-context", drop_external, priority=990)
    app.connect("build-finished", lighten, priority=900)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
