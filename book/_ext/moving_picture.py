"""The front page's exhibit as a moving picture for the README, in light and dark, and as a card for sharing.

    .venv/bin/python book/_ext/moving_picture.py

writes `book/assets/memory-light.svg` and `memory-dark.svg`, whose frames are the states of the exhibit, and with the
installed Chromium `book/assets/card.png`, the last of them. Where less motion is asked for, the last state stands.
"""

import html
from pathlib import Path

import exhibit
import latches

ASSETS = Path(__file__).resolve().parents[1] / "assets"
COLOURS = {
    "light": {"paper": "#ffffff", "text": "#1f2a30", "pale": "#4c5b63", "track": "#e6e9ea", "gate": "#2f86ac",
              "plus": "#d55e00", "minus": "#6a4fb3", "arc": "#17607d"},
    "dark": {"paper": "#12181b", "text": "#dbe3e6", "pale": "#a9b7bd", "track": "#283136", "gate": "#56b4d9",
             "plus": "#f08a3c", "minus": "#b9a5f2", "arc": "#84cfe6"},
}  # fmt: skip
STEP, REST = 0.8, 4.0  # seconds a word; at the end
LEFT, WIDE, HIGH = 84, 880, 330  # pixels
TOP, LINE = 74, 96  # where the arcs end; the words' baseline
ROW = {"forget": 15, "input": 15, "memory": 26}  # height of a row of bars
BARS = 276  # where the words that may come next begin


def css(count: int) -> str:
    """From which state on (`f`), or in which alone (`o`), a part is seen; the last of them stands the longest."""
    whole = STEP * count + REST
    rules = [
        f".f,.o{{animation:{whole:.1f}s step-end infinite}}",
        f".o{{opacity:0}}.o{count - 1}{{opacity:1}}",
    ]
    for k in range(count):
        begins, ends = 100 * STEP * k / whole, 100 * STEP * (k + 1) / whole
        before = f"0%{{opacity:0}}{begins:.2f}%{{opacity:1}}" if k else "0%{opacity:1}"
        after = f"{ends:.2f}%{{opacity:0}}" if k < count - 1 else ""
        rules.append(f".f{k}{{animation-name:f{k}}}.o{k}{{animation-name:o{k}}}")
        rules.append(f"@keyframes f{k}{{{before}}}@keyframes o{k}{{{before}{after}}}")
    return "".join(rules) + "@media(prefers-reduced-motion:reduce){.f,.o{animation:none}}"


def bar(x: float, y: float, width: float, high: float, value: float, signed: bool) -> str:
    """One value: its track, and a bar from below, or from the middle where it may be negative."""
    track = f'<path class="track" d="M{x:.1f} {y}h{width - 1:.1f}v{high - 2}h-{width - 1:.1f}z"/>'
    half = (high - 2) / 2 if signed else high - 2
    length, base = abs(value) * half, y + half
    kind, top = ("minus", base) if value < 0 else ("plus" if signed else "gate", base - length)
    shown = f'<path class="{kind}" d="M{x:.1f} {top:.1f}h{width - 1:.1f}v{length:.1f}h-{width - 1:.1f}z"/>'
    return track + (shown if length >= 0.05 else "")


def arcs(middles: list[float], at: int, found: list) -> str:
    heaviest = max([weight for _, weight in found], default=0)
    paths = []
    for k, weight in found:
        if weight >= exhibit.LIGHTEST * heaviest:
            start, end, share = middles[at + 1], middles[k], weight / heaviest
            y = TOP - 90 * (0.3 + 0.7 * (start - end) / (middles[-1] - middles[0]))
            paths.append(
                f'<path class="arc" d="M{start:.1f} {TOP}C{start:.1f} {y:.1f} {end:.1f} {y:.1f} {end:.1f} {TOP}" '
                f'stroke-width="{1 + 4 * share:.1f}" opacity="{0.3 + 0.7 * share:.2f}"/>'
            )
    return "".join(paths)


def picture(name: str, theme: str, moving: bool = True) -> str:
    """The SVG; standing, its last state alone."""
    following, found, values = exhibit.states(name)
    words, cells, colour = latches.LINE.split(), latches.record_of(name)["latches"], COLOURS[theme]
    last = len(words) - 1
    columns = exhibit.widths([*words, exhibit.guess(following[-1])])
    unit = (WIDE - LEFT - 8) / sum(columns)
    edges = [LEFT + unit * sum(columns[:k]) for k in range(len(columns) + 1)]
    middles = [(a + b) / 2 for a, b in zip(edges, edges[1:], strict=False)]
    parts, y = [], LINE + 26
    for c, (pair, cell) in enumerate(cells.items()):
        parts.append(f'<text class="bold" x="0" y="{y}">cell {cell["cell"]}: {pair}</text>')
        y += 6
        for r, (row, high) in enumerate(ROW.items()):
            parts.append(f'<text class="pale" x="0" y="{y + high / 2 + 3:.0f}">{row}</text>')
            for k in range(len(words)):
                drawn = bar(edges[k], y, edges[k + 1] - edges[k], high, values[k][c][r], row == "memory")
                parts.append(f'<g class="f f{k}">{drawn}</g>')
            y += high
        y += 20
    for k, word in enumerate(words):
        parts.append(f'<text class="word f f{k}" x="{middles[k]:.1f}" y="{LINE}">{html.escape(word)}</text>')
    for k, next_words in enumerate(following):
        if not moving and k < last:
            continue
        state = [arcs(middles, k, found[k])]
        awaited = html.escape(exhibit.guess(next_words))
        state.append(f'<text class="word awaited" x="{middles[k + 1]:.1f}" y="{LINE}">{awaited}</text>')
        for n, (word, share) in enumerate(next_words[:3]):
            at = BARS + 17 + 18 * n
            state.append(
                f'<text x="{LEFT}" y="{at}">{html.escape(word)}</text>'
                f'<text x="{LEFT + 150}" y="{at}" text-anchor="end">{exhibit.percent(share)}</text>'
                f'<path class="gate" d="M{LEFT + 160} {at - 11}h{share * (WIDE - LEFT - 170):.1f}v12H{LEFT + 160}z"/>'
            )
        parts.append(f'<g class="o o{k}">{"".join(state)}</g>')
    style = (
        f"text{{font:14px system-ui,sans-serif;fill:{colour['text']}}}.word{{text-anchor:middle}}"
        f".bold{{font-weight:600;font-size:12.5px}}.pale{{font-size:12.5px;fill:{colour['pale']}}}"
        f".awaited{{font-weight:700;fill:{colour['arc']}}}.arc{{fill:none;stroke:{colour['arc']};stroke-linecap:round}}"
        + "".join(f".{kind}{{fill:{colour[kind]}}}" for kind in ("track", "gate", "plus", "minus"))
        + (css(len(words)) if moving else "")
    )
    said = "A line of text is read word by word. One cell holds the open quotation, another the open bracket."
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 0 {WIDE + 24} {HIGH + 8}" role="img" '
        f'aria-label="{said}"><title>{said}</title><style>{style}</style>'
        f'<rect x="-12" width="{WIDE + 24}" height="{HIGH + 8}" rx="8" fill="{colour["paper"]}"/>'
        f'<text class="pale" x="0" y="{BARS + 17}">next</text>{"".join(parts)}</svg>\n'
    )


def card(name: str, target: Path) -> None:
    """The last state below the book's title, 1200 × 630 pixels."""
    from playwright.sync_api import sync_playwright
    from print_pdf import FLAGS, chromium

    page = (
        '<body style="margin:0;padding:46px 60px;background:#fff;font:600 52px/1.15 system-ui,sans-serif;'
        'color:#1f2a30">Recurrent Language Models,<br>by Hand and at Scale'
        '<p style="font-size:27px;font-weight:400;margin:14px 0 18px;color:#17607d">A network that remembers: '
        f"one cell holds the bracket.</p>{picture(name, 'light', moving=False)}</body>"
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        view = browser.new_page(viewport={"width": 1200, "height": 630})
        view.set_content(page)
        view.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    for theme in COLOURS:
        (ASSETS / f"memory-{theme}.svg").write_text(picture(latches.MODEL, theme), encoding="utf-8")
    card(latches.MODEL, ASSETS / "card.png")
