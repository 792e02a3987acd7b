"""The AsyncAPI document: fresh, valid by the specification's own schema, and true of what is really produced."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from stream_monitor.config.commands import Command
from stream_monitor.config.status import StatusEvent, StatusKind
from stream_monitor.config.topic_names import TopicNames
from stream_monitor.detection.verdict import Aspect
from stream_monitor.errors import FormatError
from stream_monitor.streaming import asyncapi
from stream_monitor.streaming.delta_messages import BackfillEnd, backfill_end_message
from stream_monitor.streaming.publishing import alert_message, dead_letter, status_message, verdict_message
from stream_monitor.streaming.topics import topic_specs
from tests.alerting.kit import Wish, finding, judgement

ROOT = Path(__file__).resolve().parents[2]
NAMES = TopicNames()


@pytest.fixture(scope="module")
def document() -> Any:
    return yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text("utf-8"))


def specification() -> Draft7Validator:
    return Draft7Validator(json.loads(gzip.decompress((Path(__file__).parent / "asyncapi_spec" / "3.0.0.json.gz").read_bytes())))


def resolve(document: Any, pointer: str) -> Any:
    found = document
    for key in pointer.removeprefix("#/").split("/"):
        found = found[key]
    return found


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


def payload(document: Any, name: str) -> Draft202012Validator:
    """A validator of the embedded schema `name`, whose references are into the document."""
    registry = Registry().with_resource("urn:document", Resource(contents=document, specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"urn:document#/components/schemas/{name}/schema"}, registry=registry)


def test_the_file_is_what_the_code_makes() -> None:
    made = asyncapi.yaml_text()
    kept = (ROOT / "docs" / "asyncapi.yaml").read_text("utf-8")
    assert kept == made, "run: python -m stream_monitor.streaming.asyncapi > docs/asyncapi.yaml"


def test_it_follows_the_specification(document: Any) -> None:
    specification().validate(document)


def test_the_specification_refuses_an_unknown_key(document: Any) -> None:
    broken = {**document, "chanels": {}}
    with pytest.raises(ValidationError, match="chanels"):
        specification().validate(broken)


def test_it_has_every_topic_with_its_shape(document: Any) -> None:
    shapes = {
        channel["title"]: (channel["bindings"]["kafka"]["partitions"], channel["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"])
        for channel in document["channels"].values()
    }
    assert shapes == {spec.name: (spec.partitions, [spec.config["cleanup.policy"]]) for spec in topic_specs(NAMES)}
    assert list(shapes) == list(NAMES)
    assert document["channels"]["alerts"]["address"] == "{prefix}.alerts"


def test_every_reference_in_it_leads_somewhere(document: Any) -> None:
    found = references(document)
    assert len(found) > 40
    for reference in found:
        assert resolve(document, reference)


def test_every_schema_in_it_is_a_schema(document: Any) -> None:
    for entry in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(entry["schema"])


def test_what_is_produced_is_as_described(document: Any) -> None:
    from stream_monitor.alerting.incidents import IncidentBook

    found = judgement(0, finding(Aspect.COMPLETENESS, "email"))
    change = IncidentBook("orders").update(found, Wish("2/day", 2.0))[0]
    status = StatusEvent.at_ms(StatusKind.JOINED, 0, source="detector@here", message="joined")
    messages = {
        "alert_event": alert_message(NAMES, change),
        "verdict": verdict_message(NAMES, found, 3),
        "status": status_message(NAMES, status),
        "dead_letter": dead_letter(NAMES, "orders", (NAMES.profiles, 3, 17), FormatError("expected a delta, got something else")),
        "backfill_end": backfill_end_message(NAMES.profiles, "orders", BackfillEnd(3, 900, True), worker="w", run="r"),
    }
    for name, message in messages.items():
        assert message.value is not None
        payload(document, name).validate(json.loads(message.value))
    payload(document, "command").validate(json.loads(Command(do="reset").encode()))


def test_an_alert_that_lacks_something_is_not_as_described(document: Any) -> None:
    with pytest.raises(ValidationError):
        payload(document, "alert_event").validate({"specversion": "1.0", "data": {}})


def test_what_it_says_of_compression_is_so(document: Any) -> None:
    found = judgement(0, finding(Aspect.COMPLETENESS, "email"))
    assert verdict_message(NAMES, found, None).compressed == (document["channels"]["verdicts"]["x-compression"] == "zstd")
    status = status_message(NAMES, StatusEvent.at_ms(StatusKind.JOINED, 0))
    assert status.compressed == (document["channels"]["status"]["x-compression"] == "zstd")
