"""The jars of Apache Kafka, fetched once from Maven Central into `.cache/kafka-<version>/`.

    python -m tests.apache_kafka.jars        # what `make kafka` runs
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
POM = HERE / "pom.xml"
CACHE = HERE.parent.parent / ".cache"
FETCH_SECONDS = 600.0


class KafkaUnavailableError(RuntimeError):
    """Apache Kafka can't be run here; says what is missing and how to get it."""


def kafka_version() -> str:
    """The version that the pom names."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    if found is None:
        raise KafkaUnavailableError(f"expected <kafka.version> in {POM}")
    return found[1]


def kafka_jars(version: str | None = None) -> Path:
    """The folder with the broker's jars; fetches them on the first call, under a file lock, so that one process fetches and others wait."""
    target = CACHE / f"kafka-{version or kafka_version()}"
    if not target.is_dir():
        CACHE.mkdir(exist_ok=True)
        with (CACHE / "kafka.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not target.is_dir():
                _fetch(target)
    return target


def java() -> str:
    """The java program; KafkaUnavailableError names what to install."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java") or (shutil.which(f"{home}/bin/java") if home else None)
    if found is None:
        raise KafkaUnavailableError("expected Java 17 or newer to run Apache Kafka, found no `java`: install default-jre-headless")
    return found


def _fetch(target: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailableError(f"expected the jars of Apache Kafka in {target} or Maven to fetch them, found neither: install maven")
    partial = target.with_suffix(f".partial-{os.getpid()}")
    arguments = ["-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
    done = subprocess.run([maven, *arguments], capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    if done.returncode != 0 or not list(partial.glob("kafka_2.13-*.jar")):
        shutil.rmtree(partial, ignore_errors=True)
        raise KafkaUnavailableError(f"Maven could not fetch Apache Kafka ({done.returncode}):\n{(done.stdout + done.stderr)[-2000:]}")
    partial.rename(target)


if __name__ == "__main__":
    print(kafka_jars())
