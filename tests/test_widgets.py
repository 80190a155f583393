"""The explorer: its HTML read as a page reads it, and used by keyboard in a browser without a kernel."""

import os
import shutil

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from lmtutor.display import plots, widgets
from lmtutor.system.errors import LMTutorError

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def parse(explorer: widgets.Explorer) -> BeautifulSoup:
    return BeautifulSoup(explorer._repr_html_(), "html.parser")


def test_without_script_every_state_is_there_with_its_name():
    page = parse(widgets.explorer("order", {1: "the of a", 5: "<p>once <b>upon</b></p>"}, caption="A & B"))
    states = page.select(".lm-explorer > .lm-state")
    assert [s["data-name"] for s in states] == ["1", "5"]
    assert [s.select_one(".lm-name").text for s in states] == ["order: 1", "order: 5"]
    assert not any(s.has_attr("hidden") for s in states) and page.select_one(".lm-control").has_attr("hidden")
    assert states[0].pre.text == "the of a" and states[1].b.text == "upon"
    assert page.select_one(".lm-caption").text == "A & B"


def test_the_control_is_a_slider_for_numbers_and_a_menu_for_names_and_has_a_label():
    slider = parse(widgets.explorer("order", {1: "a", "2.5": "b", "1,000": "c"}, start=2.5))
    control = slider.label.find("input")
    assert (control["type"], control["min"], control["max"], control["value"]) == ("range", "0", "2", "1")
    assert control["aria-valuetext"] == "2.5" and slider.label.text == "order"
    assert slider.select_one(".lm-control > output").text == "2.5"
    menu = parse(widgets.explorer("cell <x>", {"rnn": "a", "lstm": "b"}, start="lstm"))
    assert [o.text for o in menu.select("label > select > option")] == ["rnn", "lstm"]
    assert menu.select_one("option[selected]").text == "lstm"
    assert menu.div["aria-label"] == "cell <x>"
    assert parse(widgets.explorer("k", {1: "a"}, control="menu")).select("select")


def test_figures_frames_and_tokens_that_look_like_tags():
    frame = pd.DataFrame({"model": ["<unk>"]})
    page = parse(widgets.explorer("k", {1: plots.plot_zipf([3, 1]), 2: frame, 3: "<unk> & <eos>"}))
    figure, table, text = page.select(".lm-state")
    assert figure.img["alt"].startswith("Scatter plot") and figure.img["src"].startswith("data:image/svg+xml;base64,")
    assert table.table.td.text == "<unk>"
    assert text.pre.text == "<unk> & <eos>"


def test_nothing_is_asked_of_another_host():
    assert "http" not in widgets.explorer("k", {1: "a", 2: "b"})._repr_html_()


def test_a_figure_without_alternative_text_is_refused():
    from matplotlib.figure import Figure

    with pytest.raises(LMTutorError, match="no alternative text"):
        widgets.explorer("k", {1: Figure()})


def test_the_widget_has_the_same_label_and_states():
    made = widgets.explorer("order", {1: "unigram text", 2: "bigram text"}, start=2, caption="Look.")
    control, shown, caption = made.widget().children
    assert (control.description, control.options, control.value) == ("order", ("1", "2"), "2")
    assert "bigram text" in shown.value and "Look." in caption.value
    control.value = "1"
    assert shown.value == made.states["1"] and "unigram text" in shown.value
    assert type(control).__name__ == "SelectionSlider"
    menu = widgets.explorer("model", {"a": "x", "b": "y"}).widget().children[0]
    assert type(menu).__name__ == "Dropdown"


def test_a_live_notebook_has_a_field_for_a_text_of_ones_own():
    made = widgets.explorer("sentence", {"a": "x", "b": "y"}, own=lambda text: f"<{text.upper()}> in capitals")
    control, shown, field = made.widget().children
    field.value = "mine"
    assert "&lt;MINE&gt; in capitals" in shown.value
    control.value = "b"
    assert shown.value == made.states["b"]
    assert "your own" not in made._repr_html_(), "a page without a kernel cannot answer"


def test_a_page_has_the_field_where_the_answer_is_javascript():
    class Louder:
        def __call__(self, text):
            return text.upper()

        def in_page(self):
            return "(text) => text.toUpperCase()"

    states = {"a": "<p>x</p>", "b": "<p>y</p>"}
    page = parse(widgets.explorer("sentence", states, own=Louder()))
    field, answer = page.select_one("[type=text]"), page.select_one(".lm-explorer > [aria-live=polite]")
    assert field.parent.name == "label" and field.parent.text == "your own"
    assert not answer.text and answer.pre.has_attr("hidden")
    assert page.select_one(".lm-control").has_attr("hidden"), "without scripts there is no field that does nothing"
    assert not parse(widgets.explorer("sentence", states)).select(".lm-answer, [type=text]")


@pytest.mark.parametrize(("session", "kind"), [(None, "text/html"), ("chapter.ipynb", "widget-view+json")])
def test_a_live_notebook_shows_the_widget_and_a_build_the_html(monkeypatch, session, kind):
    """The same cell, in a kernel that a server opened for a notebook and in one that executes the book."""
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if session:
        monkeypatch.setenv("JPY_SESSION_NAME", session)
    code = "from lmtutor.display.widgets import explorer\nexplorer('k', {1: 'one', 2: 'two'})"
    notebook = new_notebook(cells=[new_code_cell(code)])
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[0].outputs
    assert any(kind in mime for mime in output["data"])
    assert ("text/html" in output["data"]) == (session is None)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt install chromium)")
def test_by_keyboard_from_the_file_system(tmp_path):
    from playwright.sync_api import sync_playwright

    inner = widgets.explorer("temperature", {"low": "calm", "high": "wild"})
    outer = widgets.explorer("order", {1: "unigram text", 2: inner, 3: "trigram text"})
    again = widgets.explorer("order", {1: "one", 2: "two"})
    file = tmp_path / "page.html"
    body = outer._repr_html_() + again._repr_html_()
    file.write_text(f'<!doctype html><meta charset="utf-8"><title>t</title>{body}', encoding="utf-8")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(file.as_uri())
        seen = lambda: page.locator("pre:visible").all_inner_texts()  # noqa: E731
        assert seen() == ["unigram text", "one"]
        slider = page.get_by_role("slider", name="order").first
        slider.focus()
        page.keyboard.press("ArrowRight")
        assert seen() == ["calm", "one"] and slider.get_attribute("aria-valuetext") == "2"
        assert not page.locator(".lm-name:visible").count()
        page.get_by_role("combobox", name="temperature").select_option("high")
        assert seen() == ["wild", "one"]
        slider.press("End")
        assert seen() == ["trigram text", "one"]
        assert page.get_by_role("status").first.inner_text() == "3"
        browser.close()
    assert not faults
