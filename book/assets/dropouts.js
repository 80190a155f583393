// Chapter 06: what each dropout removes, one batch after the other. What is left is x / (1 − p), or nothing.
"use strict";

for (const root of document.querySelectorAll(".dropouts")) {
  const one = (selector) => root.querySelector(selector), batches = JSON.parse(one("script").textContent);
  const steps = batches[0].words.length, p = Number(root.dataset.p);
  let at = batches.length - 1;

  // The values of a map, row by row: a map of states is kept step by step, and shown unit by unit.
  function rows({read, kept}, name) {
    const left = read[name].map((x, k) => (kept[name][k] === "1" ? x / 100 / (1 - p) : 0)), units = left.length / steps;
    return name === "weights" ? left : left.map((_, k) => left[(k % steps) * units + Math.floor(k / steps)]);
  }
  function show(number) {
    at = number;
    const batch = batches[at];
    for (const name of Object.keys(batch.read)) {
      const cells = one(`.${name} .cells`).children;
      rows(batch, name).forEach((value, k) => {
        cells[k].className = value === 0 ? "gone" : value < 0 ? "minus" : "plus";
        cells[k].style.setProperty("--v", value.toFixed(5));
      });
    }
    const units = batch.read.embedding.length / steps;
    [...one(".words").children].forEach((word, k) => {
      word.textContent = batch.words[k];
      word.className = batch.kept.embedding.slice(k * units, (k + 1) * units).includes("1") ? "" : "gone";
    });
    one(".told").textContent = batch.said;
    one(".before").disabled = at === 0;
    one(".after").disabled = at === batches.length - 1;
  }
  one(".before").addEventListener("click", () => show(at - 1));
  one(".after").addEventListener("click", () => show(at + 1));
  one(".buttons").hidden = false;
  show(0);
}
