// Marks what is wider than its place, so that the style can fade the edge behind which there is more, and the keyboard
// can scroll it.
const mark = (box) => {
  box.classList.toggle("more-left", box.scrollLeft > 2);
  box.classList.toggle("more-right", box.scrollWidth - box.clientWidth - box.scrollLeft > 2);
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
};
for (const picture of document.querySelectorAll(".cell_output figure > img")) {
  const box = document.createElement("div"); // the picture scrolls, its caption stays
  picture.replaceWith(box);
  box.append(picture);
}
const watcher = new ResizeObserver((entries) => entries.forEach((entry) => mark(entry.target)));
const wide = ".cell_output .text_html, .cell_output figure > div, .bd-article pre, .formula, .pst-scrollable-table-container";
for (const box of document.querySelectorAll(wide)) {
  box.addEventListener("scroll", () => mark(box), { passive: true });
  watcher.observe(box);
}
