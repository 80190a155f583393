// What a link leads to, beside it: a term, an equation, a figure, a cited work. For the pointer that rests on the link,
// for the keyboard, and for a finger, whose second tap follows the link. Esc puts it away.
(() => {
  const article = document.querySelector("article"), carried = document.getElementById("previews")?.content;
  if (!article) return;
  const box = document.createElement("div");
  box.id = "preview";
  box.className = "preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  article.append(box);
  for (const link of article.querySelectorAll("a[title][href*='#']:not(.headerlink)")) {
    link.dataset.said = link.title; // else the browser would show it too
    link.removeAttribute("title");
  }

  const contents = (link) => {
    const address = link.getAttribute("href");
    if (link.dataset.said) return [link.dataset.said];
    const kept = carried?.querySelector(`[data-of="${CSS.escape(address)}"]`);
    if (kept) return [...kept.cloneNode(true).childNodes];
    if (address.length < 2 || address[0] !== "#" || link.matches(".headerlink")) return [];
    const place = document.getElementById(decodeURIComponent(address.slice(1)))?.closest("div.math, figure");
    if (!place || place.contains(link)) return [];
    const copy = place.cloneNode(true);
    for (const part of copy.querySelectorAll(".headerlink, button")) part.remove();
    for (const part of [copy, ...copy.querySelectorAll("[id], [tabindex]")]) {
      part.removeAttribute("id");
      part.removeAttribute("tabindex");
    }
    return [copy];
  };

  let shown, timer;
  const hide = () => {
    clearTimeout(timer);
    box.hidden = true;
    shown?.removeAttribute("aria-describedby");
    shown = null;
  };
  const show = (link, touched) => {
    hide();
    const what = contents(link);
    if (!what.length) return false;
    box.replaceChildren(...what);
    if (touched) box.insertAdjacentHTML("beforeend", '<p class="again">Tap again to go there.</p>');
    box.hidden = false;
    shown = link;
    link.setAttribute("aria-describedby", box.id);
    const at = link.getClientRects()[0], room = document.documentElement.clientWidth;
    box.style.left = `${Math.max(8, Math.min(at.left, room - box.offsetWidth - 8)) + scrollX}px`;
    const above = at.bottom + box.offsetHeight + 12 > innerHeight && at.top > box.offsetHeight + 12;
    box.style.top = `${(above ? at.top - box.offsetHeight - 6 : at.bottom + 6) + scrollY}px`;
    return true;
  };
  const later = (milliseconds, action) => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };

  const link = (event) => event.target.closest("article a[href*='#']");
  let touched = false;
  article.addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; });
  article.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    if (box.contains(event.target)) clearTimeout(timer);
    else if (link(event)) later(shown === link(event) ? 0 : 200, () => shown === link(event) || show(link(event)));
  });
  article.addEventListener("pointerout", (event) => {
    if (event.pointerType !== "touch" && (link(event) || box.contains(event.target))) later(250, hide);
  });
  article.addEventListener("focusin", (event) => { if (link(event) && !touched) show(link(event)); });
  article.addEventListener("focusout", hide);
  article.addEventListener("click", (event) => {
    if (touched && link(event) && shown !== link(event) && show(link(event), true)) event.preventDefault();
  });
  addEventListener("pointerdown", (event) => {
    if (shown && !box.contains(event.target) && !shown.contains(event.target)) hide();
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();
