"""The command line: `stream-monitor COMMAND …`.

A command is a module of this package with a function of its own name (`watch.watch`), or an `app: typer.Typer` when it has
commands below it. It is listed in COMMANDS, and imported only when it is called: `--help` and `watch` load neither Faust nor numba.

Exit codes: 0 ok, 1 failure, 2 usage, 3 alerts found.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from stream_monitor.errors import StreamMonitorError

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_ALERTS = 3

# name -> (module in this package, one line of help); in the order that --help shows
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Everything at once on this machine, with planted corruptions; needs no Kafka."),
    "run": ("run", "Monitor topics: profilers and detector on one machine."),
    "profile": ("profile", "One profiler; start as many as there are partitions."),
    "detect": ("detect", "One detector; start as many as there are monitored topics."),
    "replay": ("replay", "Monitor a file, without Kafka."),
    "watch": ("watch", "Follow the alerts."),
    "tune": ("tune", "Change the sensitivity of a topic, live."),
    "generate": ("generate", "Produce demo data to a topic."),
    "doctor": ("doctor", "Check settings, broker, permissions and topics; say what to do."),
}


class LazyGroup(TyperGroup):
    """A group that knows its commands by name and line of help, and imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update({name: TyperCommand(name=name, help=text) for name, (_, text) in COMMANDS.items()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Loads the command that is about to run."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = load_command(args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """Imports the command `name` and makes it callable by typer."""
    module = importlib.import_module(f"{__name__}.{COMMANDS[name][0]}")
    single: typer.Typer | None = getattr(module, "app", None)
    if single is None:
        single = typer.Typer(add_completion=False, rich_markup_mode="markdown")
        single.command(name)(getattr(module, name))
    command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(version("stream-monitor"))
        except PackageNotFoundError:
            typer.echo("unknown: stream-monitor is not installed")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Watches Kafka topics and alerts when their data goes bad: no rules, one knob."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs the command line; what is wrong is one line on standard error."""
    try:
        app(args=arguments, prog_name="stream-monitor")
    except StreamMonitorError as error:
        print(f"stream-monitor: {error}", file=sys.stderr)
        sys.exit(EXIT_FAILURE)
    sys.exit(EXIT_OK)
