"""`stream-monitor demo`: everything at once on this machine, without Kafka."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from stream_monitor.cli.console import notes, output
from stream_monitor.cli.demo_run import DemoRun, Pace
from stream_monitor.cli.demo_view import DemoView
from stream_monitor.evaluation.demo_plan import DemoPlan, demo_plan
from stream_monitor.evaluation.scoreboard import Scoreboard
from stream_monitor.events import configure_logging
from stream_monitor.streaming.embedded import EmbeddedBroker

LIVE_SECONDS = 0.4


def demo(
    seed: Annotated[int, typer.Option(help="Another one, another stream.", min=0)] = 7,
    speed: Annotated[float, typer.Option(help="2 is twice as fast: a minute of orders every 0.2 s.", min=0.1, max=10.0)] = 1.0,
    keep: Annotated[bool, typer.Option("--keep", help="At the end go on, until Ctrl-C, to try watch and tune.")] = False,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document; all else to standard error.")] = False,
) -> None:
    """A broker, a stream of orders, a monitor without a rule, and corruptions of every kind of data quality, planted one by one.

    Shows each of them, the alert that caught it and after how long; at the end what was planted, caught, and alerted for nothing.
    Takes about two minutes; needs no Kafka. Exit code 1 if nothing was caught.
    """
    began = time.monotonic()
    configure_logging("ERROR", "auto")
    signal.signal(signal.SIGTERM, _interrupt)
    plan = demo_plan(seed)
    board = Scoreboard(plan)
    view = DemoView(notes() if json else output(), plan, board)
    view.title(seed)
    with tempfile.TemporaryDirectory(prefix="stream-monitor-demo-") as directory, EmbeddedBroker() as broker:
        pace = Pace(LIVE_SECONDS / speed)
        with DemoRun(plan, board, view, pace, broker.bootstrap, Path(directory), began=began) as run:
            try:
                with view:
                    run.start()
                    run.learn()
                    run.live()
                _conclude(plan, board, view, run, seed if json else None)
                if keep:
                    _keep(run, view, broker.bootstrap)
            except KeyboardInterrupt:
                view.say(Text("stopping"))
                return
    if not board.catches:
        sys.exit(1)


def _conclude(plan: DemoPlan, board: Scoreboard, view: DemoView, run: DemoRun, seed: int | None) -> None:
    """The tables; with a seed, the document too."""
    seconds = run.elapsed
    view.table()
    view.total(seconds, run.first_alert)
    if seed is not None:
        print(orjson.dumps(result(plan, board, seed, seconds, run.first_alert), option=orjson.OPT_INDENT_2).decode())


def _keep(run: DemoRun, view: DemoView, bootstrap: str) -> None:
    """Goes on until Ctrl-C, and says what to try meanwhile."""
    view.say(Text(f"""
Going on with healthy orders until Ctrl-C. Try, in another terminal:
  stream-monitor watch -b {bootstrap}
  stream-monitor tune orders --max-alerts 50/day -b {bootstrap}""".rstrip()))
    with view:
        run.go_on()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def result(plan: DemoPlan, board: Scoreboard, seed: int, seconds: float, first_alert: float | None) -> dict[str, Any]:
    """The demo's result as plain types."""
    plantings = []
    for planting in plan.plantings:
        catch = board.catches.get(planting.first)
        found = None
        if catch is not None:
            found = {
                "incident": catch.incident, "aspect": catch.aspect, "field": catch.field, "severity": catch.severity,
                "windows": catch.windows, "seconds": round(catch.seconds, 3), "explanation": catch.explanation,
            }  # fmt: skip
        plantings.append({
            "corruption": planting.corruption.name, "aspect": planting.corruption.aspect.value, "fields": list(planting.corruption.fields),
            "fraction": planting.fraction, "window_start_ms": plan.start_ms(planting.first), "caught": found,
        })  # fmt: skip
    return {
        "seed": seed, "planted": len(plan.plantings), "caught": len(board.catches), "false": len(board.false), "plantings": plantings,
        "false_alerts": [dict(alert) for alert in board.false], "seconds": round(seconds, 1), "first_alert_seconds": first_alert,
    }  # fmt: skip
