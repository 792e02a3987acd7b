"""JSON documents into msgspec Structs, strictly: a refusal names the dotted key, what was expected, what came, and the nearest known key.

`msgspec.convert` alone says `$.fields[...]`: it loses the pattern, and an operator could not tell which of forty entries is wrong. So
the tree of Structs is walked here, and msgspec converts the leaves. What a leaf expects is said in its annotation:
`Annotated[str, msgspec.Meta(extra={"expected": "<number>/<hour|day|week|month>"})]`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from stream_monitor.config.suggestions import nearest
from stream_monitor.errors import SensitivityError

StructT = TypeVar("StructT", bound=msgspec.Struct)


class RefusalError(SensitivityError):
    """A value is not what was expected; raised by Structs in `__post_init__` too, with a key relative to them."""

    def __init__(self, key: str, expected: str, came: Any, *, hint: str = "") -> None:
        self.expected, self.came, self.hint = expected, came, hint
        super().__init__(key, f"expected {expected}, got {short(came)}{f'; {hint}' if hint else ''}")

    def under(self, path: str) -> RefusalError:
        """The same, seen from above: `until` under `mute` is `mute.until`."""
        return RefusalError(join(path, self.key), self.expected, self.came, hint=self.hint)


def load_object(data: bytes | str | Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON object in `data`; a mapping is taken as it is. Raises SensitivityError."""
    if isinstance(data, Mapping):
        return data
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise SensitivityError("", f"expected a JSON object, got {short(data)} ({error})") from error
    if not isinstance(value, dict):
        raise RefusalError("", "a JSON object", value)
    return value


def read_struct(value: Any, kind: type[StructT], path: str = "") -> StructT:
    """`value`, decoded JSON, as a `kind`. Raises SensitivityError for the first thing wrong in it."""
    if not isinstance(value, Mapping):
        raise RefusalError(path, "an object", value)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key in value:
        if key not in fields:
            raise SensitivityError(join(path, str(key)), f"unknown key: {nearest(str(key), fields)}")
    for name, field in fields.items():
        if field.required and name not in value:
            raise SensitivityError(join(path, name), f"expected {_expected(field.type)}, got nothing; it is required")
    values = {fields[key].name: _read(item, fields[key].type, join(path, key)) for key, item in value.items()}
    try:
        return kind(**values)
    except RefusalError as error:
        raise error.under(path) from error


def _read(value: Any, kind: Any, path: str) -> Any:
    kind = _without_unset(kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return read_struct(value, kind, path)
    if get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise RefusalError(path, "an object", value)
        key_kind, item_kind = get_args(kind)
        return {_leaf(key, key_kind, join(path, str(key))): _read(item, item_kind, join(path, str(key))) for key, item in value.items()}
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            raise RefusalError(path, "a list", value)
        return tuple(_read(item, get_args(kind)[0], f"{path}[{index}]") for index, item in enumerate(value))
    return _leaf(value, kind, path)


def _leaf(value: Any, kind: Any, path: str) -> Any:
    try:
        leaf = msgspec.convert(value, kind)
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        choices = [choice for choice in get_args(_bare(kind)) if isinstance(choice, str)]
        hint = nearest(value, choices) if isinstance(value, str) and choices else ""
        raise RefusalError(path, _expected(kind), value, hint=hint) from error
    if isinstance(leaf, float) and not math.isfinite(leaf):
        raise RefusalError(path, _expected(kind), value)
    return leaf


def _expected(kind: Any) -> str:
    """What a leaf of type `kind` expects, for people."""
    kind = _without_unset(kind)
    for note in get_args(kind)[1:] if get_origin(kind) is Annotated else ():
        if isinstance(note, msgspec.Meta) and note.extra and "expected" in note.extra:
            return str(note.extra["expected"])
    bare = _bare(kind)
    if get_origin(bare) is Literal:
        return "one of " + ", ".join(get_args(bare))
    return {str: "a string", bool: "true or false", float: "a number", int: "a whole number"}.get(bare, "an object")


def _without_unset(kind: Any) -> Any:
    rest = [part for part in get_args(kind) if part is not msgspec.UnsetType]
    return rest[0] if len(rest) == 1 and msgspec.UnsetType in get_args(kind) else kind


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def join(path: str, key: str) -> str:
    """`key` below `path`, dotted; empty parts fall away."""
    return f"{path}.{key}" if path and key else path or key


def short(value: Any) -> str:
    """`value` as JSON would show it, at most 60 characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    names = {True: "true", False: "false", None: "null"}
    text = names[value] if value is None or isinstance(value, bool) else repr(value) if not isinstance(value, int) else _digits(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _digits(value: int) -> str:
    # str() of an int beyond 4,300 digits raises.
    return str(value) if abs(value) < 10**60 else f"a number of {value.bit_length()} bits"
