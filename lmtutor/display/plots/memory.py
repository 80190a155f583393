"""What a model looks back at: the weights of a cache or of a head, what they cost and what they save."""

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lmtutor.display.figures import COLOURS, ON_BRIGHT, ON_DARK, described, figure, style
from lmtutor.display.narrow import legend_below

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE = COLOURS[:2]


@style()
def plot_weights(weights, same, words: Sequence[str], word: str, named: int = 5, title: str = "") -> "Figure":
    """The weight of each of the last N words as a line; marked where the word to come stood.

    Parameters
    ----------
    weights, same
        Arrays (N,), the oldest first: the weight, and whether the word to come stood there.
    words
        The N words; an empty one is never named.
    word
        The word to come.
    named
        How many of the heaviest lines are named.
    """
    weights, same = np.asarray(weights, dtype=float), np.asarray(same, dtype=bool)
    back = np.arange(-len(weights), 0)
    fig, ax = figure(height=3.2)
    ax.vlines(back[~same], 0, weights[~same], color=BLUE, linewidth=0.9, label="other words")
    ax.vlines(back[same], 0, weights[same], color=ORANGE, linewidth=2, label=f"“{word}”")
    ax.plot(back[same], weights[same], "o", color=ORANGE, markersize=4)
    heaviest = [i for i in np.argsort(-weights) if words[i]][:named]
    for place, i in enumerate(heaviest):
        ax.annotate(words[i], (back[i], weights[i]), (0, 10 if place % 2 else 4), fontsize=8, ha="center",
                    textcoords="offset points")  # fmt: skip
    ax.set(xlabel="words back", ylabel="weight", ylim=(0, max(0.03, 1.2 * weights.max())), title=title)
    legend_below(fig, *ax.get_legend_handles_labels())
    return described(
        fig,
        f"Weights of the last {len(weights):,} words as lines. {title}".strip()
        + f" “{word}”, the word to come, stood there {same.sum()} times and gets {weights[same].sum():.1%} of it all.",
    )


def shade_words(words: Sequence[str], weights, to_come: str, said: str) -> str:
    """Words shaded by their weight, underlined where they are the word to come, as HTML; a sentence below."""
    shaded = " ".join(
        f'<span style="background:color-mix(in srgb, {BLUE} {min(55, 300 * float(weight)):.0f}%, transparent);'
        f'{f"border-bottom:2px solid {ORANGE}" if word == to_come else ""}">{html.escape(word)}</span>'
        for word, weight in zip(words, weights, strict=True)
    )
    return f"<div><p>{shaded} <strong>→ {html.escape(to_come)}</strong></p><p>{html.escape(said)}</p></div>"


@style()
def plot_band(products, window: int, hits) -> "Figure":
    """Inner products of N states with N + w − 1 stored ones, of which a band is used; crosses at `hits`."""
    rows, columns = np.indices(products.shape)
    inside = (columns >= rows) & (columns < rows + window)
    fig, ax = figure(height=4.2)
    image = ax.imshow(np.where(inside, products, np.nan), cmap="Blues", aspect="auto")
    hits = inside & np.asarray(hits)
    ax.plot(*np.nonzero(hits)[::-1], "x", color=ORANGE, markersize=5, label="the stored word is the word to come")
    ax.set(xlabel="stored states, oldest first", ylabel="words to predict")
    ax.grid(visible=False)
    legend_below(fig, *ax.get_legend_handles_labels())
    fig.colorbar(image, ax=ax, label="inner product")
    return described(
        fig,
        f"A matrix of {len(products)} by {products.shape[1]} inner products, with only a diagonal band {window} wide "
        f"filled. Crosses mark the {int(hits.sum())} places where the stored word is the word to come.",
    )


@style()
def plot_cache_surface(surface: pd.DataFrame, best: Mapping, title: str) -> "Figure":
    """Perplexity by window and θ, at the best λ for each; and by λ, at the best window and θ."""
    table = surface.groupby(["window", "theta"])["perplexity"].min().unstack()
    fig, (left, right) = figure(1, 2, height=3.7, width=7.6, width_ratios=[1.5, 1])
    left.imshow(table, cmap="cividis_r", aspect="auto")
    middle = (table.to_numpy().min() + table.to_numpy().max()) / 2
    for (i, j), value in np.ndenumerate(table.to_numpy()):
        colour = ON_DARK if value > middle else ON_BRIGHT
        left.text(j, i, f"{value:.4g}", ha="center", va="center", fontsize=8, color=colour)
    left.set_xticks(range(table.shape[1]), table.columns)
    left.set_yticks(range(table.shape[0]), [f"{window:,}" for window in table.index])
    left.set(xlabel="θ", ylabel="window", title=f"{title}: perplexity at the best λ")
    left.grid(visible=False)
    along = surface[(surface["window"] == best["window"]) & (surface["theta"] == best["theta"])]
    right.plot(along["lam"], along["perplexity"], "o-", color=BLUE)
    right.set(xlabel="λ", ylabel="validation perplexity", title=f"window {best['window']:,}, θ {best['theta']:g}")
    alone = surface.loc[surface["lam"] == 0, "perplexity"].min()
    return described(
        fig,
        f"{title}: validation perplexity {alone:.2f} without the cache, {surface['perplexity'].min():.2f} at the best, "
        f"window {best['window']}, θ {best['theta']:g}, λ {best['lam']:g}. Flat around it; too large a λ hurts.",
    )


@style()
def plot_winners(by_word: pd.DataFrame, most: int = 15) -> "Figure":
    """The words that save most nats and those that cost most: columns `word`, `tokens` and `nats_saved`."""
    ordered = by_word.sort_values("nats_saved")
    fig, axes = figure(1, 2, height=4.4)
    parts = {"gain": ordered.tail(most), "lose": ordered.head(most)[::-1]}
    for ax, (title, part), colour in zip(axes, parts.items(), (BLUE, ORANGE), strict=True):
        ax.barh(range(len(part)), part["nats_saved"].abs(), color=colour, height=0.65)
        labels = [f"{word} ({n:,})" for word, n in zip(part["word"], part["tokens"], strict=True)]
        ax.set_yticks(range(len(part)), labels, fontsize=8)
        ax.set(title=f"words that {title}", xlabel="nats, over the whole split")
    said = [f"Words that {title} most: {', '.join(part['word'][::-1])}." for title, part in parts.items()]
    return described(fig, " ".join(said))


@style()
def plot_head(weights: np.ndarray, words: Sequence[str], name: str) -> "Figure":
    """The weights (T, T) of one attention head: row the word that looks, column the word that is looked at."""
    fig, ax = figure(height=5.0)
    ax.imshow(np.where(np.tri(len(weights)) > 0, weights, np.nan), cmap="Blues", vmin=0, vmax=1)
    ax.set_xticks(range(len(words)), words, rotation=90, fontsize=8)
    ax.set_yticks(range(len(words)), words, fontsize=8)
    ax.grid(visible=False)
    steps = np.arange(len(weights))
    back = (weights * (steps[:, None] - steps)).sum(1).mean()
    ax.set_title(f"{name}: looks {back:.1f} words back on average")
    return described(
        fig,
        f"Attention weights of {name} on: {' '.join(words)}. On average it looks {back:.1f} words back; "
        f"{np.diag(weights).mean():.0%} of the weight is on the word itself, {np.diag(weights, -1).mean():.0%} on the "
        "one before.",
    )
