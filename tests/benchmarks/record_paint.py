"""How soon a phone shows a page, and how heavy each page of the built book is.

    python -m tests.benchmarks.record_paint [--record]

The phone is emulated by Chromium: 390 pixels, 1.6 Mbit/s with 150 ms to the server, which compresses, and a processor
four times slower than this one. Of each page the first contentful paint is the median of seven. Chromium slows its
processor down by waiting, so a busy machine is counted twice; beside it stands the processor time of the page's main
thread until it is loaded, at full speed. A page's weight is what it loads by itself, compressed. A few minutes.
`--record` writes ``data/runs/benchmark-paint/``.
"""

import argparse
import json
import os
import shlex
import statistics
import sys
from pathlib import Path

import pandas as pd

from tests.book.conftest import CHROMIUM, FLAGS, SITE, Compressing, serve, toc

RUN = Path(__file__).resolve().parents[2] / "data" / "runs" / "benchmark-paint"
TIMES = 7
LIMITS = {"book/intro": 2000, "book/chapters/07-neural-cache": 3000}  # milliseconds, on a quiet machine
SLOW = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def open_page(browser, address: str, slow: bool):
    """A view of a page on a phone, and its devtools session."""
    view = browser.new_context(viewport={"width": 390, "height": 800}).new_page()
    session = view.context.new_cdp_session(view)
    session.send("Network.enable")
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    if slow:
        session.send("Network.emulateNetworkConditions", SLOW)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    view.goto(address, wait_until="load", timeout=120_000)
    return view, session


def first_paint(browser, address: str) -> float:
    """Milliseconds until a slow phone shows something of a page."""
    view, _ = open_page(browser, address, slow=True)
    paint = view.evaluate(PAINT)
    view.context.close()
    return paint


def weigh(browser, address: str) -> tuple[int, float]:
    """Bytes sent for a page and all that it loads by itself; milliseconds of its main thread."""
    view, session = open_page(browser, "about:blank", slow=False)
    sent = []
    session.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    view.goto(address, wait_until="networkidle")
    metrics = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
    view.context.close()
    return int(sum(sent)), 1000 * metrics["TaskDuration"]


def measure(browser, served: str) -> pd.DataFrame:
    """One row per page: kilobytes, milliseconds of the processor, and of the first paint where there is a limit."""
    rows = []
    for name in [*(page.name for page in toc()), "genindex", "search"]:
        address = f"{served}/{name}.html"
        sent, busy = weigh(browser, address)
        row = {"page": name, "kilobytes": sent / 1000, "processor_ms": busy}
        if name in LIMITS:
            row["first_paint_ms"] = statistics.median(first_paint(browser, address) for _ in range(TIMES))
        rows.append(row)
        print({key: round(value) if isinstance(value, float) else value for key, value in row.items()}, flush=True)
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.record_paint", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--record", action="store_true", help=f"write to data/runs/{RUN.name}/")
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    load = os.getloadavg()[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        server = serve(Compressing, SITE)
        table = measure(browser, next(server))
        version = browser.version
        browser.close()
        next(server, None)
    if options.record:
        import torch

        from lmtutor.runs.provenance import provenance

        RUN.mkdir(parents=True, exist_ok=True)
        table.to_csv(RUN / "history.csv", index=False, float_format="%.0f")
        made = provenance(torch.device("cpu"), seed=1) | dict(
            command=shlex.join(["python", "-m", "tests.benchmarks.record_paint", *sys.argv[1:]]),
            chromium=version,
            load=[round(load, 1), round(os.getloadavg()[0], 1)],
            protocol=f"390 pixels, 1.6 Mbit/s, 150 ms, processor four times slower, compressed; median of {TIMES}",
        )
        (RUN / "result.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
