"""`stream-monitor replay FILE…`: monitor a file, without Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from stream_monitor.alerting.cloudevents import cloud_event_json
from stream_monitor.cli import EXIT_ALERTS
from stream_monitor.cli.console import notes, output
from stream_monitor.cli.options import settings_from
from stream_monitor.cli.report import ReplayProgress, print_summary, remarks, summary_json
from stream_monitor.clock import SystemClock
from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from stream_monitor.config.settings import Settings
from stream_monitor.errors import InputError
from stream_monitor.evaluation.files import STDIN, Chunk, FileFormat, RecordReader
from stream_monitor.evaluation.replay import Observer, Summary
from stream_monitor.evaluation.replay import replay as run_replay


def replay(
    files: Annotated[list[Path], typer.Argument(help="NDJSON, `kcat -J`, CSV (plain, .gz, or - for stdin) or Parquet.", metavar="FILE…")],
    *,
    topic: Annotated[
        str | None, typer.Option("--topic", "-t", help="What the stream is called: the envelopes' topic or the file's name.")
    ] = None,
    timestamp_field: Annotated[
        str | None,
        typer.Option("--timestamp-field", help="Path of the event time. Else the envelope's; else 500 records a window.", metavar="F"),
    ] = None,
    window: Annotated[str | None, typer.Option("--window", help="Length of a window: 60s.", metavar="DURATION")] = None,
    sensitivity: Annotated[Path | None, typer.Option("--sensitivity", help="Sensitivity document, JSON.", metavar="FILE")] = None,
    alerts: Annotated[Path | None, typer.Option("--alerts", help="Write alerts here: CloudEvents, one a line.", metavar="OUT")] = None,
    verdicts: Annotated[Path | None, typer.Option("--verdicts", help="Write verdicts here: JSON, one a line.", metavar="OUT")] = None,
    fail_on_alert: Annotated[bool, typer.Option("--fail-on-alert", help="Exit with 3 when something alerted.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    file_format: Annotated[FileFormat, typer.Option("--format", help="What the files hold; auto goes by the name.")] = FileFormat.AUTO,
    config: Annotated[Path | None, typer.Option("--config", help="Settings file: stream-monitor.toml.", metavar="FILE")] = None,
    set_values: Annotated[list[str] | None, typer.Option("--set", help="Any other setting; repeat.", metavar="KEY=VALUE")] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Show the settings in force and stop.")] = False,
) -> None:
    """Monitors records in files as if they came from Kafka: alerts, verdicts, and a summary at the end.

    A last window that the files fill to less than nine tenths is not judged.

    Exit code 0, or 3 with --fail-on-alert when something alerted.
    """
    options = {"window": window, "timestamp_field": timestamp_field, "config": config, "set_values": set_values}
    settings = settings_from({**options, "print_config": print_config})
    document = _read_document(sensitivity)
    in_force = Sensitivity.of(None, parse_sensitivity(document))
    window_ms = round(settings.window_seconds * 1000)
    reader = RecordReader(
        files,
        topic=topic,
        timestamp_field=settings.timestamp_field,
        window_ms=window_ms,
        file_format=file_format,
    )
    summary = _run(reader, lambda name: make_monitor(name, settings, document), alerts, verdicts)
    said = remarks(reader, summary)
    if as_json:
        print(summary_json(summary, in_force, window_ms, said))
    else:
        console = notes() if STDIN in (alerts, verdicts) else output()
        print_summary(console, summary, in_force, window_ms)
        for remark in said:
            notes().print(f"note: {remark}")
    if fail_on_alert and summary.opened:
        raise typer.Exit(EXIT_ALERTS)


def make_monitor(topic: str, settings: Settings, sensitivity: dict[str, Any]) -> Observer:
    """The Monitor that records run through (imported late: it loads numba)."""
    from stream_monitor import Monitor

    return Monitor(
        topic, window_seconds=settings.window_seconds, sensitivity=sensitivity, prefix=settings.prefix,
        allowed_lateness_seconds=settings.allowed_lateness_seconds,
    )


def _run(reader: RecordReader, make: Callable[[str], Observer], alerts: Path | None, verdicts: Path | None) -> Summary:
    with ExitStack() as stack:
        write_alert, write_verdict = (_writer(stack, path) for path in (alerts, verdicts))
        progress = stack.enter_context(ReplayProgress(reader, SystemClock()))
        chunks: Iterator[Chunk] = iter(reader)
        first = next(chunks)  # tells the topic; a reader without records has raised
        topic = str(reader.topic)
        return run_replay(
            topic,
            make(topic),
            chain([first], chunks),
            on_verdict=write_verdict,
            on_change=lambda change: write_alert(cloud_event_json(change)),
            on_progress=progress.show,
        )


def _writer(stack: ExitStack, path: Path | None) -> Callable[[bytes], None]:
    """Writes one document a line to the file; drops them when there is none."""
    if path is None:
        return lambda document: None
    if path == STDIN:
        return lambda document: print(document.decode())
    try:
        file = stack.enter_context(path.open("wb"))
    except OSError as error:
        raise InputError(f"{path}: expected a file that can be written, got: {error.strerror}") from error

    def write(document: bytes) -> None:
        file.write(document + b"\n")

    return write


def _read_document(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: expected a sensitivity document, got: {error.strerror}") from error
    parse_sensitivity(text)
    document: dict[str, Any] = orjson.loads(text)
    return document
