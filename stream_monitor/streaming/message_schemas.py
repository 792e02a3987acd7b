"""JSON Schemas of what has no schema file of its own: the envelope of alerts, dead letters, the headers of the profiles topic."""

from __future__ import annotations

from typing import Any

CLOUD_EVENT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Alert event",
    "description": "A CloudEvent 1.0 in JSON, structured mode; `data` is the alert.",
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "UUIDv5 of incident, type and window: the same whenever it is sent."},
        "source": {"type": "string", "pattern": "^/stream-monitor/"},
        "type": {"enum": [f"stream-monitor.incident.{status}" for status in ("opened", "updated", "resolved")]},
        "subject": {"type": "string", "description": "The monitored topic."},
        "time": {"type": "string", "format": "date-time", "description": "End of the window."},
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": "alert"},
    },
}
"""`alert` is the schema of that name beside this one."""

DEAD_LETTER: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Dead letter",
    "type": "object",
    "required": ["topic", "partition", "offset", "monitored_topic", "reason"],
    "additionalProperties": False,
    "properties": {
        "topic": {"type": "string", "description": "Of ours: where the message is."},
        "partition": {"type": "integer", "minimum": 0},
        "offset": {"type": "integer", "minimum": 0},
        "monitored_topic": {"type": "string"},
        "reason": {"type": "string", "description": "What was expected and what came, without any of the payload."},
    },
}

PROFILE_HEADERS: dict[str, Any] = {
    "type": "object",
    "required": ["kind", "worker"],
    "properties": {
        "kind": {"type": "string", "description": "Let unknown kinds pass."},
        "worker": {"type": "string", "description": "Who produced it."},
        "run": {"type": "string", "description": "Of a cold start: its id. A new one before an end means that it was begun again."},
    },
}
