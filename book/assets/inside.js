// The look inside of the playground: one cell's gates at each word, the cells that noticed a word, and three kinds of
// arcs from the word to come back to those before it. Drawn with tape.js.
"use strict";

const LAST = 24, NOTICED = 5, CANDIDATES = 10;  // words shown; cells of a layer listed; words to come that can be asked about
const GATES = [["forget", "f"], ["input", "i"], ["new", "g"], ["memory", "c"], ["output", "o"], ["shown", "h"]];
const SIGNED = new Set("gch");
const ARCS = {
  gradient: (word) => `The gradient through time: how far a small change of a word's vector moves the log-probability of “${word}”.`,
  without: (word) => `How many nats less likely “${word}” would be if a word had not been read.`,
  cache: () => "The cache's weights, which sum to 1. Each arc leads to a word that the cache would say next.",
};
let inside = {words: [], first: 0}, pressed = null, drawing = 0;

const memory = (step, layer, cell) => Math.tanh(reading.steps[step].state[layer].c[cell]);

// The values of the chosen cell at a step, by the names of the rows.
function valuesAt(step) {
  const layer = find(".layer").value - 1, cell = find(".unit").valueAsNumber, state = reading.steps[step].state[layer];
  return GATES.map(([name, gate]) => [name, gate === "c" ? Math.tanh(state.c[cell]) : state[gate][cell], gate]);
}

// The cells of each layer whose memory a word changed most: [layer, cell, before, after].
function noticed(step) {
  return reading.model.layers.flatMap(({W_h}, layer) => {
    const cells = Array.from({length: W_h.columns}, (_, cell) =>
      [layer, cell, memory(step - 1, layer, cell), memory(step, layer, cell)]);
    return cells.sort((a, b) => Math.abs(b[3] - b[2]) - Math.abs(a[3] - a[2])).slice(0, NOTICED);
  });
}

function showNoticed() {
  const list = find(".noticed"), told = find(".noticed-by");
  list.replaceChildren();
  if (pressed === null || pressed >= inside.words.length) {
    pressed = null;
    told.textContent = "Press a word to see which cells noticed it.";
    return;
  }
  const values = valuesAt(pressed + 1).map(([name, value]) => `${name} ${number(value)}`).join(", ");
  told.textContent = `At “${inside.words[pressed]}” this cell has ${values}. It changed these cells most:`;
  list.append(...noticed(pressed + 1).map(([layer, cell, before, after]) => {
    const button = element("button", "", `layer ${layer + 1}, cell ${cell}: ${number(before)} → ${number(after)}`);
    button.type = "button";
    button.dataset.unit = `${layer + 1} ${cell}`;
    return element("li", "", button);
  }));
}

// [[column, weight], ...] of the chosen kind; null when another text has come in between.
async function arcsNow(id, mine) {
  const {first} = inside, kind = find(".arcs").value, steps = reading.steps.length;
  if (kind === "cache") {
    const weights = reading.attention(steps - 1, cacheFields());  // of the words that follow each earlier step
    return weights.map(([, weight], k) => [k + steps - 1 - weights.length - first, weight]).filter(([k]) => k >= 0);
  }
  const weights = kind === "gradient" ? reading.gradients(id, first + 1)
    : await reading.leftOut(id, first + 1, () => mine === drawing);
  return weights && [...weights.entries()];
}

async function showTape() {
  const {words, first} = inside, mine = ++drawing, asked = Number(find(".asked").value);
  const shown = words.slice(first).map((text, k) => {
    const values = valuesAt(first + k + 1);
    return {
      text,
      cells: [values.map(([, value, gate]) => [SIGNED.has(gate) ? "signed" : "", value])],
      said: values.map(([name, value]) => `${name} ${number(value)}`).join(", "),
      type: first + k === pressed ? "pressed" : "",
    };
  });
  const tape = find(".tape"), view = find(".view"), word = reading.model.words[asked];
  const focused = tape.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  const all = [...shown, {text: word, type: "awaited"}];
  drawTape(tape, all, [], (text, k) => {
    if (k === shown.length) return text;
    const button = element("button", "", text);
    button.type = "button";
    button.dataset.at = first + k;
    button.setAttribute("aria-pressed", first + k === pressed);
    return button;
  });
  if (focused !== null) tape.querySelector(`[data-at="${focused}"]`)?.focus({preventScroll: true});
  else view.scrollLeft = view.scrollWidth;
  find(".names b").textContent = `layer ${find(".layer").value}, cell ${find(".unit").value}`;
  showNoticed();
  const arcs = await arcsNow(asked, mine), told = ARCS[find(".arcs").value](word);
  if (!arcs || mine !== drawing) return;
  drawArcs(tape, all.map(({text}) => widthOf(text)), shown.length, arcs);
  const heaviest = [...arcs].filter(([, weight]) => weight > 0).sort((a, b) => b[1] - a[1]).slice(0, 3);
  const most = heaviest.map(([k, weight]) => `${shown[k].text} ${weight.toPrecision(2)}`).join(", ");
  find(".arcs-said").textContent = most ? `${told} Most: ${most}.` : "No arc: nothing was read that it depends on.";
}

// Called with the words of the text whenever it has changed.
function lookInside(words) {
  inside = {words, first: Math.max(0, words.length - LAST)};
  const {p} = reading.next(cacheSettings()), top = likeliest(p, CANDIDATES), {words: known, unk} = reading.model;
  find(".asked").replaceChildren(...top.map((id) => new Option(`${known[id]} (${percent(p[id])})`, id)));
  find(".asked").value = top.find((id) => id !== unk);
  return showTape();
}

function choose(unit) {
  [find(".layer").value, find(".unit").value] = unit.split(" ");
  return showTape();
}

function prepareInside() {
  for (const name of [".asked", ".arcs", ".layer"]) find(name).addEventListener("change", showTape);
  find(".unit").addEventListener("input", () => { if (find(".unit").checkValidity() && find(".unit").value) showTape(); });
  find(".inside").addEventListener("click", (event) => {
    const {at, unit} = event.target.closest("button")?.dataset ?? {};
    if (unit) choose(unit);
    if (at !== undefined) {
      pressed = pressed === Number(at) ? null : Number(at);
      showTape();
    }
  });
}
