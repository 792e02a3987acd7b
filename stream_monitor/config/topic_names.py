"""The names of our own topics: every one starts with the prefix, so that one ACL covers them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stream_monitor.errors import SettingsError

DEFAULT_PREFIX = "stream-monitor"
_LEGAL = re.compile(r"[A-Za-z0-9._-]{1,200}")


def check_prefix(prefix: str) -> str:
    """`prefix` itself when Kafka accepts topic names made from it, else SettingsError."""
    if not _LEGAL.fullmatch(prefix) or prefix in (".", ".."):
        raise SettingsError(f"prefix: expected 1 to 200 letters, digits, '.', '_' or '-' (a Kafka topic name), got {prefix!r}")
    return prefix


@dataclass(frozen=True)
class TopicNames:
    """Names of the topics that stream_monitor owns, derived from one prefix.

    >>> TopicNames("quality").alerts
    'quality.alerts'
    """

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        check_prefix(self.prefix)

    @property
    def config(self) -> str:
        """Sensitivity documents, compacted, one partition; the key is the monitored topic or `*`."""
        return f"{self.prefix}.config"

    @property
    def commands(self) -> str:
        """Things done once: accept, reject, reset, export."""
        return f"{self.prefix}.commands"

    @property
    def alerts(self) -> str:
        """CloudEvents, one per incident change."""
        return f"{self.prefix}.alerts"

    @property
    def verdicts(self) -> str:
        """One verdict per window."""
        return f"{self.prefix}.verdicts"

    @property
    def profiles(self) -> str:
        """Deltas from the profilers to the detector."""
        return f"{self.prefix}.profiles"

    @property
    def references(self) -> str:
        """References from the detector to the profilers, compacted, one partition."""
        return f"{self.prefix}.references"

    @property
    def status(self) -> str:
        """What happened to the monitor itself; see `status.StatusEvent`."""
        return f"{self.prefix}.status"

    @property
    def dead_letters(self) -> str:
        """Positions and reasons of what could not be handled."""
        return f"{self.prefix}.dead-letters"

    def __iter__(self) -> Iterator[str]:
        """All names, in the order of the contract."""
        yield from (self.config, self.commands, self.alerts, self.verdicts, self.profiles, self.references, self.status, self.dead_letters)

    def owns(self, topic: str) -> bool:
        """Whether `topic` is one of ours (or a changelog beneath the prefix), so never to be monitored."""
        return topic.startswith(f"{self.prefix}.")
