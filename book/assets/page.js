// What the theme leaves out: names for what scrolls and for the button that changes the colours, and white paper.
(() => {
  // What is wider than its place is marked, so that the style can fade the edge behind which there is more; the keyboard
  // can scroll it, and it says what it is.
  const names = [["pre", "Code"], [".formula", "Formula"], ["*", "Table"]];
  const mark = (box) => {
    box.classList.toggle("more-left", box.scrollLeft > 2);
    box.classList.toggle("more-right", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
    if (box.matches(".scene")) return; // it has a name of its own
    const wide = box.scrollWidth > box.clientWidth;
    const given = { tabindex: "0", role: "group", "aria-label": names.find(([kind]) => box.matches(kind))[1] };
    for (const [name, value] of Object.entries(given)) {
      if (wide) box.setAttribute(name, value);
      else box.removeAttribute(name);
    }
  };
  const watcher = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
  const boxes = ".cell_output .text_html, .bd-article pre, .formula, .scene, .pst-scrollable-table-container";
  for (const box of document.querySelectorAll(boxes)) {
    box.addEventListener("scroll", () => mark(box), { passive: true });
    watcher.observe(box);
  }

  const root = document.documentElement;
  const colours = { light: "light", dark: "dark", auto: "as the system has it" };
  const name = () => {
    for (const button of document.querySelectorAll(".theme-switch-button")) {
      button.ariaLabel = `Colours: ${colours[root.dataset.mode]}`;
    }
  };
  name();
  new MutationObserver(name).observe(root, { attributeFilter: ["data-mode"] });

  // A page prints in the light colours, whichever it is read in, and with all solutions open.
  let theme, shut;
  const before = () => {
    if (shut) return;
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    shut = [...document.querySelectorAll("article details:not([open])")];
    for (const part of shut) part.open = true;
  };
  const after = () => {
    if (!shut) return;
    root.dataset.theme = theme;
    for (const part of shut) part.open = false;
    shut = null;
  };
  addEventListener("beforeprint", before);
  addEventListener("afterprint", after);
  matchMedia("print").addEventListener("change", (paper) => (paper.matches ? before() : after()));
})();
