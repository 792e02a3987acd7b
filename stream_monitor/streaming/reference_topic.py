"""The references topic: what detectors publish for profilers to measure with."""

from __future__ import annotations

from collections.abc import Callable

from stream_monitor.config.settings import Settings
from stream_monitor.profiling.reference import Reference
from stream_monitor.streaming.clients import reader_config
from stream_monitor.streaming.live_topic import LiveTopic


def live_references(
    settings: Settings, client_id: str, on_change: Callable[[str, Reference | None, int], None] | None = None
) -> LiveTopic[Reference]:
    """The newest reference of every monitored topic, live; not started yet.

    A reference that can't be read leaves the one before in force.
    """
    config = reader_config(settings, client_id)
    return LiveTopic(config, settings.names.references, Reference.from_bytes, on_change=on_change, chunked=True)
