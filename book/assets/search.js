// From the file system a browser may not read the pages that the search would quote: list their titles alone.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// An entry of the index may point at an empty place. Sphinx finds nothing to quote there, and fails on it: quote the
// page. This runs before the search does, which waits for the same event.
document.addEventListener("DOMContentLoaded", () => {
  const quoted = Search.htmlToText;
  Search.htmlToText = (page, anchor) => quoted(page, anchor).trim() || quoted(page);
});
