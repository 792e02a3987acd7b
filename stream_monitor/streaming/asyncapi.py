"""The AsyncAPI 3 document of our topics, made from the code that makes the topics, so that the two can't drift apart.

    python -m stream_monitor.streaming.asyncapi > docs/asyncapi.yaml

Shapes and retention come from `topic_specs`, JSON schemas from the files that the documents are checked by; what is written here is
what a person must know besides: who writes, what the key is, how a value that is no JSON is read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import msgspec

from stream_monitor import __version__
from stream_monitor.config.cluster import Cluster
from stream_monitor.config.schema_files import schema
from stream_monitor.config.topic_names import DEFAULT_PREFIX, TopicNames
from stream_monitor.streaming.delta_messages import BackfillEnd, MessageKind
from stream_monitor.streaming.message_schemas import CLOUD_EVENT, DEAD_LETTER, PROFILE_HEADERS
from stream_monitor.streaming.topics import TopicSpec, topic_specs

JSON_SCHEMA = "application/schema+json;version=draft-2020-12"
JSON = "application/json"
BINARY = "application/octet-stream"
CLOUD_EVENTS = "application/cloudevents+json"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MessageText:
    """A kind of message: `payload` names a schema of the document; None means bytes, described by `text`."""

    name: str
    text: str
    content_type: str = JSON
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class ChannelText:
    """What a person must know of a topic besides its shape.

    `compression`: of what we produce (topics that others write to may have any); `sends`, `receives`: whether a process of ours does.
    """

    text: str
    key: str
    messages: tuple[MessageText, ...]
    compression: str
    sends: bool = False
    receives: bool = False


# attribute of TopicNames -> what to say of it
TEXTS: Mapping[str, ChannelText] = {
    "config": ChannelText(
        "The live sensitivity of each monitored topic, read by every detector. Write with acks=all to its one partition; each document is "
        "answered on the status topic with its offset, and is in force from the next window on.",
        "The monitored topic, or `*` for the default of all.",
        (MessageText("sensitivity", "A whole document: what it does not say is at its default. Null: back to the default.",
                     payload="sensitivity"),),
        "any", receives=True,
    ),
    "commands": ChannelText(
        "What is to be done once: accept or reject an incident, reset or export what was learned. Answered on the status topic.",
        "The monitored topic.",
        (MessageText("command", "Carried out by the detector that judges the topic, once for each offset.", payload="command"),),
        "any", receives=True,
    ),
    "alerts": ChannelText(
        "One event for each change of an incident. Ids are deterministic: an event that comes twice has the same id.",
        "The monitored topic.",
        (MessageText("alert", "A CloudEvent 1.0 in structured mode; the header `content-type` says so.", CLOUD_EVENTS, "alert_event"),),
        "none", sends=True,
    ),
    "verdicts": ChannelText(
        "What is concluded about every window, alerting or not.",
        "The monitored topic.",
        (MessageText("verdict", "One window.", payload="verdict"),),
        "zstd", sends=True,
    ),
    "profiles": ChannelText(
        "What profilers read, summed up; an internal topic. Read it committed: a profiler writes its deltas and its offsets in one "
        "transaction. All messages of a monitored topic are in one partition (murmur2 of the key), in order.",
        "The monitored topic.",
        (
            MessageText("delta",
                        "A chunk (magic `SMDC`: version, index, count, digest, CRC-32) of a delta (magic `SMDL`: version, CRC-32, then "
                        "msgpack in zstd): the profile of part of a pane, with the source offsets it is of. Below 900 kB. Also a pane of "
                        "the retained log, by the header `kind`.", BINARY),
            MessageText("backfill_end", "Ends a cold start; the header `kind` is `backfill-end`.", payload="backfill_end"),
        ),
        "zstd", sends=True, receives=True,
    ),
    "references": ChannelText(
        "What is healthy, as profilers and detectors need it to measure; an internal topic, read whole by every worker.",
        "The monitored topic; for the chunks after the first, followed by `#` and the chunk's number.",
        (MessageText("reference",
                     "A chunk (byte 0xC5, version, index, count, digest of the whole) of a reference (magic, version, CRC-32, then msgpack "
                     "in zstd). Chunk 0 is written last.", BINARY),),
        "zstd", sends=True, receives=True,
    ),
    "status": ChannelText(
        "What happens to the monitor itself: documents and commands accepted or rejected and why, baselines changed, cold starts done, "
        "workers joined, topics it is blind for, panes closed by force. Let unknown kinds of event pass: newer versions add some.",
        "The source of the event: a worker or a monitored topic.",
        (MessageText("status", "One event.", payload="status"),),
        "none", sends=True,
    ),
    "dead_letters": ChannelText(
        "Positions of messages of ours that could not be handled, and why; never what they hold.",
        "The monitored topic.",
        (MessageText("dead_letter", "One position.", payload="dead_letter"),),
        "none", sends=True,
    ),
}  # fmt: skip


def document() -> Document:
    """The whole document. Schemas are embedded, so it needs no other file."""
    specs = {spec.name: spec for spec in topic_specs(TopicNames())}
    attributes = {getattr(TopicNames(), attribute): attribute for attribute in TEXTS}
    channels = {attributes[name]: (specs[name], TEXTS[attributes[name]]) for name in TopicNames()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "stream_monitor",
            "version": __version__,
            "description": "The topics that stream_monitor owns. Generated: python -m stream_monitor.streaming.asyncapi",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": {"kafka": {"host": Cluster().bootstrap_servers, "protocol": "kafka", "description": "Setting bootstrap_servers."}},
        "channels": {name: _channel(*described) for name, described in channels.items()},
        "operations": {key: value for name, (_, text) in channels.items() for key, value in _operations(name, text)},
        "components": {
            "parameters": {"prefix": {"default": DEFAULT_PREFIX, "description": "Setting prefix; of all topics and groups."}},
            "messages": {message.name: _message(text, message) for text in TEXTS.values() for message in text.messages},
            "schemas": {name: {"schemaFormat": JSON_SCHEMA, "schema": _embedded(name, body)} for name, body in schemas().items()},
        },
    }


def schemas() -> dict[str, Document]:
    """JSON Schemas (2020-12) of every JSON value on our topics, by the name they have in the document."""
    return {
        "sensitivity": schema("sensitivity"),
        "command": schema("command"),
        "status": schema("status"),
        "alert": _alerting("alert"),
        "alert_event": CLOUD_EVENT,
        "verdict": _alerting("verdict"),
        "backfill_end": msgspec.json.schema(BackfillEnd, ref_template="#/$defs/{name}")["$defs"]["BackfillEnd"],
        "dead_letter": DEAD_LETTER,
    }


def _alerting(name: str) -> Document:
    text = (resources.files("stream_monitor.alerting") / "schemas" / f"{name}.json").read_bytes()
    found: Document = msgspec.json.decode(text)
    return found


def _embedded(name: str, body: Any) -> Any:
    """The schema with references that hold inside the document: `#/$defs/…` of a schema is below it now."""
    if isinstance(body, list):
        return [_embedded(name, item) for item in body]
    if not isinstance(body, dict):
        return body
    moved = {key: _embedded(name, item) for key, item in body.items() if key != "$schema"}
    reference = moved.get("$ref")
    if isinstance(reference, str):
        whose, separator, rest = reference.partition("#/$defs/")
        if separator:
            moved["$ref"] = f"{_place(name)}/$defs/{rest}"
        else:
            moved["$ref"] = _place(whose)
    return moved


def _place(name: str) -> str:
    return f"#/components/schemas/{name}/schema"


def _channel(spec: TopicSpec, text: ChannelText) -> Document:
    configuration: Document = {"cleanup.policy": [spec.config["cleanup.policy"]]}
    configuration |= {key: _number(value) for key, value in sorted(spec.config.items()) if key != "cleanup.policy"}
    return {
        "address": "{prefix}" + spec.name.removeprefix(DEFAULT_PREFIX),
        "title": spec.name,
        "description": text.text,
        "parameters": {"prefix": {"$ref": "#/components/parameters/prefix"}},
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in text.messages},
        "bindings": {"kafka": {"partitions": spec.partitions, "topicConfiguration": configuration, "bindingVersion": "0.5.0"}},
        "x-compression": text.compression,
    }


def _number(value: str) -> Any:
    return int(value) if value.isdecimal() else value


def _message(channel: ChannelText, message: MessageText) -> Document:
    payload = {"type": "string", "format": "binary"} if message.payload is None else {"$ref": f"#/components/schemas/{message.payload}"}
    made: Document = {
        "name": message.name,
        "summary": message.text,
        "contentType": message.content_type,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": channel.key}, "bindingVersion": "0.5.0"}},
    }
    if message.name in ("delta", "backfill_end"):
        kinds = [MessageKind.BACKFILL_END] if message.name == "backfill_end" else [MessageKind.DELTA, MessageKind.BACKFILL]
        kind = {"type": "string", "enum": [str(kind) for kind in kinds]}
        made["headers"] = {**PROFILE_HEADERS, "properties": {**PROFILE_HEADERS["properties"], "kind": kind}}
    return made


def _operations(name: str, text: ChannelText) -> list[tuple[str, Document]]:
    """What we do with a topic, as AsyncAPI sees it: from our side."""
    actions = [action for action, does in (("send", text.sends), ("receive", text.receives)) if does]
    return [(f"{action}_{name}", {"action": action, "channel": {"$ref": f"#/channels/{name}"}}) for action in actions]


def yaml_text() -> str:
    """The document as YAML, as it is in docs/. Needs PyYAML, which comes with the `test` extra."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    text: str = yaml.dump(document(), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


if __name__ == "__main__":
    sys.stdout.write(yaml_text())
