"""stream_monitor: tells when the data in Kafka topics goes bad, without rules or thresholds.

>>> from stream_monitor import Monitor
>>> monitor = Monitor("orders", sensitivity={"max_alerts": "2/day"})

`Monitor` watches one topic in-process. The command line (`stream-monitor --help`) does it on Kafka.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream_monitor.monitor import Monitor, Verdict

__version__ = "0.1.0"
__all__ = ["Monitor", "Verdict", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the monitor when it is asked for: numba and scipy take a second that `stream-monitor --help` need not wait for."""
    if name in ("Monitor", "Verdict"):
        from stream_monitor import monitor

        return getattr(monitor, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
