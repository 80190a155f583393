// The page around the model of lstm.js: what is written, what the model makes of it, and the buttons.
"use strict";

const HOTTEST = 16, SHOWN = 10;  // bits of the full colour; likeliest words shown
const TOP_K = [1, 2, 3, 5, 10, 20, 50, 100, 300, 1000, Infinity];  // the steps of the slider
const address = document.currentScript.src;
const root = document.getElementById("playground");
const find = (selector) => root.querySelector(selector);
const percent = (share) => share > 0 && share < 0.0005 ? "<0.1%" : (100 * share).toFixed(1) + "%";
const breath = () => new Promise((resolve) => setTimeout(resolve));  // let the page draw and listen
let reading, turn = 0, writing = false, later, speed = 0;

function element(tag, name, ...inside) {
  const made = Object.assign(document.createElement(tag), {className: name});
  made.append(...inside);
  return made;
}

// What the fields of the cache say, whether it is on or not.
function cacheFields() {
  const value = (name) => {
    const input = find(name), number = input.valueAsNumber;
    return Number.isFinite(number) && input.checkValidity() ? number : Number(input.defaultValue);
  };
  return {window: value(".window"), theta: value(".theta"), lam: value(".lam")};
}
const cacheSettings = () => find(".remember").checked ? cacheFields() : null;

const choices = () => ({
  temperature: find(".temperature").valueAsNumber, topK: TOP_K[find(".top-k").value], topP: find(".top-p").valueAsNumber,
});

// What is never written: <unk>, the signs of a heading, an empty line.
function banned() {
  const {model, steps} = reading, heading = model.ids.get("=");
  return [model.unk, heading, ...(steps.at(-1).id === model.eos ? [model.eos] : [])];
}

// What the next word is drawn from, and the cache's part of it. While no slider has been moved, what the model says.
function chosen(drawn = false) {
  const {p, cached} = reading.next(cacheSettings()), {temperature, topK, topP} = choices();
  if (!drawn && temperature === 1 && topK === Infinity && topP === 1) return {p, cached, plain: true};
  const q = shaped(p, {temperature, topK, topP}, banned());
  return {p: q, cached: new Map([...cached].map(([id, part]) => [id, q[id] * part / p[id]])), plain: false};
}

function showWords(words, pending) {
  const bits = reading.bits(cacheSettings());
  find(".words").replaceChildren(...bits.map((b, k) => {
    const known = reading.model.ids.has(words[k]);
    const item = element("li", known ? "" : "unknown", element("span", "", words[k]), " ", element("small", "", b.toFixed(1)));
    if (!known) item.title = "not in the vocabulary: read as <unk>";
    item.style.setProperty("--heat", Math.min(1, b / HOTTEST).toFixed(3));
    return item;
  }), ...(pending ? [element("li", "pending", element("span", "", pending))] : []));
  const list = find(".words");
  list.scrollTop = list.scrollHeight;
  list.tabIndex = list.scrollHeight > list.clientHeight ? 0 : -1;  // what scrolls must be reached by keyboard
  const sum = bits.reduce((a, b) => a + b, 0), mean = sum / bits.length;
  find(".figures").textContent = bits.length === 0 ? "Nothing read yet: this is how a line may begin." :
    `${bits.length} words, ${sum.toFixed(1)} bits: ${mean.toFixed(1)} bits per word, a perplexity of ${(2 ** mean).toFixed(0)}.`;
  return bits;
}

function showNext() {
  const {p, cached, plain} = chosen(), words = reading.model.words;
  const top = likeliest(p, SHOWN).filter((id) => p[id] > 0);
  const bar = (share, fromCache) => {
    const model = element("i", ""), cache = element("i", "cache");
    model.style.width = `${100 * (share - fromCache)}%`;
    cache.style.width = `${100 * fromCache}%`;
    return element("span", "bar", model, cache);
  };
  const rows = top.map((id) => {
    const button = element("button", "choice", element("span", "word", words[id]), bar(p[id], cached.get(id) ?? 0),
      element("span", "share", percent(p[id])));
    button.type = "button";
    button.dataset.word = words[id];
    button.title = "Add this word";
    return element("li", "", button);
  });
  const rest = Math.max(0, 1 - top.reduce((sum, id) => sum + p[id], 0));
  rows.push(element("li", "rest", element("span", "choice", element("span", "word", "all others"),
    bar(rest, 0), element("span", "share", percent(rest)))));
  const focused = find(".next").contains(document.activeElement);
  find(".next").replaceChildren(...rows);
  if (focused) find(".next button").focus();  // a reader who chooses by keyboard goes on from the likeliest
  find(".legend").hidden = cached.size === 0;
  find("#pg-next").textContent = plain ? "What may come next" : "What it would write next";
  return top.slice(0, 3).map((id) => `${words[id]}, ${Math.round(100 * p[id])} percent`);
}

function sayLater(words, bits, likely) {
  clearTimeout(later);  // said once, when the reader pauses
  later = setTimeout(() => {
    const last = bits.length ? `${words.at(-1)}: ${bits.at(-1).toFixed(1)} bits. ` : "";
    find(".spoken").textContent = `${last}Likeliest next: ${likely.join("; ")}.`;
  }, 900);
}

// Bring what is shown up to what is written. A later call takes over from one that is still reading.
async function update() {
  const mine = ++turn, area = find("textarea"), text = area.value;
  const pending = text.match(/\S*$/)[0], words = cut(text.slice(0, text.length - pending.length), reading.model.ids);
  const ids = words.map((word) => reading.model.ids.get(word) ?? reading.model.unk);
  area.style.height = "auto";  // as high as the text: nothing of it is hidden
  area.style.height = `${area.scrollHeight + 2}px`;
  let same = reading.common(ids);
  reading.keep(same);
  for (let start = performance.now(), shown = start; same < ids.length; same++) {
    const before = performance.now();
    reading.read(ids[same]);
    speed = 0.8 * (speed || performance.now() - before) + 0.2 * (performance.now() - before);
    if (performance.now() - shown < 50) continue;
    find(".figures").textContent = `Reading: ${same + 1} of ${ids.length} words.`;
    await breath();
    if (mine !== turn) return;
    shown = performance.now();
  }
  const bits = showWords(words, pending), likely = showNext();
  if (speed) find(".speed span").textContent = `, ${Math.round(1000 / speed)} words a second in this browser`;
  sayLater(words, bits, likely);
  return lookInside(words);
}

function add(word) {
  const area = find("textarea");
  area.value = joined(area.value, word, reading.model.ids);
  area.scrollTop = area.scrollHeight;
  return update();
}

async function write(count, button) {
  if (writing) return void (writing = false);  // a second press stops it
  writing = true;
  const label = button.textContent;
  button.textContent = "stop";
  if (/\S$/.test(find("textarea").value)) find("textarea").value += " ";
  for (await update(); count > 0 && writing; count--) {
    await add(reading.model.words[draw(chosen(true).p)]);
    await breath();
  }
  writing = false;
  button.textContent = label;
}

function saySliders() {
  const {temperature, topK, topP} = choices();
  const said = [temperature.toFixed(1), topK === Infinity ? "all" : String(topK), topP.toFixed(2)];
  root.querySelectorAll(".controls .value").forEach((value, k) => { value.textContent = said[k]; });
  find(".top-k").setAttribute("aria-valuetext", said[1]);
}

function begin(file) {
  reading = new Reading(new LSTM(file));
  for (const part of [".desk", ".controls", ".speed", ".inside"]) find(part).hidden = false;
  find(".start").hidden = true;
  find(".remember").checked = false;  // a browser may restore what was chosen before a reload
  const area = find("textarea");
  area.addEventListener("input", () => { writing = false; update(); });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.word !== undefined) add(button.dataset.word);
    if (button.dataset.words) write(Number(button.dataset.words), button);
    if (button.dataset.text) {
      writing = false;
      area.value = button.dataset.text;
      find(".remember").checked = "cache" in button.dataset;
      update();
    }
  });
  for (const name of [".temperature", ".top-k", ".top-p"]) {
    find(name).addEventListener("input", () => { saySliders(); showNext(); });
  }
  for (const name of [".remember", ".window", ".theta", ".lam"]) find(name).addEventListener("input", update);
  prepareInside();
  window.lmtutorPlayground = {get reading() { return reading; }, cacheSettings, choices, chosen, cut, draw, joined, shaped, update};
  saySliders();
  area.focus({preventScroll: true});
  area.setSelectionRange(area.value.length, area.value.length);
  return update();
}

// The weights are a script that calls this with all of them: a page from the file system can load nothing else.
window.lmtutorModel = (file) => { find(".spoken").textContent = "The model is loaded."; return begin(file); };

find(".start").hidden = false;
find(".load").addEventListener("click", () => {
  const button = find(".load"), script = document.createElement("script");
  button.disabled = true;
  button.textContent = `Loading ${root.dataset.size} …`;
  script.src = new URL(root.dataset.model, address);
  script.addEventListener("error", () => {
    button.disabled = false;
    button.textContent = "It could not be loaded. Try again";
    script.remove();
  });
  document.head.append(script);
});
