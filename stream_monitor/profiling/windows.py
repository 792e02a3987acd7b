"""Closed panes put together to windows: what detectors judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_monitor.profiling.delta import SourceRange
from stream_monitor.profiling.profile import Profile

MAX_EMPTY_PANES = 1000
"""Of one silence; a longer one is one window."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One or more consecutive panes, closed."""

    start_ms: int
    end_ms: int
    profile: Profile
    """Sealed."""
    sources: tuple[SourceRange, ...]
    """By partition, the offsets between which the window's records lie, and the watermark at its closing."""
    is_partial: bool = False
    """Reading began in its middle: some of its records came before."""


@dataclass(slots=True, eq=False)
class OpenPane:
    """A pane that deltas are merged into."""

    profile: Profile
    spans: dict[int, list[Span]] = field(default_factory=dict)
    """Merged offsets [start, end) by partition, ascending, apart."""


def cover(spans: list[Span], new: Span) -> list[Span]:
    """`spans` and `new`, fused where they touch."""
    fused: list[Span] = []
    for start, end in sorted([*spans, new]):
        if fused and start <= fused[-1][1]:
            fused[-1] = (fused[-1][0], max(end, fused[-1][1]))
        else:
            fused.append((start, end))
    return fused


@dataclass(slots=True, eq=False)
class Gathering:
    """Panes being put together to one window."""

    start_ms: int
    end_ms: int
    panes: list[OpenPane] = field(default_factory=list)

    @property
    def records(self) -> int:
        """In all of them."""
        return sum(pane.profile.records for pane in self.panes)

    def take(self, pane: OpenPane | None, end_ms: int) -> None:
        """Goes on to `end_ms`, with a pane or an empty stretch."""
        self.end_ms = end_ms
        if pane is not None:
            self.panes.append(pane)

    def window(self, watermarks: Mapping[int, int]) -> Window:
        """What was gathered."""
        profile, spans = Profile.empty(), dict[int, Span]()
        for place, pane in enumerate(self.panes):
            sealed = pane.profile.sealed()
            profile = sealed if place == 0 else profile.merge(sealed)
            for partition, own in pane.spans.items():
                low, high = spans.get(partition, own[0])
                spans[partition] = (min(low, own[0][0]), max(high, own[-1][1]))
        sources = tuple(SourceRange(p, *spans[p], watermarks.get(p, -1), caught_up=False, idle_ms=0) for p in sorted(spans))
        return Window(self.start_ms, self.end_ms, profile.sealed(), sources)


def gather(
    panes: Mapping[int, OpenPane],
    start_ms: int,
    limit_ms: int,
    *,
    window_ms: int,
    min_records: int,
    max_merge_ms: int,
    flush: bool = False,
    silent: bool = True,
) -> Iterator[Gathering]:
    """Windows of the panes in [start_ms, limit_ms), empty panes among them, each grown until it holds `min_records` or is
    `max_merge_ms` long. What is left over is no window yet, unless `flush`. Without `silent` empty panes belong to no window.
    """
    starts = sorted(start for start in panes if start_ms <= start < limit_ms)
    grown = Gathering(start_ms, start_ms)
    for stop in [*starts, limit_ms]:
        silence = (stop - grown.end_ms) // window_ms
        if silence > MAX_EMPTY_PANES or (silence > 0 and not silent):
            if grown.panes:
                yield grown
            quiet = Gathering(grown.end_ms if grown.panes else grown.start_ms, grown.end_ms + silence * window_ms)
            if silent:
                yield quiet
            grown = Gathering(quiet.end_ms, quiet.end_ms)
        while grown.end_ms + window_ms <= min(stop + window_ms, limit_ms):
            grown.take(panes.get(grown.end_ms), grown.end_ms + window_ms)
            if grown.records >= min_records or grown.end_ms - grown.start_ms >= max_merge_ms:
                yield grown
                grown = Gathering(grown.end_ms, grown.end_ms)
    if flush and grown.end_ms > grown.start_ms:
        yield grown
