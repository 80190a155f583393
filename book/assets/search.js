// The search: sections that have every word, those of the chapters before the reference, each with the line that says so.
(() => {
  const field = document.querySelector("#main-content form.bd-search input"), place = document.getElementById("search-results");
  const query = new URLSearchParams(location.search).get("q")?.trim() ?? "";
  field.value = query;
  if (!query) return;
  // Words are looked for by their beginnings, little ones not at all; a hyphen, a dash and a space are one.
  const little = "a an and are can do does for how i in is it my of the to what when where which why with".split(" ");
  const stem = (word) => {
    const one = word.replace(/ies$/, "y").replace(/([^su])s$/, "$1");
    const short = one.replace(/(?:ing|ed|e|y)$/, "").replace(/([bdgmnprt])\1$/, "$1");
    return short.length > 3 ? short : one;
  };
  const begins = (word) => stem(word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/[-–]/g, "[-–\\s]?");
  const phrase = query.toLowerCase(), all = phrase.split(/\s+/).map((word) => word.replace(/^-+|\?+$/g, "")).filter(Boolean);
  const large = all.filter((word) => !little.includes(word));
  const patterns = (large.length ? large : all).map((word) => new RegExp(`(?<![\\p{L}\\p{N}])${begins(word)}`, "iu"));
  const together = `(?<![\\p{L}\\p{N}])${all.map(begins).join("\\p{L}*[-–\\s]+")}`;
  const near = new RegExp(together, "iu"), whole = new RegExp(`^(?:\\d[\\d.]* )?${together}\\p{L}*\\W*$`, "iu");

  const sections = bookPages.flatMap(([page, [title, reference, parts]]) => parts.map(([anchor, section, text]) => {
    const counts = patterns.map((word) => Math.min(text.split(word).length - 1, 4) + 8 * word.test(section));
    const score = counts.reduce((sum, n) => sum + n, 0) + 4 * patterns.filter((word) => word.test(title)).length
      + 8 * near.test(text) + (section === title ? 32 : 16) * near.test(section) + 30 * whole.test(section)
      - 8 * /exercises|check yourself/i.test(section);  // what explains comes before what asks
    return { page, title, anchor, section, text, reference, score, words: counts.filter(Boolean).length };
  }));
  const most = Math.max(1, ...sections.map(({ words }) => words));
  const found = sections.filter(({ words }) => words === most);
  found.sort((a, b) => a.reference - b.reference || b.score - a.score);

  const told = document.createElement("p");
  told.setAttribute("role", "status");
  const pages = new Set(found.map(({ page }) => page)).size;
  const number = `${found.length} section${found.length === 1 ? "" : "s"} on ${pages} page${pages === 1 ? "" : "s"}`;
  told.textContent = "Search finished: " + (!found.length ? "no section has any of these words."
    : most < patterns.length ? `no section has all of these words; ${number} have the most.` : `${number}.`);
  const name = phrase.split(".").at(-1), depth = ({ anchor }) => anchor.split(".").length;
  const named = sections.filter(({ reference, section }) => reference && section.toLowerCase() === name);
  named.sort((a, b) => depth(a) - depth(b));
  named.forEach(({ page, anchor }, i) => {
    const link = document.createElement("a");
    link.href = `${page}.html#${anchor}`;
    link.textContent = anchor.replace("lmtutor.", "");
    told.append(i ? ", " : " In the reference: ", link);
  });
  const list = document.createElement("ul");
  list.className = "search";
  for (const { page, title, anchor, section, text } of found.slice(0, 60)) {
    const item = list.appendChild(document.createElement("li")), link = item.appendChild(document.createElement("a"));
    link.href = `${page}.html#${anchor}`;
    link.textContent = section === title ? title : `${title} › ${section}`;
    const line = item.appendChild(document.createElement("p"));
    line.className = "context";
    const first = Math.max(0, text.search([near, ...patterns].find((word) => word.test(text)) ?? /^/));
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
