"""How to reach one Kafka cluster, for both clients: librdkafka (confluent-kafka) and aiokafka (Faust)."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

KafkaValue = str | int | float | bool

# What our delivery guarantees rest on; a pass-through property may not change it.
MANAGED = frozenset(
    {
        "acks",
        "bootstrap.servers",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "isolation.level",
        "metadata.broker.list",
        "partition.assignment.strategy",
        "request.required.acks",
        "transaction.timeout.ms",
        "transactional.id",
    }
)
_TYPED = {
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "ssl.ca.location": "ssl_ca_location",
    "ssl.certificate.location": "ssl_certificate_location",
    "ssl.key.location": "ssl_key_location",
    "ssl.key.password": "ssl_key_password",
    "ssl.endpoint.identification.algorithm": "ssl_check_hostname",
}


class Cluster(BaseModel):
    """One cluster: addresses, security, and extra librdkafka properties. The names are librdkafka's, with `_` for `.`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str = Field("localhost:9092", description="Brokers to start from: host:port, comma separated.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field("PLAINTEXT", description="As the listener's.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(None, description="With SASL_*: default PLAIN.")
    sasl_username: str | None = Field(None, description="With SASL_*: the user.")
    sasl_password: SecretStr | None = Field(None, description="With SASL_*: the password; better given by the environment.")
    ssl_ca_location: Path | None = Field(None, description="PEM of the authorities to trust; the system's when not set.")
    ssl_certificate_location: Path | None = Field(None, description="PEM of the client's certificate, for mutual TLS.")
    ssl_key_location: Path | None = Field(None, description="PEM of the client's private key.")
    ssl_key_password: SecretStr | None = Field(None, description="Password of the private key.")
    ssl_check_hostname: bool = Field(True, description="Whether the broker's certificate must name the host connected to.")
    kafka: dict[str, KafkaValue] = Field(
        default_factory=dict, repr=False, description="Extra librdkafka properties, passed on as they are (not to the detector's client)."
    )

    @field_validator("bootstrap_servers")
    @classmethod
    def _check_servers(cls, value: str) -> str:
        servers = [server.strip() for server in value.split(",") if server.strip()]
        if not servers:
            raise ValueError("expected host:port, comma separated")
        for server in servers:
            _, _, port = server.rpartition("://")[2].rpartition(":")
            if not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"expected host:port, comma separated; {server!r} has no port from 1 to 65535")
        return ",".join(servers)

    @field_validator("kafka")
    @classmethod
    def _check_properties(cls, value: dict[str, KafkaValue]) -> dict[str, KafkaValue]:
        for key in value:
            if key in MANAGED:
                raise ValueError(f"{key} is managed by stream_monitor: take it out")
            if key in _TYPED:
                raise ValueError(f"{key} has a setting of its own: use {_TYPED[key]}")
        return value

    @model_validator(mode="after")
    def _check_security(self) -> Cluster:
        sasl = self.security_protocol.startswith("SASL")
        if sasl and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        if not sasl and (self.sasl_username or self.sasl_password or self.sasl_mechanism):
            raise ValueError(f"sasl_* settings need security_protocol SASL_SSL or SASL_PLAINTEXT, got {self.security_protocol}")
        if not self.uses_tls and (self.ssl_ca_location or self.ssl_certificate_location or self.ssl_key_location):
            raise ValueError(f"ssl_* settings need security_protocol SSL or SASL_SSL, got {self.security_protocol}")
        return self

    @property
    def uses_tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    def confluent(self) -> dict[str, KafkaValue]:
        """Properties for any confluent-kafka client; holds secrets in the clear, so never log it."""
        values: dict[str, KafkaValue | Path | None] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "sasl.mechanism": self._mechanism(),
            "sasl.username": self.sasl_username,
            "sasl.password": _reveal(self.sasl_password),
            "ssl.ca.location": self.ssl_ca_location,
            "ssl.certificate.location": self.ssl_certificate_location,
            "ssl.key.location": self.ssl_key_location,
            "ssl.key.password": _reveal(self.ssl_key_password),
            "ssl.endpoint.identification.algorithm": "none" if self.uses_tls and not self.ssl_check_hostname else None,
        }
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in values.items() if value is not None}
        return {**plain, **self.kafka}

    def aiokafka(self) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client; holds secrets in the clear, so never log it."""
        arguments: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers, "security_protocol": self.security_protocol}
        if self.uses_tls:
            arguments["ssl_context"] = self.ssl_context()
        if mechanism := self._mechanism():
            arguments["sasl_mechanism"] = mechanism
            arguments["sasl_plain_username"] = self.sasl_username
            arguments["sasl_plain_password"] = _reveal(self.sasl_password)
        return arguments

    def faust_broker(self) -> list[str]:
        """Broker URLs for `faust.App(broker=...)`."""
        return [f"aiokafka://{server.rpartition('://')[2]}" for server in self.bootstrap_servers.split(",")]

    def faust_broker_credentials(self) -> CredentialsT | ssl.SSLContext | None:
        """What `faust.App(broker_credentials=...)` takes; None without security."""
        context = self.ssl_context() if self.uses_tls else None
        mechanism = self._mechanism()
        if mechanism is None:
            return context
        # Faust is heavy and only the detector has it: whoever asks for its credentials has loaded it anyway.
        from faust.auth import SASLCredentials

        return SASLCredentials(username=self.sasl_username, password=_reveal(self.sasl_password), ssl_context=context, mechanism=mechanism)

    def ssl_context(self) -> ssl.SSLContext:
        """A client's TLS context from the ssl_* settings; OSError or ssl.SSLError when a file can't be used."""
        context = ssl.create_default_context(cafile=self.ssl_ca_location)
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certificate_location:
            context.load_cert_chain(self.ssl_certificate_location, self.ssl_key_location, _reveal(self.ssl_key_password))
        return context

    def _mechanism(self) -> str | None:
        return (self.sasl_mechanism or "PLAIN") if self.security_protocol.startswith("SASL") else None


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
