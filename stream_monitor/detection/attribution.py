"""Which field and which aspect: the likeliest cause first.

A fault shows in many metrics: a null breaks types, categories, correlations. So metrics are grouped in layers in causal
order (record, missing, form, duplicates, values, runs, relations) and the first layer that holds a good part of the largest
surprise is taken to be the cause. Within it a field scores its own best surprise there, a part of its best anywhere, and the
sum of its five best; for relations the joint score, and a quarter of its four most broken pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_monitor.detection.readings import Layer, Spec
from stream_monitor.detection.verdict import Aspect

Floats = NDArray[np.float64]

CAP = 10.0
"""-log10 p beyond which surprises count the same when layers are compared."""
CAUSE_SHARE = 0.4
"""A layer is the cause if it holds this share of the largest surprise."""
LEAST_CAUSE = 4.0
"""What it must hold at least, unless the largest surprise is its own: among hundreds of metrics smaller ones are chance."""
ELSEWHERE = 0.3
BEST_OF_FIELD = 5
PAIRS_OF_FIELD, PAIR_SHARE = 4, 0.25
LEAST = 1.5
"""Fields whose best surprise (-log10 p) is less are not named, unless they are the first."""
MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class Cause:
    """A field under suspicion and the metric that speaks for it."""

    aspect: Aspect
    field: str | None
    metric: int
    """Place of the metric in the specs."""
    score: float
    detector: str = ""
    """What saw it, if not the metric's own detector."""


def attribute(specs: Sequence[Spec], surprise: Floats, firsts: Sequence[Aspect]) -> list[Cause]:
    """Causes, the likeliest first. `surprise`: 0 where it does not count; `firsts`: the alerting aspects."""
    if not len(surprise) or surprise.max() <= 0:
        return []
    layer = _cause_layer(specs, surprise)
    scores = _field_scores(specs, surprise, layer)
    ranked = sorted(scores, key=lambda path: (-scores[path], path or ""))
    causes = [_cause(specs, surprise, path, scores[path], layer) for path in ranked[:MOST_NAMED]]
    named = [cause for place, cause in enumerate(causes) if place == 0 or surprise[cause.metric] >= LEAST]
    for aspect in firsts:
        if all(cause.aspect != aspect for cause in named):
            place = max((i for i, spec in enumerate(specs) if spec.aspect == aspect), key=lambda i: surprise[i], default=None)
            if place is not None and surprise[place] > 0:
                named.append(Cause(aspect, specs[place].field, place, float(surprise[place])))
    return named


def _cause_layer(specs: Sequence[Spec], surprise: Floats) -> Layer:
    best = dict.fromkeys(Layer, 0.0)
    for spec, value in zip(specs, surprise.tolist(), strict=True):
        best[spec.layer] = max(best[spec.layer], min(value, CAP))
    top = max(best.values())
    limit = min(max(CAUSE_SHARE * top, LEAST_CAUSE), top)
    return next(layer for layer in Layer if best[layer] >= limit)


def _field_scores(specs: Sequence[Spec], surprise: Floats, layer: Layer) -> dict[str | None, float]:
    inside, anywhere = _by_field(specs, surprise, layer), _by_field(specs, surprise, None)
    if layer == Layer.RELATION:
        return _relation_scores(specs, surprise)
    if layer == Layer.RECORD:
        return {path: max(found) for path, found in inside.items()}
    return {path: max(found) + ELSEWHERE * max(anywhere[path]) + sum(sorted(found)[-BEST_OF_FIELD:]) for path, found in inside.items()}


def _by_field(specs: Sequence[Spec], surprise: Floats, layer: Layer | None) -> dict[str | None, list[float]]:
    out: dict[str | None, list[float]] = {}
    for spec, value in zip(specs, surprise.tolist(), strict=True):
        if value > 0 and (layer is None or spec.layer == layer):
            out.setdefault(spec.field, []).append(value)
    return out


def _relation_scores(specs: Sequence[Spec], surprise: Floats) -> dict[str | None, float]:
    """A broken relation has two ends: the joint score says which; the most broken pairs of a field add to it."""
    joint = max((v for s, v in zip(specs, surprise.tolist(), strict=True) if s.detector == "joint_score"), default=0.0) >= LEAST
    own: dict[str | None, float] = {}
    pairs: dict[str, dict[str, float]] = {}
    for spec, value in zip(specs, surprise.tolist(), strict=True):
        if spec.layer != Layer.RELATION or value <= 0:
            continue
        if spec.other is None or spec.field is None:
            if joint and spec.detector != "joint_score":
                continue
            own[spec.field] = max(own.get(spec.field, 0.0), value)
            continue
        for one, two in ((spec.field, spec.other), (spec.other, spec.field)):
            found = pairs.setdefault(one, {})
            found[two] = max(found.get(two, 0.0), value)
    scores: Mapping[str | None, float] = {path: value for path, value in own.items() if path is not None}
    out = {path: value + PAIR_SHARE * _most(pairs.get(path or "", {})) for path, value in scores.items()}
    for path, found in pairs.items():
        out.setdefault(path, PAIR_SHARE * _most(found))
    return out or dict(own)


def _most(found: Mapping[str, float]) -> float:
    return sum(sorted(found.values())[-PAIRS_OF_FIELD:])


def _cause(specs: Sequence[Spec], surprise: Floats, path: str | None, score: float, layer: Layer) -> Cause:
    mine = [i for i, spec in enumerate(specs) if spec.layer == layer and (spec.field == path or spec.other == path)]
    best = max(mine, key=lambda i: surprise[i])
    return Cause(specs[best].aspect, path, best, score)
