"""Figures and tables of the cells: numbered by Sphinx like all others, and drawn into the page.

A notebook keeps a figure as a picture, since no other form is shown everywhere. In a page the picture becomes part of
the document: its words can be selected, searched and enlarged, its colours follow the theme, and a phone gets the
layout that was made for it. What a control shows later lies in a file of its own, read when the control is used.
"""

import base64
import html
import io
import json
import re
from colorsys import hls_to_rgb, rgb_to_hls
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
from docutils import nodes
from mathml import write_font
from PIL import Image
from sphinx.transforms import SphinxTransform
from tidy import end_of

IMAGE = re.compile(
    r'<source [^>]*base64,(?P<narrow>[^"]+)"[^>]*>'
    r'<img src="data:image/svg\+xml;base64,(?P<wide>[^"]+)"[^>]*?alt="(?P<alt>[^"]*)"[^>]*>'
)
CAPTION = re.compile(r"<figcaption>(.*?)</figcaption>", flags=re.S)
OF_CONTROL = re.compile(r'<p class="lm-caption"><em>(.*?)</em></p>', flags=re.S)
STATE = re.compile(r'<div class="lm-state"[^>]*><p class="lm-name">.*?</p>', flags=re.S)
EXPLORER = re.compile(r'<div class="lm-explorer"')
CHOSEN = re.compile(r'<input type="range"[^>]* value="(\d+)"|<option value="(\d+)" selected>')
TEXT = re.compile(r"<text\b.*?</text>", flags=re.S)
FACES = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono")
COLOUR = re.compile(r"#([0-9a-f]{6})\b")
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
DARK = {  # paper and ink, both greys, and the colours of the curves, on the paper of the dark page
    "fbfaf6": "12181b", "1f2a30": "dbe3e6", "55636b": "a9b7bd", "dfe1dc": "313c42",
    "0072b2": "58b4f0", "d55e00": "f59145", "00805d": "3fc79a", "a34f83": "d98cbf", "8f6a00": "d9b14a",
    "fefefe": "fefefe", "010101": "010101",  # on a heat map, which stays as it is
}  # fmt: skip


# --- Numbers


class numbered_table(nodes.figure):
    """A table with its number and its caption above it."""


def closed() -> nodes.raw:
    """The end of a caption, which docutils writes at the end of a figure."""
    return nodes.raw("", "</figcaption>", format="html")


class NumberOutputs(SphinxTransform):
    """Make a figure of each output with a caption, and a numbered table of each table."""

    default_priority = 300

    def apply(self) -> None:
        self.numbers = count(1)
        for cell in list(self.document.findall(nodes.container)):
            if cell.get("nb_element") == "cell_code":
                for bundle in list(cell.findall(nodes.container)):
                    if bundle.get("nb_element") == "mime_bundle":
                        self.number(bundle)
        for table in list(self.document.findall(nodes.table)):
            self.put(numbered_table(), table, nodes.caption())

    def number(self, bundle: nodes.container) -> None:
        raw = next(
            (raw for part in bundle if part["mime_type"] == "text/html" for raw in part.findall(nodes.raw)), None
        )
        if raw is None:
            return
        text = raw.astext()
        pattern = OF_CONTROL if EXPLORER.search(text) else CAPTION
        said = pattern.search(text)
        text = pattern.sub("", text) if said else text
        drawn = "<figure" in text or EXPLORER.search(text)
        if pattern is CAPTION and (said or isinstance(bundle.parent, nodes.figure)):
            text = re.sub("</?figure[^>]*>", "", text)  # one is enough
        raw[:] = [nodes.Text(text)]
        if isinstance(bundle.parent, nodes.figure):  # by the settings of the cell
            if "<table" in text and not drawn:
                bundle.parent.__class__ = numbered_table
                bundle.parent[:] = [bundle.parent[1], closed(), bundle]
        elif said and drawn:
            words = html.unescape(said[1])
            self.put(nodes.figure(), bundle, nodes.caption(words, words))
        elif "<table" in text and not drawn:
            self.put(numbered_table(), bundle, nodes.caption())

    def put(self, figure: nodes.figure, content: nodes.Element, caption: nodes.caption) -> None:
        """Put a figure or table in the place of its content."""
        content.replace_self(figure)
        figure += [caption, closed(), content] if isinstance(figure, numbered_table) else [content, caption]
        kind = "table" if isinstance(figure, numbered_table) else "figure"
        figure["ids"].append(f"{kind}-{next(self.numbers)}")


def visit_table(self, node: numbered_table) -> None:
    self.body.append(self.starttag(node, "figure", CLASS="numbered-table"))


def depart_table(self, node: numbered_table) -> None:
    self.body.append("</figure>\n")


# --- Colours


def in_the_dark(colour: str) -> str:
    """Return what stands for a colour on a dark page: a known one, or the same hue, as light as it was dark."""
    hue, light, saturation = rgb_to_hls(*(value / 255 for value in bytes.fromhex(colour)))
    turned = hls_to_rgb(hue, 0.95 - 0.87 * light, 0.7 * saturation)
    return DARK.get(colour) or "".join(f"{round(255 * value):02x}" for value in turned)


def palette(colours: set[str]) -> str:
    """Return the style that gives the colours of a page's figures their values in the dark."""
    values = "".join(f"--c{colour}:#{in_the_dark(colour)};" for colour in sorted(colours))
    return f"<style>@media screen{{html[data-theme=dark]{{{values}}}}}</style>"


# --- Drawings


def short(number: re.Match) -> str:
    """Return a decimal number as exactly as the eye can see it."""
    value = float(number[0])
    return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) > 10 else f"{value:.4g}"


def drawing(svg: str, key: str, alt: str, name: str) -> str:
    """Return a picture of matplotlib's as a part of a page: its own names, short numbers, colours of the theme."""
    root = ElementTree.fromstring(svg)
    for child in list(root):
        if child.tag == f"{SVG}metadata" or child.find(f"{SVG}style") is not None:
            root.remove(child)
    said = [value for element in root.iter() for value in element.attrib.values()]
    used = set(re.findall(r"(?:^|url\()#([\w.-]+)", "\n".join(said), flags=re.M))
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.text, element.tail = (element.text or "").strip() or None, (element.tail or "").strip() or None
        given, element.attrib = element.attrib, {}
        for attribute, value in given.items():
            if attribute == "id":
                value = f"{key}{value}" if value in used else ""
            elif attribute in ("style", "fill"):  # that of a hatched ground is an attribute, where no var() may stand
                value = value if attribute == "style" else f"fill:{value}"
                value = COLOUR.sub(r"var(--c\1,#\1)", value).replace("; ", ";").replace(": ", ":")
                attribute, value = "style", value.replace("url(#", f"url(#{key}")
            elif attribute in (LINK, "clip-path"):
                value = value.replace("#", f"#{key}")
            else:
                value = re.sub(r"-?\d+\.\d+", short, " ".join(value.split()))
            if value:
                element.set("href" if attribute == LINK else attribute, value)
        if element.tag == "image" and on_white(element.get("href")):
            element.set("class", "on-white")
    unwrap(root)
    width, height = (round(float(root.get("viewBox").split()[i]) * 96 / 72) for i in (2, 3))
    root.attrib = {
        "class": name, "role": "img", "aria-label": alt, "viewBox": root.get("viewBox"),
        "width": str(width), "height": str(height),
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def on_white(address: str) -> bool:
    """Whether a heat map fades to white, as paper does; on a dark page it has to fade to black."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"))
    shown = pixels[pixels[..., 3] > 0]
    return len(shown) > 0 and shown[:, :3].min(axis=1).max() > 210


def unwrap(parent: ElementTree.Element) -> None:
    """Remove, in place, the groups that do nothing: most of what matplotlib names."""
    children = []
    for child in parent:
        unwrap(child)
        children += list(child) if child.tag == "g" and not child.attrib else [child]
    parent[:] = children


def draw_in(page: str, numbers: count, prefix: str) -> str:
    """Return HTML with its pictures as drawings; the names within them are unique by number and prefix."""

    def draw(match: re.Match) -> str:
        alt, number = html.unescape(match["alt"]), next(numbers)
        drawn = [
            drawing(base64.b64decode(match[name]).decode(), f"{prefix}{number}{name[0]}", alt, name)
            for name in ("wide", "narrow")
        ]
        return f'<div class="lm-figure">{"".join(drawn)}</div>'

    return IMAGE.sub(draw, page).replace("<picture>", "").replace("</picture>", "")


# --- What a control shows later


def put_aside(page: str) -> tuple[str, list[list[str]]]:
    """Return a page whose controls hold only what they show first, and for each what was taken out."""
    aside, at = [], 0
    while found := EXPLORER.search(page, at):
        end, states, out, kept = end_of(page, found.start()), [], [], found.start()
        chosen = next(int(a or b) for a, b in CHOSEN.findall(page[found.start() : end]))
        position = found.end()
        while (state := STATE.search(page, position, end)) is not None:
            position = end_of(page, state.start())
            first = len(states) == chosen
            states.append("" if first else page[state.end() : position - len("</div>")])
            out += [page[kept : position if first else state.end()], "" if first else "</div>"]
            kept = position
        whole = "".join(out) + page[kept:end]
        mark = f'<div class="lm-explorer" data-states="{len(aside)}"'
        page = page[: found.start()] + whole.replace('<div class="lm-explorer"', mark, 1) + page[end:]
        aside.append(states)
        at = found.start() + len(whole)
    return page, aside


def finish(app, pagename, templatename, context, doctree) -> None:
    """Draw the pictures of a page into it, and put aside what its controls show later."""
    if doctree is None or app.builder.format != "html":
        return
    body = draw_in(context["body"], count(), f"in-{Path(pagename).name}-")  # a name begins with a letter
    colours = set(re.findall(r"var\(--c([0-9a-f]{6})", body))
    context["body"], aside = put_aside(body)
    if colours:
        context["metatags"] += palette(colours)
    if colours or aside:
        app.add_js_file("figures.js", loading_method="defer")
    for number, states in enumerate(aside):
        name = f"_static/states/{Path(pagename).name}-{number}.js"
        file = Path(app.outdir) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"lmStates({number}, {json.dumps(states, ensure_ascii=False)});\n", encoding="utf-8")
        address = html.escape(context["pathto"](name, 1))
        context["body"] = context["body"].replace(f'data-states="{number}"', f'data-states="{address}"')


def place_fonts(app, exception) -> None:
    """Put the fonts of the figures beside the finished pages, cut down to what the figures say."""
    if exception is None and app.builder.format == "html":
        out, fonts = Path(app.outdir), Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        files = [*out.rglob("*.html"), *out.glob("_static/states/*.js")]
        said = "".join("".join(TEXT.findall(file.read_text(encoding="utf-8"))) for file in files)
        for face in FACES:
            write_font(fonts / f"{face}.ttf", out / "_static" / "fonts" / f"{face}.woff", set(map(ord, said)), ["kern"])


def setup(app):
    app.connect("build-finished", place_fonts)
    app.add_enumerable_node(numbered_table, "table", lambda node: "table", html=(visit_table, depart_table))
    app.add_transform(NumberOutputs)
    app.connect("html-page-context", finish)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
