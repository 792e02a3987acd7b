"""Logging: structlog over the standard library, so that our lines and those of the Kafka clients have one shape.

On a terminal the lines are for people; anywhere else they are JSON, one event a line, on standard error.
Context (topic, partition, worker) is bound once with `structlog.contextvars.bound_contextvars` and is on every line below it.

    configure_logging("INFO")
    log = get_logger(__name__)
    log.info("profiler.flushed", topic="orders", deltas=4)
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO

import structlog

LogFormat = Literal["auto", "json", "pretty"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

HIDDEN = "**********"
_SECRET_KEY = re.compile(r"password|passwd|secret|token|credential|private|api_?key|\.pem$", re.IGNORECASE)


def is_secret(key: str) -> bool:
    """Whether the value under `key` must never be shown, by its name.

    >>> is_secret("sasl.password"), is_secret("ssl.key.pem"), is_secret("topic")
    (True, True, False)
    """
    return bool(_SECRET_KEY.search(key))


def hide_secrets(value: Any) -> Any:
    """`value` with everything under a secret key, at any depth of dicts and lists, replaced by asterisks."""
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret(str(key)) and item else hide_secrets(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [hide_secrets(item) for item in value]
    return value


def configure_logging(level: LogLevel | str = "INFO", log_format: LogFormat = "auto", *, stream: TextIO | None = None) -> None:
    """Send the log lines of this process to `stream` (standard error); replaces what was configured before.

    `log_format` "auto" is "pretty" on a terminal and "json" elsewhere. Loggers of third parties speak from WARNING on,
    from `level` on when it is DEBUG.
    """
    target = sys.stderr if stream is None else stream
    pretty = log_format == "pretty" or (log_format == "auto" and target.isatty())
    shared = _shared_processors()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(_formatter(pretty, coloured=target.isatty(), shared=shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "DEBUG" else logging.WARNING)
    logging.getLogger("stream_monitor").setLevel(level)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a module: pass `__name__`. Event names are dotted nouns and past verbs (`profiler.flushed`)."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _shared_processors() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
        _hide_event_secrets,
    ]


def _hide_event_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    hidden: MutableMapping[str, Any] = hide_secrets(dict(event))
    return hidden


# Without local variables: they hold records, which must not reach the log, and can make a line of a megabyte.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _formatter(pretty: bool, *, coloured: bool, shared: list[structlog.typing.Processor]) -> logging.Formatter:
    renderer: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=coloured, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback)]
        if pretty
        else [_TRACEBACKS, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
    )
