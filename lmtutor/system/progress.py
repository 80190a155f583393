"""A progress bar: a line that rewrites itself, an output that vanishes when done, or a line per minute in a log."""

import sys
import time

# A display cannot be taken back. Empty text would leave an empty line on a page; an empty element takes no room.
EMPTY = {"text/plain": "", "text/html": ""}


class Progress:
    """Tokens done, tokens per second, time left, and figures of the moment.

    On a terminal the bar is one line; in a notebook it vanishes when done; a log file gets a line per minute.

    Parameters
    ----------
    total : tokens in all.
    title : what stands before the bar.
    shown : False writes nothing.
    done : tokens that an earlier process has done already.
    """

    def __init__(self, total: int, title: str, shown: bool = True, done: int = 0):
        self.total, self.title, self.first = total, title, done
        self.shown, self.terminal, self.display = shown, shown and sys.stderr.isatty(), None
        if shown and not self.terminal and "ipykernel" in sys.modules:
            from IPython.display import display

            self.display = display(EMPTY, raw=True, display_id=True)
        self.began = self.written = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def update(self, done: int, **figures: float) -> None:
        """Show that `done` tokens are done, at most twice a second."""
        now = time.monotonic()
        if not self.shown or now - self.written < (0.5 if self.terminal or self.display else 60):
            return
        from tqdm import tqdm

        self.written = now
        line = tqdm.format_meter(
            done,
            self.total,
            now - self.began,
            ncols=None if self.terminal else 110,
            prefix=self.title,
            initial=self.first,
            unit=" tokens",
            unit_scale=True,
            postfix=", ".join(f"{name} {value:.4g}" for name, value in figures.items()),
        )
        self.write(line)

    def write(self, line: str) -> None:
        """Replace the line that stands there."""
        if self.terminal:
            sys.stderr.write("\r\x1b[K" + line)
            sys.stderr.flush()
        elif self.display:
            self.display.update({"text/plain": line} if line else EMPTY, raw=True)
        elif line:
            print(line, file=sys.stderr, flush=True)

    def __exit__(self, *_) -> None:
        if self.shown:
            self.write("")
