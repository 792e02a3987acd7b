"""The picture of the README: what `stream-monitor demo` says, from a real run, as an SVG. `python docs/picture.py`, about two minutes.

It shows the beginning, the first plantings, and the table at the end; what is left out is marked. Nothing is drawn by hand.
"""

from __future__ import annotations

import io
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

from stream_monitor.cli.demo import LIVE_SECONDS
from stream_monitor.cli.demo_run import DemoRun, Pace
from stream_monitor.cli.demo_view import DemoView
from stream_monitor.evaluation.demo_plan import demo_plan
from stream_monitor.evaluation.scoreboard import Scoreboard
from stream_monitor.events import configure_logging
from stream_monitor.streaming.embedded import EmbeddedBroker

PICTURE = Path(__file__).parent / "assets" / "demo.svg"
WIDTH = 84
SEED = 7
SHOWN_PLANTINGS = 5


def run_demo() -> list[str]:
    """The lines of a demo, with their colours as terminal codes."""
    began = time.monotonic()
    configure_logging("ERROR", "auto")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, markup=False)
    plan = demo_plan(SEED)
    board = Scoreboard(plan)
    view = DemoView(console, plan, board)
    view.title(SEED)
    with tempfile.TemporaryDirectory() as directory, EmbeddedBroker() as broker:
        arguments = (plan, board, view, Pace(LIVE_SECONDS), broker.bootstrap, Path(directory))
        with DemoRun(*arguments, began=began) as run, view:
            run.start()
            run.learn()
            run.live()
            view.table()
            view.total(run.elapsed, run.first_alert)
    return console.export_text(styles=True).splitlines()


def shorten(lines: Sequence[str]) -> list[str]:
    """The lines up to the first few plantings, and the table."""
    plain = [Text.from_ansi(line).plain for line in lines]
    plantings = [place for place, line in enumerate(plain) if re.match(r" *\d+\.\d s  \d\d:\d\d  planted ", line)]
    table = next(place for place, line in enumerate(plain) if line.startswith("planted ") and " caught as" in line)
    cut = plantings[SHOWN_PLANTINGS]
    return [*lines[:cut], f"   \x1b[2m... {len(plantings) - SHOWN_PLANTINGS} more ...\x1b[0m", "", *lines[table:]]


def draw(lines: Sequence[str]) -> str:
    """The SVG. It fetches no fonts: whoever shows it has a monospaced one."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, markup=False)
    console.print(Text("$ stream-monitor demo", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title="stream-monitor demo", theme=SVG_EXPORT_THEME, unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


if __name__ == "__main__":
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw(shorten(run_demo())), "utf-8")
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")
