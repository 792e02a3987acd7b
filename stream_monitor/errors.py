"""Every error that stream_monitor raises.

    StreamMonitorError
    ├── SettingsError          a setting is wrong: names it, what was expected, what came
    ├── SensitivityError       a sensitivity document or command is refused as a whole: names the key
    ├── FormatError            bytes that are not what they should be: corrupt, or of a newer version
    ├── InputError             a file or topic to read can't be read
    ├── BrokerError            Kafka said no, or can't be reached: says which setting or permission
    └── OverlapError           a delta repeats offsets that were merged already

To handle them all:

    try:
        monitor.observe(values, timestamps_ms)
    except StreamMonitorError as error:
        ...
"""

from __future__ import annotations


class StreamMonitorError(Exception):
    """Base of all errors here; its text is one line that says what was expected, what came, and what to do."""


class SettingsError(StreamMonitorError):
    """A flag, environment variable or file entry is wrong."""


class SensitivityError(StreamMonitorError):
    """A sensitivity document or a command is refused; `key` is the dotted path of what is wrong in it."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


class FormatError(StreamMonitorError):
    """Bytes can't be read: corrupt, truncated, or written by a newer version."""


class InputError(StreamMonitorError):
    """A file or a topic given as input can't be read."""


class BrokerError(StreamMonitorError):
    """Kafka refused or can't be reached."""


class OverlapError(StreamMonitorError):
    """A delta covers offsets that were already merged."""
