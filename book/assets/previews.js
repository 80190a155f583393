// What a term means, beside its link: for the pointer that rests on it and for the keyboard. Esc puts it away.
(() => {
  const known = document.getElementById("definitions")?.content;
  if (!known) return;
  const box = document.createElement("div");
  box.id = "term-definition";
  box.className = "term-definition";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.querySelector("article").append(box);

  let closing;
  const hide = () => {
    clearTimeout(closing);
    box.hidden = true;
    document.querySelector("[aria-describedby=term-definition]")?.removeAttribute("aria-describedby");
  };
  const show = (link, term) => {
    hide();
    box.replaceChildren(...known.querySelector(`[data-term="${CSS.escape(term)}"]`).cloneNode(true).childNodes);
    box.hidden = false;
    link.setAttribute("aria-describedby", box.id);
    const at = link.getClientRects()[0], room = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, room - box.offsetWidth - 8)) + scrollX}px`;
    const above = at.bottom + box.offsetHeight + 12 > innerHeight && at.top > box.offsetHeight + 12;
    box.style.top = `${(above ? at.top - box.offsetHeight - 6 : at.bottom + 6) + scrollY}px`;
  };
  const leave = () => { closing = setTimeout(hide, 250); }; // time for the pointer to get from the link to the box
  for (const link of document.querySelectorAll('article a[href*="#term-"]')) {
    const term = decodeURIComponent(link.hash.slice(1));
    if (!known.querySelector(`[data-term="${CSS.escape(term)}"]`)) continue;
    let waiting;
    link.addEventListener("mouseenter", () => { waiting = setTimeout(show, 200, link, term); });
    link.addEventListener("focus", () => show(link, term));
    link.addEventListener("mouseleave", () => { clearTimeout(waiting); leave(); });
    link.addEventListener("blur", () => { clearTimeout(waiting); hide(); });
  }
  box.addEventListener("mouseenter", () => clearTimeout(closing));
  box.addEventListener("mouseleave", leave);
  addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
})();
