// A text word by word, with what some cells hold at each word and arcs from the word to come back to those before it.
// Across on a wide screen, down on a narrow one (tape.css). The front page and the look inside draw with it.
"use strict";

const LIGHTEST = 0.08;  // of the heaviest arc: lighter ones are left out

const number = (value) => value.toFixed(2).replace("-", "−");  // a hyphen is not read as a minus
const widthOf = (word) => Math.max(word.length, 2) + 2.5;  // of a word's column, in any unit

// Arcs from the word to come, at column `from`, back to columns [[k, weight], ...]. The picture has room for all columns.
function drawArcs(tape, widths, from, arcs) {
  const edges = widths.reduce((all, width) => [...all, all.at(-1) + width], [0]), total = edges.at(-1);
  const heaviest = Math.max(...arcs.map(([, weight]) => weight));
  const kept = arcs.map(([k, weight]) => [k, weight / heaviest]).filter(([, share]) => share >= LIGHTEST);
  const n = (value) => String(+value.toFixed(2));
  const curve = (start, end, all, point) => {
    const far = 10 - 12.5 * (0.3 + 0.7 * (start - end) / all);
    return `M${point(start, 10)}C${point(start, far)} ${point(end, far)} ${point(end, 10)}`;
  };
  const middle = (k) => edges[k] + widths[k] / 2;
  const ways = {
    across: [`0 0 ${n(total)} 10`, (k) => curve(middle(from), middle(k), total, (along, off) => `${n(along)} ${n(off)}`)],
    down: [`0 0 10 ${widths.length}`, (k) => curve(from + 0.5, k + 0.5, widths.length, (along, off) => `${n(off)} ${n(along)}`)],
  };
  for (const [way, [box, path]] of Object.entries(ways)) {
    const picture = tape.querySelector(`.${way}`);
    picture.setAttribute("viewBox", box);
    picture.replaceChildren(...kept.map(([k, share]) => {
      const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("d", path(k));
      line.setAttribute("stroke-width", n(1 + 4 * share));
      line.setAttribute("opacity", n(0.3 + 0.7 * share));
      return line;
    }));
  }
}

// Draw words, each {text, cells, said, type}: `cells` is an array for each cell, of [name, number] pairs, `said` is for
// those who do not see it. The word to come is the last and has no cells. `dress` may make a button of a word.
function drawTape(tape, words, arcs, dress = (text) => text) {
  const widths = words.map(({text}) => widthOf(text));
  tape.style.setProperty("--columns", widths.map((width) => `minmax(0,${width}fr)`).join(" "));
  tape.style.setProperty("--width", widths.reduce((a, b) => a + b, 0));
  tape.style.setProperty("--count", widths.length);
  const make = (tag, name, ...inside) => {
    const made = Object.assign(document.createElement(tag), {className: name});
    made.append(...inside);
    return made;
  };
  const bar = ([kind, value]) => {
    const made = make("i", kind);
    made.style.setProperty("--v", +value.toFixed(3));
    return made;
  };
  tape.querySelector("ol").replaceChildren(...words.map(({text, cells = [], said, type = ""}, k) =>
    make("li", type, make("b", "", dress(text, k)), ...cells.map((cell) => make("span", "gates", ...cell.map(bar))),
      ...(said ? [make("span", "said", said)] : []))));
  drawArcs(tape, widths, widths.length - 1, arcs);
}
