"""axe-core on every page, in light, in dark and on a phone: no violation outside a short list with reasons."""

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


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_page_has_no_violation(browser, served, page, theme, width):
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion="reduce")
    view = context.new_page()
    view.goto(f"{served}/{page.name}.html", wait_until="load")
    assert view.evaluate("document.documentElement.dataset.theme") == theme
    for solution in view.locator("button.toggle-button").all():
        solution.click()
    view.wait_for_timeout(100)  # until what came into view is measured
    result = Axe().run(view, options={"resultTypes": ["violations"]}).response
    fits = "([target, allowed]) => document.querySelector(target)?.matches(allowed) ?? false"
    found = outside_the_list(result["violations"], lambda target, allowed: view.evaluate(fits, [target, allowed]))
    context.close()
    assert not found, "\n".join(found)


def test_the_gate_can_fail(browser):
    """A page with two faults is refused for both."""
    from axe_playwright_python.sync_playwright import Axe

    view = browser.new_page()
    view.set_content('<html lang="en"><title>t</title><main><h1>h</h1><img src="data:,"><p style="color:#bbb">pale</p>')
    rules = {violation["id"] for violation in Axe().run(view).response["violations"]}
    view.close()
    assert {"image-alt", "color-contrast"} <= rules
