// Chapter 08: what each head of a Transformer looks at, on the reader's own line. Drawn with tape.js, read by transformer.js.
"use strict";

(() => {
  const root = document.getElementById("attending"), home = document.currentScript.src, START = "↵";
  const find = (selector) => root.querySelector(selector), tape = find(".tape"), chosen = (name) => Number(find(name).value);
  let model, words = [], found = null, at = 0;

  const make = (tag, text, more) => Object.assign(document.createElement(tag), {textContent: text, ...more});

  function show() {
    const layer = chosen(".layer"), head = chosen(".head"), looks = found.weights[at][layer - 1];
    const focused = tape.contains(document.activeElement) && document.activeElement.dataset.at;
    const said = looks[0].map((_, k) => looks.map((a, n) => `head ${n + 1} ${number(a[k])}`).join(", "));
    drawTape(tape, words.map((text, k) => ({
      text, said: k > at ? "not seen" : said[k], type: k === at ? "pressed" : k > at ? "later" : "",
      cells: [looks.map((a) => ["", a[k] ?? 0])],
    })), [], (text, k) => {
      const button = make("button", text, {type: "button"});
      button.dataset.at = k;
      button.setAttribute("aria-pressed", k === at);
      return button;
    });
    drawArcs(tape, words.map(widthOf), at, [...looks[head - 1].entries()]);
    if (focused) tape.querySelector(`[data-at="${focused}"]`)?.focus({preventScroll: true});
    find(".names b").textContent = `layer ${layer}`;
    const most = [...looks[head - 1].entries()].sort((a, b) => b[1] - a[1]).slice(0, 3);
    const next = likeliest(found.p, 3).map((id) => `${model.words[id]} ${(100 * found.p[id]).toFixed(0)} %`);
    find(".told").textContent = `Layer ${layer}, head ${head}: “${words[at]}” looks at ` +
      `${most.map(([k, weight]) => `${words[k]} ${number(weight)}`).join(", ")}. What may come after the line: ${next.join(", ")}.`;
  }

  // A word is read once it is followed by a blank, as in the playground.
  function update() {
    const read = cut(find("input").value.replace(/\S*$/, ""), model.ids), ids = read.map((word) => model.ids.get(word) ?? model.unk);
    words = [START, ...read.map((word, k) => ids[k] === model.unk ? "<unk>" : word)];
    found = model.read([model.eos, ...ids]);
    at = words.length - 1;
    show();
    find(".view").scrollLeft = find(".view").scrollWidth;
  }

  async function load() {
    const button = find(".buttons button"), script = document.createElement("script");
    button.disabled = true;
    button.textContent = `Loading ${root.dataset.size} …`;
    const arrived = new Promise((done, failed) => {
      window.lmtutorModel = done;
      Object.assign(script, {src: new URL(root.dataset.model, home), onerror: failed});
    });
    document.head.append(script);
    try {
      model = new Transformer(await arrived);
    } catch {
      button.disabled = false;
      button.textContent = "It could not be loaded. Try again";
      return script.remove();
    }
    for (const part of [".field", ".choice"]) find(part).hidden = false;
    find(".buttons").hidden = true;
    const field = find("input");
    field.addEventListener("input", update);
    for (const name of [".layer", ".head"]) find(name).addEventListener("change", show);
    tape.addEventListener("click", (event) => {
      const {at: pressed} = event.target.closest("button")?.dataset ?? {};
      if (pressed === undefined) return;
      at = Number(pressed);
      show();
    });
    update();
    field.focus({preventScroll: true});
    field.setSelectionRange(field.value.length, field.value.length);
    window.lmtutorAttending = {model, get found() { return found; }};
  }
  find(".buttons button").addEventListener("click", load);
  find(".buttons").hidden = false;
})();
