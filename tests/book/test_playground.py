"""The model in the page: its weights are the package's, and so are its probabilities, in Chromium."""

import base64
import json
import math
import re

import numpy as np
import playground
import pytest
import torch

import lmtutor as lm
from lmtutor.runs.pretrained import pack_rows
from lmtutor.scoring.sampling import filter_log_probs
from lmtutor.text.tokenizers import get_tokenizer
from lmtutor.text.vocabulary import Vocabulary

TEXTS = [
    "It was a cold night . ",
    "The album peaked at number one on the Billboard ",
    "The zyzzogeton , a beetle , was named after <unk> in 1863 .\n = = Origin = = \nIt ",
    "\n",
    "",
]
WORDS_A_SECOND = 20
PLAYED = "lstm-200-wikitext-2"  # the model that the page names
PAGE = "book/playground.html"
SCRIPTS = {"lstm.js", "tape.js", "playground.js", "inside.js"}


# --- What is exported -------------------------------------------------------------------------------------------------


def small_model(tokenizer="words", **overrides):
    torch.manual_seed(0)
    vocab = Vocabulary(["<unk>", "<eos>", *"abcdefgh", 'é"\\'], get_tokenizer(tokenizer))
    shape = {"embedding": 12, "hidden": 8, "layers": 2} | overrides
    model = lm.build_model("lstm-200", vocab, **shape)
    tensors = {name: value.detach() for name, value in model.named_parameters()}
    return pack_rows(tensors), lm.models.registry.config_to_dict(model.config), vocab


def read_script(script: bytes) -> tuple[dict, dict]:
    """Read a script as the page does, with another implementation of base 85."""
    file = json.loads(script.decode().removeprefix("lmtutorModel(").removesuffix(");\n"))
    data, at, arrays = base64.b85decode(file["data"]), 0, {}
    for name, kind, length in file["arrays"]:
        arrays[name] = np.frombuffer(data, {"int8": "i1", "float32": "<f4"}[kind], length, at)
        at += arrays[name].nbytes
    assert len(data) - at in range(4)
    return file, arrays


def test_the_script_holds_the_weights_bit_for_bit():
    tensors, config, vocab = small_model()
    file, arrays = read_script(playground.export("small", tensors, config, vocab))
    assert file["words"].split(" ") == vocab.tokens and (file["unk"], file["eos"]) == (0, 1)
    for ours, torchs in {
        "E": "embedding.weight",
        "W_x1": "layers.1.weight_ih_l0",
        "W_h0": "layers.0.weight_hh_l0",
    }.items():
        assert np.array_equal(arrays[ours], tensors[torchs].numpy().ravel())
        assert np.array_equal(arrays[f"{ours}.scale"], tensors[f"{torchs}.scale"].numpy().ravel())
    assert np.array_equal(arrays["b_y"], tensors["head.bias"].numpy())
    both = tensors["layers.1.bias_ih_l0"] + tensors["layers.1.bias_hh_l0"]
    assert np.array_equal(arrays["b1"], both.numpy())


@pytest.mark.parametrize(
    "overrides, reason",
    [
        ({"tied": False}, "tied is False"),
        ({"cell": "gru"}, "cell is gru"),
        ({"tokenizer": "characters"}, "its tokens are characters"),
    ],
)
def test_a_model_that_the_page_cannot_run_is_refused(overrides, reason):
    with pytest.raises(lm.LMTutorError, match=reason):
        playground.export("odd", *small_model(**overrides))


def test_a_model_that_is_too_large_is_refused(monkeypatch):
    monkeypatch.setattr(playground, "LARGEST", 1000)
    with pytest.raises(lm.LMTutorError, match="at most 1,000"):
        playground.export("large", *small_model())


def test_settings_of_the_cache_are_those_of_the_record():
    settings = playground.cache_settings(PLAYED)
    assert settings.keys() == {"window", "theta", "lam"} and 0 < settings["lam"] < 1


# --- The built page without a browser ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained():
    return lm.load_pretrained(PLAYED)


@pytest.mark.book
def test_the_model_is_at_most_ten_million_bytes_and_the_page_says_how_large(site):
    size = (site / "_static" / playground.SCRIPT).stat().st_size
    assert size + sum((site / "_static" / name).stat().st_size for name in SCRIPTS) <= 10_000_000
    assert f"Load the model, {size / 1e6:.1f} MB" in (site / PAGE).read_text(encoding="utf-8")


@pytest.mark.book
def test_the_lines_of_python_on_the_page_give_the_numbers_of_the_page(pages):
    page = next(page.html for page in pages if page.name == "book/playground")
    shown = [(word.span.text, word.small.text) for word in page.select("ol.words li")]
    table = page.select_one(".cell_output table.dataframe tbody")
    tokens, bits = ([cell.text for cell in table.select(kind)] for kind in ("th", "td"))
    assert len(shown) == 12 and list(zip(tokens, bits, strict=True)) == shown


@pytest.mark.book
def test_only_pages_with_the_model_load_its_script(pages):
    for page in pages:
        loaded = {script["src"].split("/")[-1].split("?")[0] for script in page.html.select("script[src]")}
        assert playground.SCRIPT not in loaded
        assert (loaded >= SCRIPTS) == ("{playground}" in page.source)


@pytest.mark.book
def test_the_example_in_the_page_is_what_the_model_says(pretrained, pages):
    model, vocab = pretrained
    page = next(page for page in pages if page.name.endswith("playground"))
    assert playground.OPENING in page.source, "the cell of the page scores another line"
    shown = [float(bits.get_text()) for bits in page.article.select(".playground .words small")]
    table = lm.score_text(model, vocab, playground.OPENING)
    assert np.allclose(shown, -table["log_probability"] / math.log(2), atol=0.051)


# --- The page in Chromium ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["file", "http"])
def address(request, site):
    return site.as_uri() if request.param == "file" else request.getfixturevalue("served")


def open_page(browser, address, page=PAGE, **settings):
    """Open the page; what it asks for and what goes wrong is collected in two lists."""
    view = browser.new_context(**settings).new_page()
    view.asked, view.faults = [], []
    view.on("request", lambda r: view.asked.append(r.url))
    view.on("console", lambda m: view.faults.append(m.text) if m.type in ("error", "warning") else None)
    view.on("pageerror", lambda error: view.faults.append(str(error)))
    view.goto(f"{address}/{page}", wait_until="load")
    return view


def load_model(view):
    view.locator(".playground .load").click()
    view.locator("#pg-text").wait_for(timeout=60_000)
    settle(view)
    return view


@pytest.fixture(scope="module")
def loaded(browser, address):
    """The page with its model, for several tests."""
    view = load_model(open_page(browser, address, viewport={"width": 1280, "height": 1000}))
    yield view
    assert not view.faults
    view.context.close()


@pytest.fixture(scope="module")
def live(browser, served):
    """The same, over http alone."""
    view = load_model(open_page(browser, served, viewport={"width": 1280, "height": 1000}))
    yield view
    assert not view.faults
    view.context.close()


def settle(view):
    view.evaluate("lmtutorPlayground.update()")


def write(view, text, cache=None):
    """Put a text into the page, as pasting it would."""
    view.locator(".remember").set_checked(cache is not None)
    for name, value in (cache or {}).items():
        view.locator(f".playground .{name}").fill(str(value))
    view.locator("#pg-text").fill(text)
    settle(view)


def said(view) -> tuple[list[float], np.ndarray]:
    """The bits of each word and the whole next distribution, as the page has them."""
    script = """() => { const {reading, cacheSettings} = lmtutorPlayground;
        return [reading.bits(cacheSettings()), Array.from(reading.next(cacheSettings()).p)]; }"""
    bits, p = view.evaluate(script)
    return bits, np.array(p)


def expected(model, vocab, text) -> tuple[list[float], np.ndarray]:
    """The same of the package, one token after the other."""
    ids, state, bits = [vocab.eos_id, *vocab.encode_text(text).tolist()], model.initial_state(1), []
    with torch.no_grad():
        for id, follower in zip(ids, [*ids[1:], None], strict=True):
            log_probs, state = model.next_log_probs(torch.tensor([[id]]), state)
            if follower is not None:
                bits.append(-float(log_probs[0, follower]) / math.log(2))
    return bits, log_probs[0].exp().double().numpy()


@pytest.mark.book
@pytest.mark.browser
def test_nothing_is_loaded_before_it_is_asked_for(browser, address):
    view = open_page(browser, address)
    assert not any(playground.SCRIPT in url for url in view.asked)
    assert view.locator(".playground .words li").count() == len(playground.OPENING.split())
    load_model(view)
    assert sum(playground.SCRIPT in url for url in view.asked) == 1
    assert all(url.startswith((address, "data:")) for url in view.asked)
    assert not view.faults
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("text", TEXTS)
def test_probabilities_are_the_package_s(loaded, pretrained, text):
    write(loaded, text)
    (bits, p), (true_bits, true_p) = said(loaded), expected(*pretrained, text)
    assert np.abs(p - true_p).max() < 1e-3
    assert np.allclose(bits, true_bits, atol=1e-3)
    assert abs(p.sum() - 1) < 1e-6
    shown = loaded.locator(".playground .words li:not(.pending) small").all_inner_texts()
    assert shown == [f"{value:.1f}" for value in bits]


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("window, theta, lam", [(4000, 1.0, 0.3), (5, 0.0, 0.5), (2000, 0.662, 0.1279)])
def test_the_mixture_is_the_package_s(live, pretrained, window, theta, lam):
    model, vocab = pretrained
    text = "Penelope met a wizard . Penelope asked the wizard for a zyzzogeton .\nThe wizard gave "
    write(live, text, {"window": window, "theta": theta, "lam": lam})
    cache = lm.NeuralCache(model, window, theta, lam)
    (bits, p), (true_bits, true_p) = said(live), expected(cache, vocab, text)
    assert np.abs(p - true_p).max() < 1e-3
    assert np.allclose(bits, true_bits, atol=1e-3)


@pytest.mark.book
@pytest.mark.browser
def test_the_cache_learns_a_rare_word(live):
    text = "Penelope met a wizard . Penelope asked the wizard for help . "
    write(live, text)
    alone, _ = said(live)
    live.locator(".remember").check()
    remembered, _ = said(live)
    names = [k for k, word in enumerate(text.split()) if word == "Penelope"]
    assert remembered[names[1]] < alone[names[1]] - 5  # bits: at least 32 times as likely
    assert remembered[names[1]] < remembered[names[0]]
    shown = live.locator(".playground .next li").filter(has_text="Penelope")
    assert shown.locator("i.cache").evaluate("bar => bar.getBoundingClientRect().width") > 5


@pytest.mark.book
@pytest.mark.browser
def test_it_reads_twenty_words_a_second(live):
    """Of one core's time: how long that takes by the clock depends on who else is at work."""
    session = live.context.new_cdp_session(live)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy():
        metrics = session.send("Performance.getMetrics")["metrics"]
        return next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration")

    write(live, "the " * 10)
    before = busy()
    write(live, "a " * 100)  # another text: every word is read anew
    speed = 100 / (busy() - before)
    print(f"{speed:.0f} words a second")
    assert speed >= WORDS_A_SECOND


@pytest.mark.book
@pytest.mark.browser
def test_what_is_cut_from_a_word(live):
    cut = "text => lmtutorPlayground.cut(text, lmtutorPlayground.reading.model.ids)"
    for text, words in {
        "It rained, at “home”.\nWell-known": 'It rained , at " home " . <eos> Well @-@ known',
        "the king's horse (a grey)": "the king 's horse ( a grey )",
        "a<unk>b ... Mr. x": "a <unk> b ... Mr. x",
        "1,000 men, 3.5 of 1,234,567": "1 @,@ 000 men , 3 @.@ 5 of 1 @,@ 234 @,@ 567",
    }.items():
        assert live.evaluate(cut, text) == words.split(" ")


@pytest.mark.book
@pytest.mark.browser
def test_what_is_written_reads_like_a_text_and_is_read_back_as_it_was(live, pretrained):
    join = """words => { const {joined, cut, reading: {model: {ids}}} = lmtutorPlayground;
        const text = words.reduce((text, word) => joined(text, word, ids), "");
        return [text, cut(text, ids)]; }"""
    for words, text in {
        'He said , " the house ( a well @-@ known one ) is old . "': 'He said, "the house (a well-known one) is old." ',
        "In 1900 , 1 @,@ 000 men and 3 @.@ 5 % of 1 's <eos> It .": "In 1900, 1,000 men and 3.5 % of 1's \nIt. ",
        "St . John 's - 5 : a ... ) b": "St . John's - 5: a ... ) b ",  # "St." and "...)" would be other words
    }.items():  # fmt: skip
        written, read = live.evaluate(join, words.split(" "))
        assert read == words.split(" ")
        assert written == text
    # and whatever else follows whatever else
    _, vocab = pretrained
    rng = np.random.default_rng(0)
    for _ in range(40):
        words = [vocab.tokens[i] for i in (rng.random(30) ** 4 * len(vocab)).astype(int)]
        assert live.evaluate(join, words)[1] == words


@pytest.mark.book
@pytest.mark.browser
def test_the_greedy_text_is_the_package_s(live, pretrained):
    model, vocab = pretrained
    write(live, "The song was ")
    live.locator(".temperature").fill("0")
    live.locator(".write[data-words='20']").click()
    live.wait_for_function("document.querySelector('.write[data-words=\"20\"]').textContent === '20 words'")
    settle(live)
    written = live.evaluate("lmtutorPlayground.reading.steps.map(({id}) => id)")
    live.locator(".temperature").fill("1")
    # The page begins a text after a line end; the package does so where it is told to.
    greedy = lm.generate(model, vocab, "\nThe song was", tokens=20, temperature=0)
    assert vocab.decode(written) == vocab.tokenizer.tokenize(greedy)


SETTINGS = [(0.5, None, None), (1.0, None, None), (1.7, 10, None), (1.0, None, 0.6), (0.8, 50, 0.9), (1.3, 1, 0.3)]
LIKELIHOODS = """([temperature, topK, topP, banned]) => { const {reading, shaped} = lmtutorPlayground;
    return [...shaped(reading.p, {temperature, topK: topK ?? Infinity, topP: topP ?? 1}, banned)]; }"""


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("temperature, top_k, top_p", SETTINGS)
def test_what_it_chooses_from_is_the_package_s(live, pretrained, temperature, top_k, top_p):
    _, vocab = pretrained
    write(live, "The song was ")
    _, p = said(live)
    p[vocab.unk_id] = 0
    with np.errstate(divide="ignore"):
        wanted = filter_log_probs(torch.from_numpy(np.log(p)), temperature, top_k, top_p).exp().numpy()
    shaped = np.array(live.evaluate(LIKELIHOODS, [temperature, top_k, top_p, [vocab.unk_id]]))
    assert (shaped > 0).sum() == (wanted > 0).sum()
    assert np.abs(shaped - wanted).max() < 1e-5
    # for one number between 0 and 1, page and package draw the same word
    points = [0.05, 0.3, 0.6, 0.9, 0.999]
    draw = """([[temperature, topK, topP, banned], points]) => { const {draw, shaped, reading} = lmtutorPlayground;
        const p = shaped(reading.p, {temperature, topK: topK ?? Infinity, topP: topP ?? 1}, banned);
        return points.map(u => draw(p, () => u)); }"""
    expected = np.searchsorted(wanted.cumsum(), np.array(points) * wanted.sum(), side="right")
    assert live.evaluate(draw, [[temperature, top_k, top_p, [vocab.unk_id]], points]) == expected.tolist()


@pytest.mark.book
@pytest.mark.browser
def test_the_bars_follow_the_sliders(live, pretrained):
    _, vocab = pretrained
    write(live, "He was born in ")
    shares = """[...document.querySelectorAll('.next li:not(.rest) .share')].map(
        e => parseFloat(e.textContent.replace('<', '')))"""
    words = "[...document.querySelectorAll('.next button')].map(e => e.dataset.word)"
    plain = live.evaluate(shares)
    assert np.allclose(plain, sorted(100 * said(live)[1])[:-11:-1], atol=0.051)
    live.locator(".temperature").fill("0.5")
    sharper = live.evaluate(shares)
    assert sharper[0] > plain[0] and "<unk>" not in live.evaluate(words)
    live.locator(".top-k").fill("3")  # the fourth step of the slider
    assert len(live.evaluate(shares)) == 5 and abs(sum(live.evaluate(shares)) - 100) < 0.3
    live.locator(".top-p").fill("0.3")
    p = np.array(live.evaluate("[...lmtutorPlayground.chosen().p]"))
    assert 1 <= (p > 0).sum() < 5 and abs(p.sum() - 1) < 1e-6
    assert live.locator("#pg-next").inner_text() == "What it would write next"
    assert live.locator(".controls .value").all_inner_texts() == ["0.5", "5", "0.30"]
    for name, neutral in ((".temperature", "1"), (".top-k", "10"), (".top-p", "1")):
        live.locator(name).fill(neutral)
    assert live.evaluate(shares) == plain


@pytest.mark.book
@pytest.mark.browser
def test_what_it_writes_is_text(live):
    """No sign of a heading, no <unk>, no empty line; and a reader sees all of it."""
    write(live, "\n")
    for _ in range(3):
        live.locator(".write[data-words='20']").click()
        live.wait_for_function("document.querySelector('.write[data-words=\"20\"]').textContent === '20 words'")
    text = live.locator("#pg-text").input_value()
    assert len(text.split()) > 30 and not {"=", "<unk>"} & set(text.split()) and "\n\n" not in text
    assert live.locator("#pg-text").evaluate("e => e.scrollHeight <= e.clientHeight + 2"), "its beginning is hidden"


@pytest.mark.book
@pytest.mark.browser
def test_on_a_phone_the_button_stands_beside_what_it_writes(browser, served):
    view = load_model(open_page(browser, served, viewport={"width": 390, "height": 844}))
    place = "e => e.getBoundingClientRect().toJSON()"
    area, button = (view.locator(name).first.evaluate(place) for name in ("#pg-text", ".write"))
    assert 0 <= button["top"] - area["bottom"] < 60
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_all_of_it_works_by_keyboard(browser, served):
    view = open_page(browser, served)
    view.locator(".playground .load").focus()
    view.keyboard.press("Enter")
    view.locator("#pg-text").wait_for(timeout=60_000)
    assert view.evaluate("document.activeElement.id") == "pg-text"
    view.keyboard.press("Control+A")
    view.keyboard.type("He was born in New Yo")
    view.locator(".words .pending", has_text="Yo").wait_for()
    assert view.locator(".words li:not(.pending)").count() == 5
    view.keyboard.press("Control+Backspace")
    likeliest = view.locator(".next button").first.get_attribute("data-word")
    while view.evaluate("!document.activeElement.closest('.next')"):
        view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    view.locator(".words li:not(.pending)", has_text=likeliest).wait_for()
    assert view.locator("#pg-text").input_value() == f"He was born in New {likeliest} ", "not added as a word"
    assert view.evaluate("document.activeElement.closest('.next') !== null"), "the focus is lost"
    said = rf"^{re.escape(likeliest)}: \d+\.\d bits\. Likeliest next: "
    view.wait_for_function("said => new RegExp(said).test(document.querySelector('.spoken').textContent)", arg=said)
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_without_javascript_the_example_stands_and_the_page_says_why(browser, served):
    view = open_page(browser, served, java_script_enabled=False)
    assert view.locator(".playground .note").is_visible()
    assert view.locator(".playground .words li").count() == len(playground.OPENING.split())
    for hidden in (".load", "#pg-text", ".temperature"):
        assert not view.locator(f".playground {hidden}").is_visible()
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
def test_a_model_that_does_not_arrive_can_be_asked_for_again(browser, served):
    view = open_page(browser, served)
    view.route(f"**/{playground.SCRIPT}*", lambda route: route.abort())
    view.locator(".playground .load").click()
    view.get_by_role("button", name="It could not be loaded. Try again").wait_for()
    view.unroute(f"**/{playground.SCRIPT}*")
    load_model(view)
    view.context.close()


@pytest.mark.book
@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_loaded_page_is_accessible_and_fits_a_narrow_screen(browser, served, theme):
    from axe_playwright_python.sync_playwright import Axe

    view = load_model(open_page(browser, served, viewport={"width": 360, "height": 740}, color_scheme=theme))
    write(view, "Penelope met a zyzzogeton . Penelope " * 8 + "unfini", {"lam": 0.3})
    assert view.evaluate("document.documentElement.scrollWidth") <= 360
    found = Axe().run(view, context=".playground", options={"resultTypes": ["violations"]}).response["violations"]
    view.context.close()
    assert not found, [(violation["id"], violation["nodes"][0]["html"][:100]) for violation in found]
