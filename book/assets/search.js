// The search: sections that have every word, those of the chapters before the reference, each with the line that says so.
(() => {
  const field = document.querySelector("#main-content form.bd-search input"), place = document.getElementById("search-results");
  const query = new URLSearchParams(location.search).get("q")?.trim() ?? "";
  field.value = query;
  if (!query) return;
  const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const words = query.toLowerCase().split(/\s+/).map((word) => (word.length > 3 ? word.replace(/s$/, "") : word));
  const patterns = words.map((word) => new RegExp(`(?<![\\p{L}\\p{N}])${escape(word)}`, "giu"));
  const phrase = query.toLowerCase();

  const found = [];
  bookPages.forEach(([page, [title, reference, sections]]) => {
    for (const [anchor, section, text] of sections) {
      const counts = patterns.map((word) => (text.match(word)?.length ?? 0) + 8 * (section.match(word)?.length ?? 0));
      if (!counts.every(Boolean)) continue;
      const score = counts.reduce((sum, n) => sum + Math.min(n, 12), 0)
        + 30 * (section.toLowerCase() === phrase) + 5 * text.toLowerCase().includes(phrase);
      found.push({ page, title, anchor, section, text, reference, score });
    }
  });
  found.sort((a, b) => a.reference - b.reference || b.score - a.score);

  const told = document.createElement("p");
  told.setAttribute("role", "status");
  const pages = new Set(found.map(({ page }) => page)).size;
  told.textContent = found.length
    ? `Search finished: ${found.length} section${found.length > 1 ? "s" : ""} on ${pages} page${pages > 1 ? "s" : ""}.`
    : "Search finished: no section has all of these words.";
  const list = document.createElement("ul");
  list.className = "search";
  for (const { page, title, anchor, section, text } of found.slice(0, 60)) {
    const item = list.appendChild(document.createElement("li")), link = item.appendChild(document.createElement("a"));
    link.href = `${page}.html#${anchor}`;
    link.textContent = section === title ? title : `${title} › ${section}`;
    const line = item.appendChild(document.createElement("p"));
    line.className = "context";
    const first = Math.max(0, text.search(patterns.find((word) => text.search(word) >= 0) ?? /^/));
    const start = first < 60 ? 0 : text.indexOf(" ", first - 60) + 1;
    const shown = `${start ? "… " : ""}${text.slice(start, start + 200)}${text.length > start + 200 ? " …" : ""}`;
    const marks = new RegExp(patterns.map((word) => `${word.source}[\\p{L}\\p{N}]*`).join("|"), "giu");
    let at = 0;
    for (const match of shown.matchAll(marks)) {
      line.append(shown.slice(at, match.index));
      line.appendChild(document.createElement("mark")).textContent = match[0];
      at = match.index + match[0].length;
    }
    line.append(shown.slice(at));
  }
  place.replaceChildren(told, list);
  if (found.length > 60) place.insertAdjacentHTML("beforeend", `<p>and ${found.length - 60} more: add a word.</p>`);
})();
