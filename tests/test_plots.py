"""The figures: what they draw is what they were given, what they say is true, and they can be read on any page."""

import base64
import math
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from lmtutor.display import diagrams, plots
from lmtutor.display.diagrams import join_tree
from lmtutor.display.figures import COLOURS, DASHES, INK, MARKERS, MUTED, PAPER, figure, line, plain_log, to_html
from lmtutor.display.narrow import narrow, uncrowded, wide
from lmtutor.runs.recipe import read_recipe, recipe_names
from lmtutor.system.errors import LMTutorError


@pytest.fixture
def history() -> pd.DataFrame:
    frame = pd.DataFrame({"epoch": [1, 2, 3], "train_loss": [5.9, 5.3, 5.05], "valid_loss": [5.4, 5.2, 5.1]})
    return frame.assign(valid_perplexity=np.exp(frame["valid_loss"]), seconds=[60.0, 50.0, 40.0])


def curves(axes) -> dict[str, tuple]:
    return {line.get_label(): line.get_data() for line in axes.get_lines() if len(line.get_xdata())}


def test_history_draws_the_losses_the_published_epochs_near_ours_and_the_floor(history):
    fig = plots.plot_history(history, published="gluonnlp/standard_lstm_lm_200", floor=1.5)
    left, right = fig.axes
    assert list(curves(left)["validation"][1]) == [5.4, 5.2, 5.1]
    assert set(curves(left)["exact entropy 1.50"][1]) == {1.5}
    (name,) = (label for label in curves(right) if label.startswith("gluonnlp"))
    assert list(curves(right)[name][0]) == [1, 2, 3]  # of 750
    assert list(curves(right)[name][1]) == [228.54, 173.08, 160.67]
    assert curves(right)["exact floor 4.5"][1] == pytest.approx([math.exp(1.5)] * 2)
    assert right.get_yscale() == "log" and left.get_yscale() == "linear"
    for number in (f"{math.exp(5.4):.1f}", f"{math.exp(5.1):.1f}", "160.7 after epoch 3", "108.2 at epoch 36", "4.5"):
        assert number in fig.alt


def test_one_epoch_and_a_published_frame_of_ones_own(history):
    own = pd.DataFrame({"epoch": [1, 2, 3, 4], "valid_perplexity": [9.0, 8.0, 7.0, 6.0]})
    right = plots.plot_history(history[:1], published=own).axes[1]
    (name,) = (label for label in curves(right) if label.startswith("published"))
    assert list(curves(right)[name][1]) == [9, 8, 7]


def test_run_curves_by_epoch_and_by_time(history):
    fig = plots.plot_run_curves({"a": history, "b": history.assign(valid_perplexity=[30.0, 20.0, 25.0])}, floor=2.0)
    assert list(curves(fig.axes[0])["b"][1]) == [30, 20, 25]
    assert "b ends at 25.0, lowest 20.0" in fig.alt
    by_time = plots.plot_run_curves({"a": history}, x="seconds").axes[0]
    assert list(curves(by_time)["a"][0]) == [60, 110, 150]


def test_surprisal_has_a_bar_a_token_and_wraps():
    values = [math.nan, 1.0, 2.0, 3.0, 0.5]
    fig = plots.plot_surprisal(list("abcde"), values, row=3)
    heights = [bar.get_height() for axes in fig.axes for bar in axes.patches]
    assert heights[1:] == values[1:] and math.isnan(heights[0])
    assert [t.get_text() for axes in fig.axes for t in axes.get_xticklabels()] == list("abcde")
    assert "“d” 3.0, “c” 2.0, “b” 1.0" in fig.alt and f"perplexity {math.exp(6.5 / 4):.1f}" in fig.alt


def test_zipf_sorts_and_perplexities_stand_on_the_floor():
    counts = Counter({"the": 50, "maid": 5, "clock": 1, "never": 0})
    dots = curves(plots.plot_zipf(counts).axes[0])["types"]
    assert list(dots[0]) == [1, 2, 3] and list(dots[1]) == [50, 5, 1]
    assert list(curves(plots.plot_zipf([1, 5, 50]).axes[0])["types"][1]) == [50, 5, 1]
    axes = plots.plot_perplexities({"lstm": 20.0, "unigram": 200.0}, floor=math.log(10)).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["unigram", "lstm"]
    assert [segment[:, 0].tolist() for segment in axes.collections[0].get_segments()] == [
        [pytest.approx(10), 200],
        [pytest.approx(10), 20],
    ]


def test_gates_keep_their_range():
    gate, cell = np.array([[0.0, 1.0], [0.5, 0.5], [1.0, 1.0]]), np.array([[-3.0, 1.0], [0.5, 0.5], [1.0, 2.0]])
    fig = plots.plot_gates({"forget": gate, "cell": cell}, ["a", "b", "c"])
    first, second = (axes.images[0] for axes in fig.axes[:2])
    assert np.array_equal(first.get_array(), gate.T) and first.get_clim() == (0, 1)
    assert second.get_clim() == (-3, 3)
    assert "forget mean 0.67, highest at “c”" in fig.alt


def test_waterfall_shows_what_is_left_and_what_was_saved():
    axes = plots.plot_waterfall(["plain", "fused", "bf16"], [8.0, 4.0, 1.0]).axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [(0, 8), (0, 4), (0, 1), (4, 4), (1, 3)]
    assert [t.get_text().split() for t in axes.texts] == [["8"], ["4", "(2×", "faster)"], ["1", "(4×", "faster)"]]
    texts = plots.plot_waterfall(["plain", "no gain", "a loss"], [8.0, 7.9, 15.8]).axes[0].texts
    assert [t.get_text().split() for t in texts] == [["8"], ["7.9"], ["15.8", "(2×", "slower)"]]


def test_a_figure_shows_itself_as_an_image_with_its_alternative_text(history):
    fig = plots.plot_surprisal(['"<eos>&'], [1.0])
    bundle = fig._repr_mimebundle_()
    assert bundle["text/plain"] == fig.alt
    page = bundle["text/html"]
    assert 'alt="Bar chart' in page and "&quot;&lt;eos&gt;&amp;" in page and "http" not in page
    svg = base64.b64decode(re.search(r"base64,([^\"]+)", page)[1]).decode()
    assert f"fill: {PAPER}" in svg  # opaque
    assert page == to_html(plots.plot_surprisal(['"<eos>&'], [1.0]), fig.alt)  # the same figure, the same bytes
    assert "<figcaption>A &amp; B</figcaption>" in to_html(fig, "x", caption="A & B")
    assert "<figcaption>Look.</figcaption>" in fig.captioned("Look.")._repr_mimebundle_()["text/html"]


def pictures(page: str) -> list[str]:
    return [base64.b64decode(found).decode() for found in re.findall(r"base64,([^\"]+)", page)]


def test_a_phone_gets_a_narrow_picture_and_both_have_letters(history):
    page = to_html(plots.plot_history(history), "x")
    slim, wide = pictures(page)
    assert re.findall(r'width="(\d+)" height', page) == ["413", "691"] and '<source media="(max-width: 576px)"' in page
    assert ">nats per token</text>" in slim and ">nats per token</text>" in wide
    assert re.findall(r'width="(\d+)" height', to_html(join_tree(), "x"))[0] == "475"  # its boxes need room


@pytest.mark.parametrize("name", [name for name in vars(diagrams) if name.endswith(("_diagram", "_tree", "_band"))])
def test_letters_of_a_drawing_have_nine_pixels_on_a_phone_and_its_boxes_room(name):
    fig = vars(diagrams)[name]()
    slim = pictures(to_html(fig, "x"))[0]
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', slim)[1])
    words = re.findall(r"<text.*?</text>", slim, flags=re.S)
    sizes = [max(map(float, re.findall(r"font(?:-size)?: [^;\"]*?([\d.]+)px", word))) for word in words]
    assert words and min(sizes) * 358 / width >= 9, "a phone of 390 pixels gives a figure 358"
    with narrow(fig, fig.narrow):
        fig.draw_without_rendering()
        for axes in fig.axes:
            frames = [text.get_bbox_patch().get_window_extent() for text in axes.texts if text.get_bbox_patch()]
            assert not [(a, b) for i, a in enumerate(frames) for b in frames[:i] if a.overlaps(b)]


def test_narrow_stacks_panels_wraps_titles_thins_labels_and_puts_all_back():
    fig, (left, right) = plots.figure(1, 2, sharey=True)
    for axes in (left, right):
        axes.set(title="A title that is far too long for a phone, and for two", xlim=(0, 12))
        axes.set_xticks(range(13), [f"{n} {n}" for n in range(13)])
    fig.draw_without_rendering()
    before = [axes.get_position().bounds for axes in fig.axes]
    with narrow(fig):
        fig.draw_without_rendering()
        assert left.get_position().y0 > right.get_position().y1 and left.get_position().x0 == right.get_position().x0
        assert right.yaxis.get_ticklabels()[0].get_visible(), "below the other it needs its own numbers"
        assert all(axes.title.get_window_extent().x1 <= fig.bbox.x1 for axes in fig.axes)
        boxes = [label.get_window_extent() for label in left.get_xticklabels() if label.get_visible()]
        assert 4 < len(boxes) < 13 and all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
    fig.draw_without_rendering()
    assert [axes.get_position().bounds for axes in fig.axes] == [pytest.approx(bounds, abs=0.01) for bounds in before]
    assert not right.yaxis.get_ticklabels()
    assert all(label.get_visible() for label in left.get_xticklabels())


def test_labels_below_an_axis_do_not_touch_in_either_layout():
    curves = {"a": np.linspace(6, 2, 50), "b": np.linspace(5, 3, 50)}
    names = {"order 4": 2.5, "Kneser–Ney, n = 5": 4.0}
    fig = plots.plot_lines({"left": curves, "right": curves}, np.geomspace(1, 2000, 50), xscale="log", levels=names)
    for layout in (uncrowded(fig), narrow(fig)):
        with layout:
            fig.draw_without_rendering()
            for axes in fig.axes:
                boxes = [one.get_window_extent() for one in axes.get_xticklabels() if one.get_visible()]
                assert len(boxes) > 4 and all(a.x1 < b.x0 for a, b in zip(boxes, boxes[1:], strict=False))
                frame = axes.get_window_extent()
                assert all(text.get_window_extent().x0 >= frame.x1 for text in axes.texts), "beside it, on no curve"
    assert all(one.get_visible() for axes in fig.axes for one in axes.get_xticklabels())


def test_of_a_crowded_axis_the_powers_of_ten_stay():
    fig, axes = figure(height=2)
    fig.set_figwidth(3)
    axes.plot(np.geomspace(2_000, 2_000_000, 9), range(9))
    axes.set(xscale="log", xticks=[d * 10**n for n in (3, 4, 5, 6) for d in (1, 2, 5)])
    plain_log(axes.xaxis)
    axes.set_xlim(1_000, 3_000_000)
    with uncrowded(fig):
        shown = [one.get_text() for one in axes.get_xticklabels() if one.get_visible() and one.get_text()]
    assert {"1,000", "10,000", "100,000", "1,000,000"} <= set(shown) and len(shown) < len(axes.get_xticklabels())


def test_twelve_curves_are_told_apart():
    _, axes = figure()
    for i in range(12):
        line(axes, [0, 1], [i, i], i, str(i))
    assert len({(one.get_color(), one.get_marker()) for one in axes.lines}) == 12


def test_numbers_of_narrow_bars_stand_upright_on_a_phone():
    table = pd.DataFrame(np.linspace(1, 2, 18).reshape(6, 3), list("uvwxyz"), list("abc"))
    for fig, turned in ((plots.plot_bars(table), 90), (plots.plot_bars(table[:2]), 0)):
        (axes,) = fig.axes
        with narrow(fig):
            fig.draw_without_rendering()
            boxes = [text.get_window_extent() for text in axes.texts]
            assert {text.get_rotation() for text in axes.texts} == {turned}
            assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
        assert {text.get_rotation() for text in axes.texts} == {0}


def test_letters_below_an_axis_stand_in_two_rows_on_a_phone_and_words_are_slanted():
    line = plots.plot_gates({"forget gate": np.full((60, 3), 0.5)}, list("the door opens " * 4))
    bars = plots.plot_bars(pd.DataFrame({"nats": range(6)}, [f"all other words {n}" for n in range(6)]))
    with narrow(line), narrow(bars):
        for fig in (line, bars):
            fig.draw_without_rendering()
            assert all(label.get_visible() for label in fig.axes[0].get_xticklabels()), "none is left out"
        boxes = [label.get_window_extent() for label in line.axes[0].get_xticklabels()]
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.padded(-0.5).overlaps(b.padded(-0.5))]
        assert {label.get_rotation() for label in bars.axes[0].get_xticklabels()} == {40}
    assert {label.get_position()[1] for label in line.axes[0].get_xticklabels()} == {0}


def test_a_legend_stands_where_no_curve_is_or_below_the_panels():
    crowded = {name: np.full(20, i) for i, name in enumerate("abcdefg")}
    for curves, moved in ((crowded, True), ({"a": np.r_[2, np.zeros(19)], "b": np.r_[1, np.zeros(19)]}, False)):
        fig = plots.plot_lines(curves, ylim=(0, 6))
        with uncrowded(fig):
            assert len(fig.legends) == moved and fig.axes[0].get_legend().get_visible() != moved
        assert not fig.legends and fig.axes[0].get_legend().get_visible()


def test_what_panels_have_in_common_is_said_once_on_a_page_and_by_each_on_a_phone():
    fig, axes = plots.figure(2, 2, sharex="col", height=5)
    for row, column in np.ndindex(2, 2):
        axes[row, column].set(title=f"title {column}", xlabel=f"x {column}", ylabel=f"y {row}")

    def shown():
        words = ((ax.get_title("left") and ax._left_title, ax.xaxis.label, ax.yaxis.label) for ax in axes.flat)
        return [[word.get_text() for word in one if word.get_visible()] for one in words]

    every = [[f"title {column}", f"x {column}", f"y {row}"] for row, column in np.ndindex(2, 2)]
    with plots.style():
        for ax in axes.flat:
            ax.set_title(ax.get_title("left") or ax.get_title(), loc="left")
        with wide(fig):
            assert shown() == [["title 0", "y 0"], ["title 1"], ["x 0", "y 1"], ["x 1"]]
        with narrow(fig):
            assert shown() == every
        assert shown() == every


def test_no_line_crosses_a_number_or_a_word_above_another_line():
    bars = plots.plot_surprisal(list("abc"), [0.9, 1.0, 1.4])
    weights, same = np.zeros(120), np.zeros(120, dtype=bool)
    weights[[-54, -53, -52, -20]] = 0.3, 0.01, 0.2, 0.1
    lines = plots.plot_weights(weights, same, ["a"] * 66 + ["No", "one", "at"] + ["b"] * 51, "c", named=4)
    for layout in (uncrowded, narrow):
        with layout(bars), layout(lines):
            for fig in (bars, lines):
                fig.draw_without_rendering()
            level = bars.axes[0].transData.transform((0, np.mean([0.9, 1.0, 1.4])))[1]
            assert not [t for t in bars.axes[0].texts if (b := t.get_window_extent()).y0 < level < b.y1]
            (ax,) = lines.axes
            boxes = {text.get_text(): text.get_window_extent() for text in ax.texts if text.get_visible()}
            assert set(boxes) == {"No", "at", "b"}, "one stands between two lines"
            for back, weight in ((-54, 0.3), (-52, 0.2), (-20, 0.1)):
                x, top = ax.transData.transform((back, weight))
                assert not [word for word, b in boxes.items() if b.x0 < x < b.x1 and b.y0 < top]
    assert len(lines.axes[0].texts) == 4 and all(text.get_visible() for text in lines.axes[0].texts)


def test_numbers_of_axes_have_one_look():
    fig, (left, right) = figure(1, 2)
    left.plot([0, 4000], [1e-7, 1])
    right.plot([-4000, 0], [5, 2000])
    left.set_yscale("log")
    right.set_yscale("log")
    page = "".join(pictures(to_html(fig, "x")))
    assert ">4,000<" in page and ">−4,000<" in page and ">1,000<" in page and not re.search(r">−?\d{4}<", page)


def test_many_words_stand_upright_on_a_phone_and_do_not_touch():
    words = "the same words in another order are worth five times as much to nobody".split() * 2
    table = pd.DataFrame({"token": words, "log_probability": -np.linspace(1, 9, len(words))})
    fig = plots.plot_readings({"many": table})
    (axes,) = fig.axes
    with narrow(fig):
        fig.draw_without_rendering()
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert len(boxes) == 28 and all(a.x1 <= b.x0 + 0.5 for a, b in zip(boxes, boxes[1:], strict=False))
        assert not any(number.get_visible() for number in axes.texts)
    assert {label.get_rotation() for label in axes.get_xticklabels()} == {50}
    assert len(axes.texts) == 28 and all(number.get_visible() for number in axes.texts)


def test_what_a_page_draws_itself_has_the_style_too():
    fig, (left, right) = plots.figure(1, 2)
    left.plot([1, 2], label="a")
    left.set_title("left")
    left.legend()
    to_html(fig, "x")
    assert left.get_title("left") == "left" and not left.get_title("center") and not left.get_legend().get_frame_on()
    assert not right.get_title("left")


def test_show_wants_an_alternative_text(capsys):
    from matplotlib.figure import Figure

    with pytest.raises(LMTutorError, match="no alternative text"):
        plots.show(Figure())
    plots.show(Figure(), alt="an empty page")
    assert "an empty page" in capsys.readouterr().out


def test_pyplot_does_not_know_the_figures():
    from matplotlib._pylab_helpers import Gcf

    plots.plot_zipf([3, 2])
    assert not Gcf.get_all_fig_managers()  # or a notebook would show each figure twice


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_have_contrast_and_lines_differ_by_more_than_colour():
    assert min(contrast(colour, PAPER) for colour in COLOURS) >= 3  # WCAG 1.4.11, graphics
    assert min(contrast(INK, PAPER), contrast(MUTED, PAPER)) >= 4.5  # text
    assert len(set(DASHES)) == len(set(MARKERS)) == len(set(COLOURS))


def test_published_numbers():
    curve = plots.published_curve("gluonnlp/standard_lstm_lm_200")
    assert len(curve) == 750 and list(curve["epoch"][:2]) == [1, 2]
    best = curve.loc[curve["valid_perplexity"].idxmin()]
    assert (best["epoch"], best["valid_perplexity"], best["test_perplexity"]) == (36, 108.17, 102.49)
    table = plots.published_table()
    tutorial = table[(table["model"] == "lstm-200-tied") & (table["epochs"] == 3)].iloc[0]
    assert (tutorial["valid_perplexity"], tutorial["test_perplexity"]) == (158.35, 147.84)
    assert table["source"].notna().all()
    with pytest.raises(LMTutorError, match="Did you mean.*gluonnlp/standard_lstm_lm_200"):
        plots.published_curve("gluonnlp/standard_lstm_lm_20")


def test_what_a_recipe_aims_at_is_in_the_published_table():
    """One model has one figure: a table that its source has replaced is not cited beside the new one."""
    table = plots.published_table()
    known = set(zip(table["corpus"], table["valid_perplexity"], table["test_perplexity"], strict=True))
    aims = [(recipe.corpus["name"], recipe.published) for recipe in map(read_recipe, recipe_names())]
    aims = [(corpus, aim) for corpus, aim in aims if "GluonNLP" in aim.get("source", "")]
    assert len(aims) > 5
    for corpus, aim in aims:
        assert (corpus, aim["valid"], aim["test"]) in known


ROOF = pd.DataFrame({"part": ["near", "far"], "operations": [8e9, 1e9], "bytes": [1e8, 1e10], "seconds": [0.1, 0.5]})


def test_roofline_has_the_lower_of_two_limits_and_each_part_at_its_place():
    fig = plots.plot_roofline(ROOF, 4e10, {"float32": 1e11, "bfloat16": 2e11})
    lines = fig.axes[0].lines
    for roof, most in zip(lines[:2], (100, 200), strict=True):
        x, y = roof.get_data()
        assert y[0] == pytest.approx(40 * x[0])  # 40 GB a second times operations a byte
        assert list(y[1:]) == [most, most] and 40 * x[1] == pytest.approx(most)
    points = [tuple(float(value[0]) for value in part.get_data()) for part in lines[2:]]
    assert points == [(80, pytest.approx(80)), (0.1, pytest.approx(2))]
    high = plots.plot_roofline(ROOF.iloc[:1], 4e10, {"float32": 1e11}).axes[0].lines[0].get_xdata()
    assert np.all(np.diff(high) > 0)  # the roof rises to its edge, also where every part is to the right of it
    assert (
        "40 GB per second up to float32 100, bfloat16 200" in fig.alt and "far 2 at 0.1 operations per byte" in fig.alt
    )


def test_lines_stand_where_the_table_says_and_the_text_has_their_ends():
    table = {"a": pd.Series([3.0, 2.0], index=[1, 10]), "b": pd.Series([9.0, 4.0, 1.0], index=[1, 5, 10])}
    fig = plots.plot_lines({"left": table, "right": {"a": table["a"]}}, floor=0.5, levels={"half": 1.5}, mark={"b": 5},
                           at={"right": 7}, xlabel=("step", "day"), ylabel="nats")  # fmt: skip
    left, right = fig.axes
    assert [list(part) for part in curves(left)["b"]] == [[1, 5, 10], [9, 4, 1]]
    assert [list(part) for part in curves(left)["a"]] == [[1, 10], [3, 2]]  # no gap where only b has a value
    assert (left.get_xlabel(), right.get_xlabel(), right.get_title("left")) == ("step", "day", "right")
    for said in ("left, nats by step: a 3 to 2; b 9 to 1", "cross at 5, where it is 4", "the floor", "1.5: half"):
        assert said in fig.alt
    assert [7, 7] in [list(line.get_xdata()) for line in right.get_lines()]
    frame = plots.plot_lines({"up": [1, 2, 3]}, [10, 20, 40], xscale="log").axes[0]
    assert list(curves(frame)["up"][0]) == [10, 20, 40]


def test_bars_dots_and_maps_show_their_numbers():
    bars = plots.plot_bars(pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]}, index=["p", "q"]), ylabel="nats")
    assert sorted(bar.get_height() for bar in bars.axes[0].patches) == [1, 2, 3, 4]
    assert "p: x 1.00, y 3.00; q: x 2.00, y 4.00" in bars.alt
    dots = plots.plot_dots({"bits": {"m": 1.5, "n": 2.5}, "nats": {"m": 1.0, "n": 2.0}}, reference=("there", 1.2))
    assert [axes.get_xlabel() for axes in dots.axes] == ["bits", "nats"] and "bits: m 1.50, n 2.50" in dots.alt
    assert [t.get_text() for t in dots.axes[0].get_yticklabels()] == ["m", "n"]
    holes = np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    maps = plots.plot_maps({"w": holes}, limit=3, rows={1: "second"})
    assert "w: 2 by 3, 50% of it blank, with 1 whole columns and 0 whole rows" in maps.alt
    assert maps.axes[0].images[0].get_clim() == (0, 3)


def test_what_is_looked_back_at_is_marked_where_it_stood():
    fig = plots.plot_weights([0.1, 0.2, 0.7], [True, False, True], ["Vane", "the", "Vane"], "Vane", named=1)
    assert "stood there 2 times and gets 80.0% of it all" in fig.alt
    assert [text.get_text() for text in fig.axes[0].texts] == ["Vane"]
    shaded = plots.shade_words(["<b>", "Vane"], [0.5, 0.1], "Vane", "a & b")
    assert "&lt;b&gt;" in shaded and "a &amp; b" in shaded and shaded.count("border-bottom") == 1
    hits = np.eye(3, 4, dtype=bool)
    band = plots.plot_band(np.arange(12.0).reshape(3, 4), 2, hits)
    drawn = band.axes[0].images[0].get_array()
    assert drawn.mask.tolist() == [[0, 0, 1, 1], [1, 0, 0, 1], [1, 1, 0, 0]] and "3 places" in band.alt
