"""What the demo shows: lines that stay, and on a terminal three more below them that move. 80 columns are enough."""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from stream_monitor.cli.console import make_table
from stream_monitor.evaluation.demo_plan import DemoPlan, Planting
from stream_monitor.evaluation.scoreboard import Catch, Scoreboard, window_number

BARS = "▁▂▃▄▅▆▇█"
SHOWN_WINDOWS = 60
INDENT = 20
SEVERITIES = {"critical": "bold red", "warning": "red", "info": "cyan"}


class DemoView:
    """Shows a demo on a console, as it is told; use as a context manager. `at` is always seconds since the demo began."""

    def __init__(self, console: Console, plan: DemoPlan, board: Scoreboard) -> None:
        self._console = console
        self._plan = plan
        self._board = board
        self._verdicts: deque[tuple[int, int, bool]] = deque(maxlen=SHOWN_WINDOWS)  # window number, records, alerting
        self._state = "cold"
        self._produced = plan.first
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._console.is_terminal:  # a new one each time: one that is started again wipes lines that were printed since
            self._live = Live(console=self._console, refresh_per_second=8, transient=True, get_renderable=self._footer)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    # -- lines that stay ----------------------------------------------------------------------------------------------
    def title(self, seed: int) -> None:
        """What this is."""
        aspects = len({planting.corruption.aspect for planting in self._plan.plantings})
        self._console.print(Text.assemble(("stream_monitor demo", "bold"), f"  seed {seed}, no Kafka needed, no rules written"))
        self._console.print(
            f"{len(self._plan.plantings)} corruptions of {aspects} aspects will be planted in a stream of orders.\n", soft_wrap=True
        )

    def say(self, text: Text) -> None:
        """Anything else."""
        self._console.print(text, soft_wrap=True)

    def step(self, at: float, text: str) -> None:
        """Something got ready."""
        self._console.print(Text.assemble((f"{at:6.1f} s  ", "dim"), text))

    def planted(self, at: float, planting: Planting) -> None:
        """A corruption is on its way."""
        self._line(at, planting.first, "planted", planting.text, "yellow")

    def caught(self, at: float, catch: Catch) -> None:
        """An alert caught a planting."""
        self._line(at, catch.planting.first, "ALERT", f"{_about(catch)} after {after(catch)}", SEVERITIES[catch.severity])
        self._explain(catch.explanation)

    def false(self, at: float, alert: Mapping[str, Any]) -> None:
        """An alert about nothing."""
        number = window_number(alert, self._plan.stream.window_ms)
        self._line(at, number, "FALSE", f"{alert['aspect']} ({alert['severity']})", "bold magenta")
        self._explain(alert["explanation"])

    def _line(self, at: float, number: int, word: str, text: str, style: str) -> None:
        when = f"{at:6.1f} s  {self._clock(number)}  "
        self._console.print(Text.assemble((when, "dim"), (f"{word:<8}", style), text), soft_wrap=True)

    def _explain(self, text: str) -> None:
        width = max(40, min(self._console.width, 100) - INDENT)
        text = text.split(". ", maxsplit=1)[0].rstrip(".") + "."  # the alert says more: what else is unusual, and how often that happens
        self._console.print(Text(textwrap.indent(textwrap.fill(text, width), " " * INDENT), style="dim"))

    # -- lines that move ----------------------------------------------------------------------------------------------
    def produced(self, number: int) -> None:
        """A window was produced."""
        self._produced = number + 1

    def judged(self, number: int, verdict: Mapping[str, Any]) -> None:
        """A window was judged."""
        self._verdicts.append((number, verdict["window"]["records"], verdict["alerting"]))
        self._state = verdict["state"]

    def _footer(self) -> Group:
        if not self._verdicts:
            return Group(Text("the monitor is starting ...", style="dim"))
        number, records, _ = self._verdicts[-1]
        caught, planted = len(self._board.catches), sum(p.first < self._produced for p in self._plan.plantings)
        score = f"caught {caught} of {planted}  false {len(self._board.false)}"
        status = f"{self._day(number)}  {records} orders/min  limits {self._state}  {score}"
        bar = ProgressBar(self._plan.windows, self._produced - self._plan.first, width=min(self._console.width, 78))
        return Group(Text(), self._sparkline(), Text(status), bar)

    def _sparkline(self) -> Text:
        volumes = [records for _, records, _ in self._verdicts]
        lowest, highest = 0.6 * min(volumes), max(1, *volumes)
        line = Text()
        for number, records, alerting in self._verdicts:
            style = "red" if alerting else "yellow" if self._plan.planted(number) else "green"
            line.append(BARS[min(7, int(8 * (records - lowest) / (highest + 1 - lowest)))], style)
        return line

    # -- the end ------------------------------------------------------------------------------------------------------
    def table(self) -> None:
        """What was planted, and what became of it."""
        self._console.print()
        self._console.print(self._plantings())
        for alert in self._board.false:
            self._console.print(Text(f"false: {alert['explanation']}", style="magenta"))

    def _plantings(self) -> Table:
        table = make_table("planted", "aspect", "caught as", "after")
        for planting in self._plan.plantings:
            catch = self._board.catches.get(planting.first)
            found = Text("missed", style="magenta") if catch is None else Text(_about(catch))
            took = after(catch, short=True) if catch else ""
            table.add_row(planting.corruption.text, planting.corruption.aspect.value, found, took)
        return table

    def total(self, seconds: float, first_alert: float | None) -> None:
        """The last line."""
        caught, planted, false = len(self._board.catches), len(self._plan.plantings), len(self._board.false)
        style = "bold green" if caught == planted and not false else "bold yellow" if caught else "bold red"
        first = "" if first_alert is None else f"; first alert after {first_alert:.1f} s"
        self._console.print()
        self._console.print(Text.assemble((f"planted {planted}  caught {caught}  false {false}", style), f"   in {seconds:.0f} s{first}"))

    # -- words --------------------------------------------------------------------------------------------------------
    def _clock(self, number: int) -> str:
        return f"{self._moment(number):%H:%M}"

    def _day(self, number: int) -> str:
        return f"{self._moment(number):%a %H:%M}"

    def _moment(self, number: int) -> datetime:
        return datetime.fromtimestamp(self._plan.start_ms(number) / 1000, UTC)


def after(catch: Catch, *, short: bool = False) -> str:
    """How long it took: windows of event time, and seconds of ours."""
    if short:
        return f"{catch.windows}w {catch.seconds:.1f}s"
    return f"{catch.windows} window{'s' if catch.windows > 1 else ''}, {catch.seconds:.1f} s"


def _about(catch: Catch) -> str:
    """What the alert is about: its aspect and field."""
    return f"{catch.aspect}: {catch.field}" if catch.field else catch.aspect
