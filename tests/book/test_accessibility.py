"""axe-core on every page, in light, in dark and on a phone: no violation outside a short list with reasons.

And what axe leaves open: text in the colour of its ground, and whether the keyboard's place can be seen.
"""

import io

import numpy as np
import pytest

pytestmark = [pytest.mark.book, pytest.mark.browser, pytest.mark.slow]

# Faults of the theme or of Sphinx that `book/_ext/tidy.py` does not mend: rule -> a selector of what has it, and why.
ALLOWED: dict[str, str] = {}


def outside_the_list(violations: list[dict], matches) -> list[str]:
    """Return one line for each violating element that is not allowed; `matches` says if a selector fits a target."""
    lines = []
    for violation in violations:
        for node in violation["nodes"]:
            target = node["target"][0]
            if violation["id"] in ALLOWED and matches(target, ALLOWED[violation["id"]]):
                continue
            lines.append(f"{violation['id']}: {node['html'][:120]} ({violation['help']})")
    return lines


def invisible(incomplete: list[dict]) -> list[str]:
    """Return one line for each text whose colour is that of its ground: axe takes it for hidden on purpose."""
    lines = []
    for rule in incomplete:
        for node in rule["nodes"] if rule["id"] == "color-contrast" else []:
            if any((check["data"] or {}).get("messageKey") == "equalRatio" for check in node["any"]):
                lines.append(f"as bright as its ground: {node['html'][:120]}")
    return lines


# A page has thousands of letters, most of them in one of a few pairs of colours. Two of each pair are left to be
# measured: with all, axe spends three quarters of its time on colours. What it need not see leaves code, equations and
# drawings for good: each element that stays costs time, hidden or not.
TWO_OF_EACH = """() => {
    const seen = new Map(), found = [];
    for (const e of document.body.querySelectorAll("*")) {
        const style = getComputedStyle(e);
        const words = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim());
        if (!words || style.visibility !== "visible") continue;
        let pair = [e.tagName, style.color, style.fill, style.fontSize, style.fontWeight].join();
        for (let a = e; a; a = a.parentElement) {
            const {backgroundColor, backgroundImage, opacity, position} = getComputedStyle(a);
            pair += [backgroundColor, backgroundImage, opacity, position];
        }
        seen.set(pair, (seen.get(pair) ?? 0) + 1);
        found.push([e, seen.get(pair) <= 2]);
    }
    const all = document.body, root = all.parentElement;
    all.remove();  // nothing is drawn anew meanwhile
    for (const [e, measured] of found) {
        if (!measured && !e.childElementCount && e.closest("pre, math, svg, dt.sig")) e.remove();
        else e.style.visibility = measured ? "visible" : "hidden";
    }
    for (const e of all.querySelectorAll("article :is(pre, math, svg, dt.sig) :not(a, button, button *)")) {
        if (!e.textContent) e.remove();
    }
    root.append(all);
}"""
MOVING = "document.getAnimations().filter(a => a instanceof CSSAnimation).length"
COLOURS = ["color-contrast", "link-in-text-block"]
THE_REST = {"rules": {rule: {"enabled": False} for rule in COLOURS}}


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_page_has_no_violation(browser, served, page, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    view = context.new_page()
    view.goto(f"{served}/{page.name}.html", wait_until="load")
    assert view.evaluate("document.documentElement.dataset.theme") == theme
    view.evaluate("document.querySelectorAll('article details').forEach(e => e.open = true)")
    assert view.evaluate(MOVING) == 0, "something moves, where less motion is asked for"
    view.wait_for_timeout(100)  # until what came into view is measured
    results = []
    if theme == "light":  # these rules do not ask for colours
        results.append(Axe().run(view, options={"resultTypes": ["violations"], **THE_REST}).response)
    view.evaluate(TWO_OF_EACH)
    results.append(Axe().run(view, options={"resultTypes": ["violations", "incomplete"], "runOnly": COLOURS}).response)
    fits = "([target, allowed]) => document.querySelector(target)?.matches(allowed) ?? false"
    found = invisible(results[-1]["incomplete"])
    for result in results:
        found += outside_the_list(result["violations"], lambda target, allowed: view.evaluate(fits, [target, allowed]))
    context.close()
    assert not found, "\n".join(found)


def test_the_gate_can_fail(browser):
    """A page with four faults is refused for each, and one letter among many is found."""
    from axe_playwright_python.sync_playwright import Axe

    view = browser.new_page()
    view.set_content(
        '<html lang="en"><title>t</title><main><article><h1>h</h1><img src="data:,"><p style="color:#bbb">pale</p>'
        '<p style="color:#123;background:#123">nothing to be seen</p><pre>'
        + "<b>dark</b>" * 5
        + '<b style="background:#222">dark</b></pre>'
    )
    view.evaluate(TWO_OF_EACH)
    result = Axe().run(view).response
    view.close()
    violations = {violation["id"]: str(violation["nodes"]) for violation in result["violations"]}
    assert {"image-alt", "color-contrast"} <= set(violations)
    assert "pale" in violations["color-contrast"] and "'bgColor': '#222222'" in violations["color-contrast"]
    assert invisible(result["incomplete"])


FOCUSED = """() => {
    const e = document.activeElement, box = e.getBoundingClientRect();
    return e === document.body ? null : [box.x, box.y, box.width, box.height, e.outerHTML.slice(0, 90)];
}"""


def shot(view, clip):
    from PIL import Image

    return np.asarray(
        Image.open(io.BytesIO(view.screenshot(clip=clip, animations="disabled"))).convert("RGB"), dtype=int
    )


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 390)])
@pytest.mark.parametrize("name", ["book/chapters/07-neural-cache", "book/playground", "search"])
def test_the_keyboard_sees_where_it_is(browser, site, name, theme, width):
    """The pixels around each control with the focus on it, and without."""
    view = browser.new_page(color_scheme=theme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    view.goto((site / f"{name}.html").as_uri())
    view.add_style_tag(content="* { caret-color: transparent !important; transition: none !important }")
    view.evaluate("document.activeElement.blur()")
    unseen, seen = [], set()
    for _ in range(70):
        view.keyboard.press("Tab")
        view.wait_for_timeout(30)
        place = view.evaluate(FOCUSED)
        if place is None or place[4] in seen:
            continue
        x, y, wide, high, what = place
        seen.add(what)
        left, top = max(0, x - 6), max(0, y - 6)
        clip = {"x": left, "y": top, "width": min(wide + 12, width - left), "height": min(high + 12, 900 - top)}
        if clip["width"] <= 0 or clip["height"] <= 0:
            unseen.append(f"off the screen: {what}")
            continue
        with_it = shot(view, clip)
        view.evaluate("window.focused = document.activeElement; focused.blur()")
        view.wait_for_timeout(30)
        changed = (np.abs(with_it - shot(view, clip)).max(axis=2) > 60).sum()
        view.evaluate("focused.focus({preventScroll: true})")
        if changed < 40:
            unseen.append(what)
    view.close()
    assert len(seen) >= 5 and not unseen, "\n".join(unseen)


def test_what_opens_is_called_what_it_says(page):
    for summary in page.html.select("summary"):
        if summary.get_text(strip=True):
            assert not summary.get("aria-label"), "the name that is heard is the one that is seen"
        else:
            assert summary.get("aria-label")


def test_the_button_for_the_colours_says_which(browser, site):
    view = browser.new_page(color_scheme="light")
    view.goto((site / "book/intro.html").as_uri())
    button = view.locator(".theme-switch-button").first
    names = set()
    for _ in range(3):
        button.click()
        view.wait_for_timeout(50)
        names.add(button.get_attribute("aria-label"))
    view.close()
    assert names == {"Colours: light", "Colours: dark", "Colours: as the system has it"}


def test_what_scrolls_has_a_name(browser, site, page):
    view = browser.new_page(viewport={"width": 390, "height": 800})
    view.goto(page.path.as_uri())
    view.wait_for_timeout(100)
    nameless = view.evaluate("""() => [...document.querySelectorAll("article [tabindex='0']")]
        .filter(e => e.checkVisibility() && !(e.getAttribute("role") && e.ariaLabel) && !e.closest(".playground"))
        .map(e => e.outerHTML.slice(0, 90))""")
    view.close()
    assert not nameless
