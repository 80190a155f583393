// Chapter 09: a line of recall fills a matrix state, under three rules. The line is the reader's.
"use strict";

// One step of (9.3), or with a rate of the delta rule: S (d × e), a key k (d), a value v (e); the new state.
function written(S, k, v, f, beta = null) {
  const held = v.map((_, j) => S.reduce((sum, row, i) => sum + f * row[j] * k[i], 0));
  const write = beta === null ? v : v.map((x, j) => beta * (x - held[j]));
  return S.map((row, i) => row.map((s, j) => f * s + k[i] * write[j]));
}
const readOut = (S, q) => S[0].map((_, j) => S.reduce((sum, row, i) => sum + row[j] * q[i], 0));

for (const root of document.querySelectorAll(".recalling")) {
  const find = (selector) => root.querySelector(selector), ROOM = Number(root.dataset.room), VALUES = "0123456789";
  const field = find("[type=text]"), forget = find(".forget"), rate = find(".rate");
  const unit = (size, k) => Array.from({length: size}, (_, i) => Number(i === k));
  const make = (tag, text, more) => Object.assign(document.createElement(tag), {textContent: text, ...more});
  const plain = (x) => String(+x.toFixed(2));
  let words = [], at = 0;

  // What is wrong with a line, in one sentence; the word that is being written may be unfinished.
  function fault(found, writing) {
    const odd = found.find((word, k) => !/^[a-z][0-9?]$/i.test(word) && !(k === found.length - 1 && writing && /^[a-z]$/i.test(word)));
    if (odd) return `A pair is a letter and a digit, as in a4; a letter and a question mark ask, as in a?. “${odd}” is neither.`;
    const keys = new Set(found.map((word) => word[0]));
    return keys.size > ROOM ? `The matrix has ${ROOM} rows, one for each key. This line has ${keys.size} keys: take fewer letters.` : "";
  }

  // The state of each rule after `count` words: a pair is written, a question leaves it as it is.
  function fill(count) {
    const keys = [...new Set(words.map((word) => word[0]))], f = Number(forget.value), beta = Number(rate.value);
    const S = Object.fromEntries(["add", "gate", "delta"].map((rule) => [rule, unit(ROOM, -1).map(() => unit(10, -1))]));
    for (const [key, value] of words.slice(0, count)) {
      if (value === "?") continue;
      const k = unit(ROOM, keys.indexOf(key)), v = unit(10, Number(value));
      S.add = written(S.add, k, v, 1);
      S.gate = written(S.gate, k, v, f);
      S.delta = written(S.delta, k, v, 1, beta);
    }
    return {keys, S};
  }
  function answer(S, row) {
    const read = readOut(S, unit(ROOM, row)), most = Math.max(...read);
    return most > 0 ? [...VALUES].filter((_, k) => read[k] >= most * (1 - 1e-6)).join(" or ") : "nothing";
  }

  function show() {
    const {keys, S} = fill(at), word = words[at - 1], row = word ? keys.indexOf(word[0]) : -1;
    const columns = [...new Set(words.map(([, value]) => value))].filter((value) => value !== "?").sort();
    find(".line").replaceChildren(...words.flatMap((text, k) =>
      [make(k === at - 1 ? "b" : "span", text, {className: k < at ? "" : "later"}), " "]));
    const said = Object.entries(S).map(([rule, matrix]) => {
      const table = find(`table.${rule}`), found = word ? answer(matrix, row) : "nothing";
      table.querySelector("strong").textContent = word ? `${word[0]} → ${found}` : "empty";
      table.tHead.rows[0].replaceChildren(make("td", ""), ...columns.map((value) => make("th", value, {scope: "col"})));
      table.tBodies[0].replaceChildren(...matrix.map((values, k) => {
        const line = make("tr", "", {className: k !== row ? "" : word[1] === "?" ? "read" : "written"});
        line.append(make("th", keys[k] ?? "–", {scope: "row"}), ...columns.map((value) => {
          const cell = make("td", plain(values[value]));
          cell.style.setProperty("--v", values[value].toFixed(5));
          return cell;
        }));
        return line;
      }));
      return `${rule} ${found}`;
    }).join(", ");
    find(".told").textContent = !word ? "Nothing is told yet." : word[1] === "?"
      ? `“${word}” asks. Answers: ${said}.` : `“${word}” is told. Whoever asked for ${word[0]} now would get: ${said}.`;
    find(".before").disabled = at === 0;
    find(".after").disabled = at === words.length;
  }
  function update() {
    const found = field.value.split(/\s+/).filter(Boolean), wrong = fault(found, /\S$/.test(field.value));
    field.ariaInvalid = String(Boolean(wrong));
    if (wrong) return void (find(".told").textContent = wrong);
    words = found.filter((word) => word.length === 2);
    at = words.length;
    show();
  }
  const step = (by) => { at += by; show(); };
  for (const slider of [forget, rate]) {
    slider.addEventListener("input", () => {
      slider.parentElement.nextElementSibling.textContent = Number(slider.value).toFixed(2);
      show();
    });
  }
  field.addEventListener("input", update);
  find(".before").addEventListener("click", () => step(-1));
  find(".after").addEventListener("click", () => step(1));
  for (const part of [".field", ".choice", ".buttons"]) find(part).hidden = false;
  update();
  step(1 - at);  // the book's line from its beginning
  window.lmtutorRecalling = {written, readOut, fill};
}
