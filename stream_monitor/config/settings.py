r"""Static settings: flags, then `STREAM_MONITOR_*` variables, then `stream-monitor.toml`, then defaults.

    bootstrap_servers = "kafka-1:9092,kafka-2:9092"
    topics = ["orders", "^payments\..*"]        # a regular expression starts with ^
    window_seconds = 60

    [kafka]                                       # extra librdkafka properties
    "socket.keepalive.enable" = true

    [source]                                      # only when the monitored topics are on a cluster of their own
    bootstrap_servers = "production:9092"

The same in the environment: `STREAM_MONITOR_WINDOW_SECONDS=60`, `STREAM_MONITOR_TOPICS=orders,payments`,
`STREAM_MONITOR_SOURCE__BOOTSTRAP_SERVERS=production:9092`. `Settings(...)` itself reads neither file nor environment;
`load_settings` does. Live sensitivity is not here but in the config topic: see `sensitivity`.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from stream_monitor.config.cluster import Cluster
from stream_monitor.config.topic_names import DEFAULT_PREFIX, TopicNames, check_prefix
from stream_monitor.errors import SettingsError
from stream_monitor.events import LogFormat, LogLevel, hide_secrets

ENV_PREFIX = "STREAM_MONITOR_"
DEFAULT_FILE = Path("stream-monitor.toml")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _group(suffix: str) -> Any:
    return lambda data: f"{data['prefix']}.{suffix}"


class Settings(Cluster, BaseSettings):
    """Everything that is fixed for the life of a process. The cluster fields say where our own topics are."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__", validate_default=True)

    topics: Annotated[tuple[str, ...], NoDecode] = Field((), description="Topics to monitor: names, or regular expressions from a ^ on.")
    prefix: str = Field(DEFAULT_PREFIX, description="Of the names of our own topics and groups.")
    source: Cluster | None = Field(None, description="The cluster of the monitored topics, when it is not ours.")

    window_seconds: Positive = Field(60.0, description="Length of a pane, in event time.")
    allowed_lateness_seconds: float = Field(10.0, ge=0, allow_inf_nan=False, description="How long a pane waits for late records.")
    flush_seconds: Positive = Field(5.0, description="How often a profiler sends what it has.")
    timestamp_field: str | None = Field(None, description="Dotted path of the event time; the record's timestamp when not set.")

    profiler_group: str = Field(default_factory=_group("profilers"), description="Consumer group of the profilers.")
    detector_app: str = Field(default_factory=_group("detector"), description="Faust app id of the detectors.")
    worker: str = Field(default_factory=socket.gethostname, description="Name of this process: stable over restarts, unique among them.")

    start_from: Literal["latest", "earliest"] = Field("latest", description="Where a topic new to the group is read from.")
    cold_start: Literal["sample", "full", "none"] = Field("sample", description="What is read of the history of a topic new to us.")
    static_membership: bool = Field(False, description="Whether a worker that restarts keeps its partitions (group.instance.id = worker).")
    watchdog_seconds: Positive = Field(60.0, description="A worker that makes no progress for this long exits with code 1.")

    max_fields: int = Field(1000, ge=1, description="Fields kept per topic; more are counted and dropped.")
    max_depth: int = Field(32, ge=1, le=512, description="Levels of nesting read.")
    max_record_bytes: int = Field(8 * 2**20, ge=1, description="Larger records are counted as malformed.")
    samples: Literal["positions", "values"] = Field("positions", description="What alerts say of the records hit.")

    alerts_partitions: int = Field(1, ge=1, description="Partitions of the alerts topic, when we create it.")
    replication_factor: int = Field(-1, ge=-1, description="Of topics we create; -1 = the broker's default.")
    state_directory: Path = Field(Path(".stream-monitor"), description="Where the detector keeps local state; a cache, Kafka has it all.")

    log_level: LogLevel = Field("INFO", description="Least severe line logged.")
    log_format: LogFormat = Field("auto", description="auto = pretty on a terminal, else json.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load_settings` reads the file and the environment."""
        return (init_settings,)

    @field_validator("topics", mode="before")
    @classmethod
    def _split_topics(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = value.split(",")
        if isinstance(value, (list, tuple)):
            return tuple(topic.strip() if isinstance(topic, str) else topic for topic in value if topic != "")
        return value

    @field_validator("topics")
    @classmethod
    def _check_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for topic in value:
            _check_topic(topic)
        return tuple(dict.fromkeys(value))

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        try:
            return check_prefix(value)
        except SettingsError as error:
            raise ValueError(str(error).partition(": ")[2]) from error

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("replication_factor")
    @classmethod
    def _check_replication(cls, value: int) -> int:
        if value == 0:
            raise ValueError("expected at least 1, or -1 for the broker's default")
        return value

    @property
    def names(self) -> TopicNames:
        """Names of our own topics."""
        return TopicNames(self.prefix)

    @property
    def source_cluster(self) -> Cluster:
        """Where the monitored topics are: `source`, or our own cluster."""
        return self.source or self

    @property
    def window_ms(self) -> int:
        """`window_seconds` in milliseconds."""
        return max(1, round(self.window_seconds * 1000))

    @property
    def allowed_lateness_ms(self) -> int:
        """`allowed_lateness_seconds` in milliseconds."""
        return round(self.allowed_lateness_seconds * 1000)

    def monitors(self, topic: str) -> bool:
        """Whether `topic` is asked for by name or by expression, and not one of ours."""
        wanted = any(re.match(entry, topic) if entry.startswith("^") else entry == topic for entry in self.topics)
        return wanted and not self.names.owns(topic)

    def print_config(self) -> str:
        """The settings in force as JSON, with secrets as asterisks."""
        return msgspec.json.format(msgspec.json.encode(hide_secrets(self.model_dump(mode="json"))), indent=2).decode()


def _check_topic(topic: str) -> None:
    if topic.startswith("^"):
        try:
            re.compile(topic)
        except re.error as error:
            raise ValueError(f"expected a regular expression after ^, got {topic!r} ({error})") from error
    elif not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic):
        raise ValueError(f"expected a topic name (letters, digits, '.', '_', '-') or an expression that starts with ^, got {topic!r}")


def default_file() -> Path | None:
    """The settings file when no flag names one: `STREAM_MONITOR_CONFIG`, else `stream-monitor.toml` here if there is one."""
    named = os.environ.get(f"{ENV_PREFIX}CONFIG")
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None
