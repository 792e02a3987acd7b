"""What people see: tables and progress on a terminal, plain text anywhere else, 80 columns when the width is not known.

Results go to standard output (`output`), progress and remarks to standard error (`notes`), so that a pipe gets only results.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

WIDTH = 80


def make_console(stream: TextIO) -> Console:
    """A console on `stream`: colours only on a terminal (and never with NO_COLOR), 80 columns when it is not one."""
    terminal = stream.isatty()
    return Console(
        file=stream,
        width=None if terminal else int(os.environ.get("COLUMNS") or WIDTH),
        no_color=not terminal or bool(os.environ.get("NO_COLOR")),
        force_terminal=terminal,
        highlight=False,
        markup=False,
        soft_wrap=False,
    )


def output() -> Console:
    """For results."""
    return make_console(sys.stdout)


def notes() -> Console:
    """For remarks and progress."""
    return make_console(sys.stderr)


def make_table(*columns: str, title: str | None = None) -> Table:
    """A table with plain rules that fits the console; add rows with `add_row`."""
    table = Table(title=title, box=None, pad_edge=False, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def make_progress(unit: str = "records") -> Progress:
    """A progress bar for long work, on standard error; silent when that is not a terminal.

    with make_progress() as progress:
        task = progress.add_task("reading orders.ndjson", total=size)
        progress.update(task, advance=n)
    """
    console = notes()
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} " + unit),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
