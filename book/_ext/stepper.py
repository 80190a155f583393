"""The directive `stepper`: the network of chapter 02 reads *hell*, is compared with *ello*, and goes back through time.

Every number is computed by `lmtutor.scratch` when the book is built. Each part of the picture belongs to a step, and
each step to its equations; without a script all of them stand. `stepper.js` shows one step after the other.
"""

import html
from dataclasses import dataclass, field

import numpy as np
from mathml import to_mathml
from panels import add_panel

from lmtutor.scratch import CharRNN, encode, train

WORD, EPOCHS = "hello", 30  # readings before the picture is taken: early enough to be wrong
EQUATIONS = {
    "2.1": r"a_t = W_{xh}[x_t] + h_{t-1} W_{hh} + b_h",
    "2.2": r"h_t = \tanh(a_t)",
    "2.3": r"z_t = h_t W_{hy} + b_y",
    "2.4": r"p_t[v] = e^{z_t[v]} / \sum_u e^{z_t[u]}",
    "2.5": r"L = -\sum_t \ln p_t[y_t]",
    "2.6": r"dz_t = p_t - \operatorname{onehot}(y_t)",
    "2.7": r"dh_t = dz_t\, W_{hy}^{\top} + da_{t+1}\, W_{hh}^{\top}",
    "2.8": r"da_t = (1 - h_t^2) \odot dh_t",
    "2.9": r"dW_{hh} = \sum_t h_{t-1}^{\top} da_t, \; \ldots",
}
COLUMN, LEFT, WIDE, HIGH = 166, 62, 668, 330  # pixels of a step's column; before the first; of the picture
UNIT = 24  # of a square
ROWS = {"loss": 20, "p": 92, "dz": 145, "h": 207, "dh": 243, "da": 269, "reads": 318}  # what stands how far down


@dataclass
class Steps:
    """What the picture shows at each step: its parts as SVG, its equations, and a sentence."""

    parts: list[str] = field(default_factory=list)
    said: list[tuple[str, str]] = field(default_factory=list)  # equations, sentence

    def add(self, equations: str, sentence: str, *parts: str) -> None:
        number = len(self.said)
        self.said.append((equations, sentence))
        self.parts.append(f'<g data-step="{number}">{"".join(parts)}</g>')


def squares(x: float, y: float, values: np.ndarray, kind: str, largest: float) -> str:
    """A row of numbers, each a square whose colour says its sign and whose filling its size."""
    return "".join(
        f'<rect class="track" x="{x + UNIT * k:.0f}" y="{y}" width="{UNIT - 3}" height="{UNIT - 3}"/>'
        f'<rect class="{kind} {"minus" if value < 0 else "plus"}" x="{x + UNIT * k:.0f}" y="{y}" width="{UNIT - 3}" '
        f'height="{UNIT - 3}" opacity="{min(1, abs(value) / largest):.2f}"><title>{value:.2f}</title></rect>'
        for k, value in enumerate(values)
    )


def arrow(way: str, back: bool = False) -> str:
    return f'<path class="{"back" if back else "way"}" d="{way}" marker-end="url(#tip{"-back" if back else ""})"/>'


def label(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{html.escape(text)}</text>'


def forward(steps: Steps, t: int, letters: tuple[str, str], h: np.ndarray, p: np.ndarray, alphabet: list[str]) -> None:
    """The three steps of one letter: its state, its probabilities, its loss. Letters are the one read and the next."""
    x = LEFT + COLUMN * t
    read, came = letters
    old = arrow(f"M{x - 64} 203H{x - 10}") if t else ""
    steps.add(
        "2.1 2.2",
        f"Step {t + 1} reads “{read}”. Its row of W_xh{', the old state' * bool(t)} and the bias make the new state.",
        label(x + 46.5, 318, read, "letter"), arrow(f"M{x + 46.5} 298V220"), old, squares(x, 192, h, "unit", 1),
    )  # fmt: skip
    bars = "".join(
        f'<rect class="share" x="{x + UNIT * k}" y="{96 - 60 * q:.1f}" width="{UNIT - 3}" height="{60 * q:.1f}"/>'
        + label(x + UNIT * k + 10, 112, alphabet[k])
        for k, q in enumerate(p)
    )
    steps.add("2.3 2.4", "From the state, a probability for each letter.", arrow(f"M{x + 46.5} 188V120"), bars)
    share = p[alphabet.index(came)]
    steps.add(
        "2.5", f"“{came}” came. It had {share:.2f}: a loss of {-np.log(share):.2f} nats.",
        label(x + 46.5, 20, f"{came}: {-np.log(share):.2f} nats", "loss"),
        f'<rect class="came" x="{x + UNIT * alphabet.index(came) - 1}" y="99" width="{UNIT - 1}" height="18" rx="3"/>',
    )  # fmt: skip


def backward(steps: Steps, t: int, last: int, errors: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """The three steps back: the errors of the logits, of the state, and before the tanh."""
    x = LEFT + COLUMN * t
    dz, dh, da = errors
    steps.add(
        "2.6", f"Back to step {t + 1}. The probabilities, less 1 for the letter that came.",
        squares(x, 130, dz, "error", 1),
    )  # fmt: skip
    tomorrow = arrow(f"M{x + COLUMN - 6} 260H{x + 98}", back=True) if t < last else ""
    said = "the next state's" if t < last else "and nothing from a next state: this is the last"
    steps.add(
        "2.7", f"The state gets its own letter's error, {'and ' * (t < last)}{said}.",
        arrow(f"M{x + 70.5} 154V226", back=True), tomorrow, squares(x, 228, dh, "error", 1),
    )  # fmt: skip
    steps.add("2.8", "The tanh lets it through where it is not flat.", squares(x, 254, da, "error", 1))


def steps_of_the_word() -> Steps:
    """All steps, of a network that has read the word a few times."""
    ids, alphabet = encode(WORD)
    model = CharRNN(len(alphabet), hidden=4, seed=2, scale=0.5)
    for _ in train(model, ids, batch_size=1, steps=len(ids) - 1, epochs=EPOCHS):
        pass
    x, y = ids[:-1], ids[1:]
    _, cache = model.forward(x[:, None], y[:, None], model.initial_state(1))
    h, dz, W = cache["h"][:, 0], cache["dz"][:, 0], model.params
    p, steps, last = dz + np.eye(len(alphabet))[y], Steps(), len(x) - 1
    for t in range(len(x)):
        forward(steps, t, (alphabet[x[t]], alphabet[y[t]]), h[t + 1], p[t], alphabet)
    da = np.zeros(4)
    for t in reversed(range(len(x))):
        dh = dz[t] @ W["W_hy"].T + da @ W["W_hh"].T
        da = (1 - h[t + 1] ** 2) * dh
        backward(steps, t, last, (dz[t], dh, da))
    largest = np.abs(model.backward(cache)["W_hh"]).max()
    steps.add("2.9", f"Each parameter sums what it did at every step. The largest slope of W_hh is {largest:.2f}.")
    return steps


def page_html() -> str:
    """The picture, the equations, the sentences and the buttons."""
    steps = steps_of_the_word()
    tips = "".join(
        f'<marker id="tip{kind}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="10" markerHeight="10" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="tip{kind}" d="M0 0 8 4 0 8z"/></marker>'
        for kind in ("", "-back")
    )
    rows = "".join(label(22, y, row, "row") for row, y in ROWS.items())
    equations = "".join(
        f'<li data-equation="{number}"><span>({number})</span> {to_mathml(latex, display=False)}</li>'
        for number, latex in EQUATIONS.items()
    )
    said = "".join(f'<li data-uses="{uses}">{html.escape(sentence)}</li>' for uses, sentence in steps.said)
    told = "Four steps of the network, forward from the letters to the losses, and the errors on their way back."
    return (
        '<div class="stepper panel" role="group" aria-label="The network, step by step">'
        f'<div class="scene" tabindex="0" role="group" aria-label="{told}"><svg viewBox="0 0 {WIDE} {HIGH}" role="img" '
        f'aria-label="{told}"><defs>{tips}</defs>{rows}{"".join(steps.parts)}</svg></div>'
        '<p class="buttons" hidden><button type="button" class="before">back</button> '
        '<button type="button" class="after">step</button> <button type="button" class="all">all</button></p>'
        f'<p class="now" role="status"></p><ol class="said-steps">{said}</ol>'
        f'<ul class="equations">{equations}</ul></div>'
    )


def setup(app):
    return add_panel(app, "stepper", page_html, "stepper.js", "stepper.css")
