"""The judge as bytes, in named sections that change at different rates.

`judge` changes with every window; `specs`, `patterns` and `reference` with a re-training; `window/N` and `rows/N` are written once
a window and again only when it is judged anew. So a store that writes what changed writes little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from stream_monitor.detection.judge import Judge
from stream_monitor.detection.lasting import Lasting
from stream_monitor.detection.memory import Memory, Remembered, Surprise
from stream_monitor.detection.readings import Layer, Spec, Table, Tail
from stream_monitor.detection.shift import ShiftTracker
from stream_monitor.detection.verdict import Aspect
from stream_monitor.detection.volume import VolumeForecast
from stream_monitor.errors import FormatError
from stream_monitor.profiling.codec import MALFORMED_STATE, array_bytes, read_array, seal, unseal
from stream_monitor.profiling.reference import Reference

_MAGIC, _VERSION = b"SMJD", 1


def judge_sections(judge: Judge) -> dict[str, bytes]:
    """Everything needed for the same future."""
    table = judge.memory.table
    sections = {
        "judge": _seal([
            judge.topic, judge.window_ms, judge.seed, judge.judged, judge.train_at, judge.trained_ms, [judge.fitted, judge.left_out],
            list(judge.paths),
            sorted(judge.sightings.items()), judge.shift.to_state(), judge.volume.to_state(), judge.lasting.to_state(),
            [window.number for window in judge.memory.windows],
        ]),
        "specs": _seal([[list(spec) for spec in specs] for specs in (table.specs, judge.lasting_specs)]),
        "patterns": _seal(sorted(judge.patterns.items())),
    }
    if judge.reference is not None:
        sections["reference"] = judge.reference.to_bytes()
    for place, window in enumerate(judge.memory.windows):
        sections[f"rows/{window.number}"] = window.sample
        sections[f"window/{window.number}"] = _seal(_window_state(window, table, place))
    return sections


def restore_judge(sections: Mapping[str, bytes]) -> Judge:
    """Inverse of `judge_sections`. Raises FormatError."""
    try:
        return _restore(sections)
    except MALFORMED_STATE as error:
        raise FormatError(f"expected the sections of a judge, got something else ({error!r}): the state is corrupt") from error


def _restore(sections: Mapping[str, bytes]) -> Judge:
    state = _unseal(sections["judge"])
    topic, window_ms, seed, judged, train_at, trained_ms, fitted, paths, sightings, shift, volume, lasting, numbers = state
    judge = Judge(topic, window_ms, seed)
    judge.judged, judge.train_at, judge.trained_ms = judged, train_at, trained_ms
    judge.fitted, judge.left_out = fitted
    judge.paths, judge.sightings, judge.shift = tuple(paths), Counter(dict(sightings)), ShiftTracker.from_state(shift)
    judge.patterns = {int(mask): str(text) for mask, text in _unseal(sections["patterns"])}
    if "reference" in sections:
        judge.reference = Reference.from_bytes(sections["reference"])
    judge.volume, judge.lasting = VolumeForecast.from_state(volume), Lasting.from_state(lasting)
    specs, judge.lasting_specs = (tuple(_spec(values) for values in listed) for listed in _unseal(sections["specs"]))
    windows, first, second = [], np.empty((len(numbers), len(specs))), np.empty((len(numbers), len(specs)))
    for place, number in enumerate(numbers):
        start_ms, surprises, excluded, forgotten, firsts, seconds = _unseal(sections[f"window/{number}"])
        found = tuple(Surprise(Aspect(aspect), path, value) for aspect, path, value in surprises)
        windows.append(Remembered(number, start_ms, found, sections[f"rows/{number}"], frozenset(excluded), frozenset(forgotten)))
        first[place], second[place] = read_array(firsts, np.float64, len(specs)), read_array(seconds, np.float64, len(specs))
    times = np.array([window.start_ms for window in windows], np.int64)
    judge.memory = Memory(windows, Table(specs, times, first, second))
    return judge


def _window_state(window: Remembered, table: Table, place: int) -> list[Any]:
    return [
        window.start_ms, [[s.aspect.value, s.field, s.value] for s in window.surprises], sorted(window.excluded),
        sorted(window.forgotten, key=lambda path: path or ""), array_bytes(table.first[place]), array_bytes(table.second[place]),
    ]


def _spec(values: list[Any]) -> Spec:
    aspect, path, name, detector, layer, tail, *rest = values
    return Spec(Aspect(aspect), path, name, detector, Layer(layer), Tail(tail), *rest)


def _seal(state: object) -> bytes:
    return seal(_MAGIC, _VERSION, state)


def _unseal(blob: bytes) -> Any:
    return unseal(_MAGIC, _VERSION, blob)
