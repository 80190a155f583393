// The front page's exhibit: steps through states that were computed when the book was built, and on request loads the
// model and reads the reader's own line (lstm.js). Drawn with tape.js.
"use strict";

(() => {
  const root = document.getElementById("exhibit"), home = document.currentScript.src;
  const find = (selector) => root.querySelector(selector), MOST = 13, ROWS = ["forget", "input", "memory"];
  const states = JSON.parse(find("script").textContent), tape = find(".tape"), list = tape.querySelector("ol");
  const words = [...list.children].slice(0, -1), slot = list.lastElementChild;
  const widths = [...words, slot].map((item) => widthOf(item.querySelector("b").textContent));
  const named = (next) => next.find(([word]) => word !== states.rare)[0];
  let at = words.length - 1, clock, later;

  function showNext(next) {
    find(".to-come ol").replaceChildren(...next.map(([word, share]) => {
      const item = document.createElement("li"), bar = document.createElement("i");
      const [name, said] = ["b", "span"].map((tag) => document.createElement(tag));
      name.textContent = word;
      bar.style.setProperty("--v", share.toFixed(3));
      said.textContent = share < 0.005 ? "<1%" : `${Math.round(100 * share)}%`;
      item.append(name, bar, said);
      return item;
    }));
  }
  function say(word, next) {
    find("[role=status]").textContent =
      `${word}. Likeliest next: ${next.slice(0, 3).map(([name, share]) => `${name}, ${Math.round(100 * share)} percent`).join("; ")}.`;
  }

  // -------------------------------------------------------------------------------------------- the line of the book

  function show(k) {
    at = k;
    words.forEach((item, j) => { item.hidden = j > k; });
    const next = states.next[k], guess = named(next);
    slot.querySelector("b").textContent = guess;
    drawArcs(tape, widths, k + 1, states.arcs[k]);
    showNext(next);
  }
  function step() {
    show((at + 1) % words.length);
    return at < words.length - 1;
  }
  function stop() {
    clearInterval(clock);
    clock = undefined;
    find(".play").textContent = "play";
  }
  function play() {
    if (at === words.length - 1) show(0);
    find(".play").textContent = "pause";
    clock = setInterval(() => { if (!step()) stop(); }, 700);
  }
  find(".step").addEventListener("click", () => {
    stop();
    step();
    say(words[at].querySelector("b").textContent + ": " + words[at].querySelector(".said").textContent, states.next[at]);
  });
  find(".play").addEventListener("click", () => clock ? stop() : play());
  addEventListener("beforeprint", () => { if (clock) { stop(); show(words.length - 1); } });

  // ------------------------------------------------------------------------------------------------- the reader's line

  const load = (name) => new Promise((done, failed) => {
    const script = document.createElement("script");
    Object.assign(script, {src: new URL(name, home), onload: done, onerror: failed});
    document.head.append(script);
  });
  let reading, turn = 0;

  async function update() {
    const mine = ++turn, {model} = reading, text = find("input").value;
    const tokens = cut(text.replace(/\S*$/, ""), model.ids), ids = tokens.map((word) => model.ids.get(word) ?? model.unk);
    reading.follow(ids);
    const next = likeliest(reading.p, 5).map((id) => [id === model.unk ? states.rare : model.words[id], reading.p[id]]);
    const first = Math.max(0, tokens.length - MOST), guess = named(next);
    const shown = tokens.slice(first).map((text, k) => {
      const cells = states.cells.map(([, layer, cell]) => {
        const {f, i, c} = reading.steps[first + k + 1].state[layer - 1];
        return [["", f[cell]], ["", i[cell]], ["signed", Math.tanh(c[cell])]];
      });
      const said = cells.map((rows, n) => `${states.cells[n][0]}: ` +
        rows.map(([, value], r) => `${ROWS[r]} ${number(value)}`).join(", ")).join("; ");
      return {text, cells, said};
    });
    const all = [...shown, {text: guess, type: "awaited"}];
    drawTape(tape, all, []);
    showNext(next);
    clearTimeout(later);
    later = setTimeout(() => shown.length && say(`${shown.at(-1).text}: ${shown.at(-1).said}`, next), 900);
    const loss = await reading.leftOut(model.ids.get(guess), first + 1, () => mine === turn);
    if (loss) drawArcs(tape, all.map(({text}) => widthOf(text)), shown.length, [...loss.entries()]);
  }
  find(".own").addEventListener("click", async () => {
    const button = find(".own"), label = button.innerHTML;
    stop();
    show(words.length - 1);
    button.disabled = true;
    button.textContent = "loading …";
    const arrived = new Promise((done) => { window.lmtutorModel = done; });
    try {
      await load("lstm.js");
      await load(root.dataset.model);
    } catch {
      button.disabled = false;
      button.textContent = "It could not be loaded. Try again";
      return;
    }
    reading = new Reading(new LSTM(await arrived));
    find(".field").hidden = false;
    for (const used of [".step", ".play", ".own"]) find(used).hidden = true;
    const field = find("input");
    field.addEventListener("input", update);
    field.focus();
    field.setSelectionRange(field.value.length, field.value.length);
    window.lmtutorExhibit = {reading, update};
    update();
  });

  find(".buttons").hidden = false;
  if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
    const opening = setTimeout(play, 1500); // by itself, unless the reader is quicker
    find(".buttons").addEventListener("click", () => clearTimeout(opening));
  }
})();
