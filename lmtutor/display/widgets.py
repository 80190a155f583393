"""Interaction that needs no kernel: a slider or a menu over results that were computed when the page was built.

`explorer` returns one piece of HTML with a few lines of script in it, no library and no request. It works in the built
page, from the file system, by keyboard and with a screen reader. Where scripts do not run, all states are shown one
below the other; a page of the book, which reads the others from a file when they are asked for, shows the first. In
JupyterLab the same call shows an ipywidget of the same label over the same states, whose value the
next cell can read; `widget` asks for it anywhere.
"""

import html
import os
import re
from collections.abc import Callable, Mapping

from lmtutor.display.figures import to_html
from lmtutor.system.errors import LMTutorError

_TAG = re.compile(r"\s*<(div|p|pre|table|figure|img|svg|span|ul|ol|dl|details|section|em|strong|code|h[2-6])\b")

# The reader's own text in a page, and a box for what is shown for it. The box is always there: a screen reader says
# what changes in a box that it knows.
_FIELD = (
    '<label style="display:flex;gap:.6em;align-items:baseline;margin-top:.4em">your own<input type="text" '
    'maxlength="1000" autocomplete="off" spellcheck="false" style="flex:1;min-width:0;max-width:36em;font:inherit;'
    'color:inherit;background:transparent;border:1px solid;border-radius:.2em;padding:.1em .4em"></label>'
)
_ANSWER = '<div class="lm-answer" aria-live="polite"><pre hidden style="white-space:pre-wrap"></pre></div>'

# Wires every explorer that is not wired yet, so that one may stand in another, or twice on a page.
_SCRIPT = """
for (const root of document.querySelectorAll(".lm-explorer:not([data-wired])")) {
  if (root.contains(document.currentScript)) continue;  // not read to its end yet: its own script will do it
  root.dataset.wired = "";
  const bar = root.querySelector(".lm-control"), control = bar.querySelector("input, select");
  const said = bar.querySelector("output"), states = [...root.querySelectorAll(":scope > .lm-state")];
  const field = bar.querySelector("input[type=text]"), answer = root.querySelector(":scope > .lm-answer > pre");
  const choose = () => {
    if (answer) answer.hidden = true;
    const chosen = states[Number(control.value)];
    for (const state of states) state.hidden = state !== chosen;
    if (said) {
      said.textContent = chosen.dataset.name;
      control.setAttribute("aria-valuetext", chosen.dataset.name);
    }
  };
  for (const name of root.querySelectorAll(":scope > .lm-state > .lm-name")) name.hidden = true;
  bar.hidden = false;
  control.addEventListener("input", choose);
  if (field) {
    field.addEventListener("input", () => {
      choose();
      if (!field.value) return;
      for (const state of states) state.hidden = true;
      answer.hidden = false;
      answer.textContent = (root.answer ??= root.own())(field.value);
    });
    control.addEventListener("input", () => { field.value = ""; });
  }
  choose();
}
"""


class Explorer:
    """A labelled control over precomputed states; shows itself at the end of a cell.

    In JupyterLab, whose server names the notebook to its kernel, it is an ipywidget; everywhere else, as when the book
    is built, it is HTML that needs no kernel.

    Attributes
    ----------
    label
        What the control changes.
    states
        Value of the control -> HTML.
    start
        The value that is shown first.
    own
        What to show for a text that the reader types, or None.
    """

    def __init__(self, label: str, states: dict[str, str], start: str, control: str, caption: str | None, own=None):
        self.label, self.states, self.start, self.control, self.caption = label, states, start, control, caption
        self.own: Callable[[str], object] | None = own

    def __repr__(self) -> str:
        return f"Explorer({self.label!r}: {', '.join(self.states)})"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if _in_a_live_notebook():
            display(self.widget())
        else:
            display({"text/plain": repr(self), "text/html": self._repr_html_()}, raw=True)

    def widget(self):
        """The same as an ipywidget: a labelled slider or menu above its output.

        Returns
        -------
        ipywidgets.VBox
            Its first child is the control, whose ``value`` is the name of the state that is shown, its second the
            output. The last one is a field for the reader's own text, with `own`.
        """
        import ipywidgets

        kind = ipywidgets.SelectionSlider if self.control == "slider" else ipywidgets.Dropdown
        control = kind(
            options=list(self.states),
            value=self.start,
            description=self.label,
            style={"description_width": "initial"},
            layout={"width": "max-content", "min_width": "24em"},
        )
        shown = ipywidgets.HTML(self.states[self.start])
        control.observe(lambda change: setattr(shown, "value", self.states[change["new"]]), names="value")
        caption = [ipywidgets.HTML(f"<em>{html.escape(self.caption)}</em>")] if self.caption else []
        field = []
        if self.own:
            field = [ipywidgets.Text(description="your own", layout={"width": "90%"}, continuous_update=False)]
            field[0].observe(lambda change: setattr(shown, "value", self.answer(change["new"])), names="value")
        return ipywidgets.VBox([control, shown, *caption, *field])

    def answer(self, text: str) -> str:
        """What a live notebook shows for a text of the reader's own, or why it cannot, as HTML."""
        try:
            return _fragment(self.label, text, self.own(text))
        except LMTutorError as error:
            return _fragment(self.label, text, str(error))

    def _repr_html_(self) -> str:
        names = [html.escape(name) for name in self.states]
        first = list(self.states).index(self.start)
        said = ""
        if self.control == "slider":
            control = (
                f'<input type="range" min="0" max="{len(names) - 1}" step="1" value="{first}" autocomplete="off" '
                f'aria-valuetext="{names[first]}" style="width:16em;max-width:50vw;margin:0 .6em">'
            )
            said = f'<output style="font-weight:600">{names[first]}</output>'
        else:
            options = "".join(
                f'<option value="{i}"{" selected" * (i == first)}>{name}</option>' for i, name in enumerate(names)
            )
            control = f'<select autocomplete="off" style="margin-left:.6em;font:inherit">{options}</select>'
        shown = "".join(
            f'<div class="lm-state" data-name="{name}"><p class="lm-name"><strong>{html.escape(self.label)}: {name}'
            f"</strong></p>{state}</div>"
            for name, state in zip(names, self.states.values(), strict=True)
        )
        caption = f'<p class="lm-caption"><em>{html.escape(self.caption)}</em></p>' if self.caption else ""
        field = answer = own = ""
        if hasattr(self.own, "in_page"):
            field, answer = _FIELD, _ANSWER
            # Not read before somebody types.
            own = f"<script>document.currentScript.previousElementSibling.own = () => {self.own.in_page()};</script>"
        return (
            f'<div class="lm-explorer" role="group" aria-label="{html.escape(self.label)}" style="margin:1em 0">'
            '<div class="lm-control" hidden style="margin-bottom:.4em">'
            f"<label>{html.escape(self.label)}{control}</label>{said}{field}</div>"
            f"{shown}{answer}{caption}</div>{own}<script>(() => {{{_SCRIPT}}})();</script>"
        )


def explorer(
    label: str,
    states: Mapping[object, object],
    *,
    start: object | None = None,
    control: str | None = None,
    caption: str | None = None,
    own: Callable[[str], object] | None = None,
) -> Explorer:
    """Let the reader of a page move through results that are computed already.

    >>> lm.widgets.explorer("n-gram order", {n: samples[n] for n in (1, 2, 3, 5)})

    Parameters
    ----------
    label
        What the control changes; also its name for screen readers.
    states
        Value of the control -> what to show: a matplotlib figure (its alternative text goes along), a frame or
        anything else that knows its HTML, a string of HTML that begins with a tag, or plain text.
    start
        The value shown first (default: the first of `states`).
    control
        ``"slider"`` for an order, ``"menu"`` for names (default: a slider if all values are numbers).
    caption
        A sentence below.
    own
        What to show for a text that the reader types. The field is in a live notebook; also in a page, where `own` has
        a method ``in_page`` that returns the same function as JavaScript, see `lmtutor.display.pieces.Pieces`.

    Raises
    ------
    LMTutorError
        If a figure has no alternative text.
    """
    shown = {str(value): _fragment(label, value, state) for value, state in states.items()}
    first = next(iter(shown)) if start is None else str(start)
    if control is None:
        control = "slider" if all(map(_is_number, shown)) else "menu"
    return Explorer(label, shown, first, control, caption, own)


def _in_a_live_notebook() -> bool:
    """Whether a Jupyter server started this kernel for a notebook that somebody has open, and ipywidgets are here.

    A server passes the notebook's name to the kernel. Programs that execute notebooks, such as the book's build, do
    not: what they keep must work without a kernel.
    """
    from importlib.util import find_spec

    return "JPY_SESSION_NAME" in os.environ and find_spec("ipywidgets") is not None


def _fragment(label: str, value: object, state: object) -> str:
    """The HTML of one state."""
    if hasattr(state, "savefig"):
        if not getattr(state, "alt", ""):
            raise LMTutorError(f"explorer {label!r}: the figure of {value!r} has no alternative text; set figure.alt")
        return to_html(state, state.alt, getattr(state, "caption", ""))
    if isinstance(state, str):
        if _TAG.match(state):
            return state
        return f'<pre style="white-space:pre-wrap">{html.escape(state)}</pre>'
    return state._repr_html_()


def _is_number(name: str) -> bool:
    try:
        float(name.replace(",", ""))
    except ValueError:
        return False
    return True
