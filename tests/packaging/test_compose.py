"""The compose file and the image can't be run without Docker; here they are checked as far as reading goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError

from stream_monitor.cli import load_command
from tests.apache_kafka.jars import kafka_version

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((Path(__file__).parent / "compose_spec" / "schema.json").read_text())


@pytest.fixture
def compose() -> Any:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture
def stages() -> list[str]:
    """The Dockerfile's stages, comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    return re.split(r"^(?=FROM )", text, flags=re.MULTILINE)[1:]


def listeners(text: str) -> dict[str, str]:
    return dict(part.split("://") for part in text.split(","))


def test_it_follows_the_compose_specification(compose: Any) -> None:
    Draft7Validator(SCHEMA).validate(compose)


def test_the_schema_refuses_an_unknown_key(compose: Any) -> None:
    compose["services"]["kafka"]["enviroment"] = {}
    with pytest.raises(ValidationError, match="enviroment"):
        Draft7Validator(SCHEMA).validate(compose)


def test_its_kafka_is_the_official_image_of_the_version_tested(compose: Any) -> None:
    images = {service["image"] for service in compose["services"].values()}
    assert images == {f"apache/kafka:{kafka_version()}", "stream-monitor:0.1.0"}


def test_kafka_has_a_listener_for_the_host_one_for_containers_and_one_for_the_controller(compose: Any) -> None:
    kafka = compose["services"]["kafka"]
    settings = kafka["environment"]
    assert all(isinstance(value, str) for value in settings.values())
    listening, advertised = listeners(settings["KAFKA_LISTENERS"]), listeners(settings["KAFKA_ADVERTISED_LISTENERS"])
    assert advertised == {"HOST": "localhost:9092", "INSIDE": "kafka:19092"}
    assert set(listening) == {*advertised, settings["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert {entry.split(":")[0] for entry in settings["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")} == set(listening)
    assert all(listening[name].rpartition(":")[2] == address.rpartition(":")[2] for name, address in advertised.items())
    assert settings["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert kafka["ports"] == ["127.0.0.1:9092:9092"], "a broker without authentication stays on this machine"


def test_everything_waits_for_what_it_needs(compose: Any) -> None:
    services = compose["services"]
    assert services["kafka"]["healthcheck"]["test"][0] == "CMD"
    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    for name in ("monitor", "generator"):
        assert services[name]["depends_on"] == {"topics": {"condition": "service_completed_successfully"}}


def test_containers_reach_kafka_by_the_inside_listener(compose: Any) -> None:
    for name in ("topics", "monitor", "generator"):
        command = compose["services"][name]["command"]
        assert command[next(at for at, word in enumerate(command) if word.startswith("--bootstrap-server")) + 1] == "kafka:19092"


@pytest.mark.parametrize("service", ["monitor", "generator"])
def test_the_command_line_knows_the_commands_and_options_used(compose: Any, service: str) -> None:
    name, *words = compose["services"][service]["command"]
    known = {option for parameter in load_command(name).params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_every_named_volume_is_declared_and_used(compose: Any) -> None:
    used = {volume.split(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])


def test_the_image_runs_as_a_numeric_user_who_is_not_root(stages: list[str]) -> None:
    users = re.findall(r"^USER (.+)$", stages[-1], flags=re.MULTILINE)
    assert users == ["10001:10001"]


def test_the_image_installs_by_hash_and_leaves_the_build_tools_behind(stages: list[str]) -> None:
    build, final = stages
    installs = re.findall(r"pip install ([^\n&\\]+)", build)
    assert all("--require-hashes" in install or "--no-deps" in install for install in installs)
    assert "pip install" not in final


def test_what_the_image_copies_is_there_and_passes_the_dockerignore(stages: list[str]) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", stages[0], flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert source.split("/")[0] in allowed
