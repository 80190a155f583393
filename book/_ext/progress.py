"""Say every few seconds what the build is doing: which pages, which cell of how many, and for how long.

The line before the first page says how long the last build took that ran the chapters.
"""

import threading
import time
from pathlib import Path

from nbclient import NotebookClient

EVERY = 5.0  # seconds between two lines
FIRST = "A first build runs every chapter, which takes some minutes; later ones run what has changed."


class Progress:
    """What the build is at, and the thread that says so."""

    def __init__(self, kept: Path):
        self.kept = kept  # the seconds of the last build that ran cells
        self.started = self.since = time.monotonic()
        self.doing, self.detail, self.ran = "starting", "", False
        self.cells: dict[str, str] = {}  # what each page that runs is at
        self.ended = threading.Event()

    def begin(self, app, *_) -> None:
        """Say what is ahead, and start the thread."""
        said = FIRST
        if self.kept.exists():
            said = f"The last build that ran the chapters took {spell(float(self.kept.read_text()))}."
        print(f"  {said}", flush=True)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self) -> None:
        """Print a line every few seconds until the build ends."""
        while not self.ended.wait(EVERY):
            print(f"  {self.line()}", flush=True)

    def line(self) -> str:
        """What the build is at, in a line."""
        running = "; ".join(f"{page or self.doing}, cell {cell}" for page, cell in self.cells.copy().items())
        parts = [running or self.doing, self.detail, spell(time.monotonic() - self.since)]
        return ", ".join(part for part in parts if part)

    def turn_to(self, doing: str) -> None:
        """Begin something else."""
        self.doing, self.detail, self.since = doing, "", time.monotonic()

    def count(self, app, env, docnames) -> None:
        """Remember how many pages there are to read."""
        self.pages = {name: n for n, name in enumerate(docnames, 1)}

    def read(self, app, page, source) -> None:
        """A page is read; its cells run next, if it has any."""
        self.turn_to(f"page {self.pages.get(page, '?')} of {len(self.pages)}, {Path(page).name}")

    def cell(self, page: str, number: int, cells: int) -> None:
        """A cell of a page runs; several pages may run at once."""
        self.ran, self.cells[page] = True, f"{number} of {cells}"

    def rest(self, page: str) -> None:
        """A cell of a page has run."""
        self.cells.pop(page, None)

    def resolve(self, app, env) -> None:
        """Everything is read."""
        self.turn_to("all pages read, now writing them")

    def write(self, app, page, *_) -> None:
        """A page is written."""
        self.detail = Path(page).name

    def end(self, app, error) -> None:
        """Keep how long it took, where cells ran and nothing went wrong."""
        self.ended.set()
        if self.ran and error is None:
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            self.kept.write_text(f"{time.monotonic() - self.started:.0f}\n")


def spell(seconds: float) -> str:
    """Write a time as '45 s' or '3 min 20 s'."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def report_cells(progress: Progress) -> None:
    """Let every notebook that runs in this process report its cells."""
    execute = NotebookClient.async_execute_cell

    async def reporting(client, cell, cell_index, *arguments, **options):
        page = client.nb.metadata.get("page", "")  # `execution` names what it runs
        if cell.cell_type == "code":
            numbers = [n for n, other in enumerate(client.nb.cells) if other.cell_type == "code"]
            progress.cell(page, numbers.index(cell_index) + 1, len(numbers))
        try:
            return await execute(client, cell, cell_index, *arguments, **options)
        finally:
            progress.rest(page)

    NotebookClient.async_execute_cell = reporting


def setup(app):
    progress = Progress(Path(app.outdir).parent / ".seconds")
    report_cells(progress)
    app.connect("builder-inited", progress.begin)
    app.connect("env-before-read-docs", progress.count)
    app.connect("source-read", progress.read)
    app.connect("env-updated", progress.resolve)
    app.connect("html-page-context", progress.write)
    app.connect("build-finished", progress.end)
    return {"version": "1.0", "parallel_read_safe": True, "parallel_write_safe": True}
