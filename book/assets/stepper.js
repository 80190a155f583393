// Chapter 02's network, one step after the other: what a step adds to the picture, its sentence, its equations.
"use strict";

for (const root of document.querySelectorAll(".stepper")) {
  const all = (selector) => [...root.querySelectorAll(selector)], one = (selector) => root.querySelector(selector);
  const parts = all("[data-step]"), sentences = all(".said-steps li"), scene = one(".scene");
  let at = -1;

  const show = (step) => {
    at = Math.max(-1, Math.min(step, parts.length - 1));
    parts.forEach((part, k) => {
      part.classList.toggle("ahead", k > at);
      part.classList.toggle("lit", k === at);
    });
    const uses = at < 0 ? [] : sentences[at].dataset.uses.split(" ");
    for (const equation of all("[data-equation]")) {
      equation.classList.toggle("lit", uses.includes(equation.dataset.equation));
    }
    one(".now").textContent = at < 0 ? "Press “step”." : `${sentences[at].textContent} (${uses.join("), (")})`;
    one(".before").disabled = at < 0;
    one(".after").disabled = at === parts.length - 1;
    if (at >= 0 && parts[at].firstChild) {  // on a narrow screen the picture scrolls with the steps
      const place = parts[at].getBoundingClientRect(), box = scene.getBoundingClientRect();
      scene.scrollLeft += place.left + place.width / 2 - box.left - box.width / 2;
    }
  };
  one(".before").addEventListener("click", () => show(at - 1));
  one(".after").addEventListener("click", () => show(at + 1));
  one(".all").addEventListener("click", () => show(parts.length - 1));
  let left;
  addEventListener("beforeprint", () => { left = at; show(parts.length - 1); });
  addEventListener("afterprint", () => show(left));
  one(".said-steps").hidden = true;
  one(".buttons").hidden = false;
  show(0);
}
