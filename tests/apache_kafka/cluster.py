"""Real Apache Kafka (KRaft) on the loopback interface, for tests: brokers that can be killed and started again.

    with KafkaCluster(brokers=3) as cluster:
        AdminClient({"bootstrap.servers": cluster.bootstrap})
        cluster.kill(2)              # SIGKILL, and it is gone when this returns
        cluster.start(2)             # same port, same data; answers when this returns
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_monitor.streaming.ports import free_ports
from tests.apache_kafka.jars import java, kafka_jars

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
START_TRIES = 3  # another process may take a port between choosing and using it

# One fast compiler and one collector thread: brokers of tests live for seconds and share the cores with the tests.
JVM = ("-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true")
LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")

SETTINGS = {
    "auto.create.topics.enable": "false",
    "background.threads": "2",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.backoff.ms": "200",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.retention.check.interval.ms": "1000",
    "num.io.threads": "4",
    "num.network.threads": "2",
    "offsets.topic.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "transaction.state.log.num.partitions": "4",
}


@dataclass
class Broker:
    """One node, broker and controller at once; `process` is None while it is down."""

    id: int
    port: int
    controller_port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed, over all its starts."""
        return self.folder / "broker.log"

    def log_tail(self) -> str:
        """The last of what it printed, for error messages."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "(printed nothing)"


class KafkaCluster:
    """`brokers` combined KRaft nodes with ids 1, 2, ...; topics are replicated min(3, brokers) times unless asked otherwise."""

    def __init__(self, brokers: int = 1, *, heap_mb: int = 320, settings: Mapping[str, str] | None = None) -> None:
        self.count = brokers
        self.heap_mb = heap_mb
        self.settings = dict(settings or {})
        self.brokers: dict[int, Broker] = {}
        self.folder = Path()
        self._classpath = ""
        self._java = ""

    def __enter__(self) -> Self:
        self._java, self._classpath = java(), f"{kafka_jars()}/*"
        for attempt in range(1, START_TRIES + 1):
            try:
                self._start_all()
            except RuntimeError as error:
                self.stop()
                if attempt == START_TRIES or "BindException" not in str(error):
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        atexit.register(self.stop)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Addresses of all brokers, those that are down too, as clients want them."""
        return ",".join(broker.address for broker in self.brokers.values())

    def start(self, broker_id: int) -> None:
        """Starts a broker that is down, with its port and data as they were, and waits until it answers (TimeoutError after a minute)."""
        broker = self.brokers[broker_id]
        if broker.process is not None and broker.process.poll() is None:
            raise RuntimeError(f"expected broker {broker_id} to be down, it runs as process {broker.process.pid}")
        self._launch(broker)
        self._await_ready(broker, expected=1)

    def kill(self, broker_id: int, sig: signal.Signals = signal.SIGKILL) -> None:
        """Sends `sig` and waits until the broker is gone (SIGKILL follows after 15 s)."""
        broker = self.brokers[broker_id]
        process, broker.process = broker.process, None
        if process is None:
            return
        process.send_signal(sig)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """Kills every broker and removes its data; may be called twice."""
        for broker in self.brokers.values():
            self.kill(broker.id)
        self.brokers = {}
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    def _start_all(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="apache-kafka-"))
        ports = free_ports(2 * self.count)
        for index in range(self.count):
            broker_id = index + 1
            self.brokers[broker_id] = Broker(broker_id, ports[2 * index], ports[2 * index + 1], self.folder / str(broker_id))
        self._format()
        for broker in self.brokers.values():
            self._launch(broker)
        for broker in self.brokers.values():
            self._await_ready(broker, expected=self.count)

    def _properties(self, broker: Broker) -> str:
        copies, in_sync = str(min(3, self.count)), str(min(2, self.count))
        own = {
            "process.roles": "broker,controller",
            "node.id": str(broker.id),
            "controller.quorum.voters": ",".join(f"{other.id}@127.0.0.1:{other.controller_port}" for other in self.brokers.values()),
            "listeners": f"PLAINTEXT://127.0.0.1:{broker.port},CONTROLLER://127.0.0.1:{broker.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": str(broker.folder / "data"),
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
        }
        return "".join(f"{key}={value}\n" for key, value in {**SETTINGS, **own, **self.settings}.items())

    def _format(self) -> None:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        running: list[tuple[Broker, subprocess.Popen[bytes]]] = []
        for broker in self.brokers.values():
            broker.folder.mkdir(parents=True)
            (broker.folder / "server.properties").write_text(self._properties(broker))
            arguments = ("format", "--cluster-id", cluster_id, "--config", str(broker.folder / "server.properties"))
            running.append((broker, self._jvm(broker, "kafka.tools.StorageTool", *arguments)))
        for broker, process in running:
            if process.wait(READY_SECONDS) != 0:
                raise RuntimeError(f"could not format the storage of broker {broker.id}:\n{broker.log_tail()}")

    def _jvm(self, broker: Broker, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [self._java, *JVM, f"-Xmx{self.heap_mb}m", *LOGGING, "-cp", self._classpath, main, *arguments]
        with broker.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=broker.folder)

    def _launch(self, broker: Broker) -> None:
        broker.process = self._jvm(broker, "kafka.Kafka", str(broker.folder / "server.properties"))

    def _await_ready(self, broker: Broker, expected: int) -> None:
        """Waits until `broker` itself answers, and knows itself and at least `expected` brokers in all."""
        client = AdminClient({"bootstrap.servers": broker.address, "log_level": 0, "reconnect.backoff.max.ms": 200})
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if broker.process is None or broker.process.poll() is not None:
                raise RuntimeError(f"broker {broker.id} ended while it started:\n{broker.log_tail()}")
            with contextlib.suppress(KafkaException):
                known = client.list_topics(timeout=1.0).brokers
                if broker.id in known and len(known) >= expected:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"broker {broker.id} did not answer within {READY_SECONDS:.0f} s:\n{broker.log_tail()}")
