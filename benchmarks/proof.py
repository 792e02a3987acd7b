"""The whole line on Apache Kafka with three brokers: two million records, planted corruptions, killed processes, live tuning.

    python -m benchmarks.proof --adult adult.csv.gz [--records 2000000]          # from the root of the repository; or make proof ADULT=…

Two topics of census rows (the UCI Adult data as CSV; rows made up alike without `--adult`) and two of synthetic orders, as JSON, four
partitions each, event times set. Eight corruptions are planted in each, while profilers and detectors are killed (-9) and started
again. Then everything is compared: what profiles count with what was produced, what was alerted with what was planted, and every verdict
and alert with those of one undisturbed process fed with the same profiles. Exit code 0 if all of it holds.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stream_monitor.config.settings import Settings
from stream_monitor.evaluation import corruptions
from stream_monitor.evaluation.corruptions import Corruption
from stream_monitor.evaluation.orders import rhythm
from stream_monitor.events import configure_logging
from tests.apache_kafka.cluster import KafkaCluster
from tests.end_to_end import checks
from tests.end_to_end.plans import (
    CENSUS_PLANTED,
    FIRST,
    ORDERS_PLANTED,
    WINDOW_MS,
    RowStream,
    TopicPlan,
    census_rows,
    orders_stream,
    plan,
)
from tests.end_to_end.roles import Roles
from tests.end_to_end.run import Run
from tests.end_to_end.tuning import Tuning
from tests.end_to_end.undisturbed import Undisturbed

HISTORY, GAP = 60, 10
WINDOWS = HISTORY + len(ORDERS_PLANTED) * (GAP + 1)
LEAD = 12
KILLS = {
    25: ["profiler-1"], 45: ["detector-1"], 70: ["profiler-2"], 90: ["detector-2"], 110: ["profiler-1", "detector-1"],
    130: ["profiler-1", "profiler-2"],
}  # fmt: skip
"""Window -> who is killed when it is produced, and started again 3 s later."""
LOST, LOST_OF_MANY, MANY = 0.7, 0.3, 2000
"""Share of the records of a window that are lost: in small windows, in windows of so many records. The other corruptions hit the shares
of `plans`, 20 % or all."""
# As brokers have it by default: a transaction of a process that died may hang for up to 10 s longer than its time-out.
BROKER = {"transaction.abort.timed.out.transaction.cleanup.interval.ms": "10000"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--adult", type=Path, help="the UCI Adult data, CSV with a header, perhaps gzipped")
    options.add_argument("--records", type=int, default=2_000_000, help="in all, about (default: %(default)s)")
    chosen = options.parse_args()
    configure_logging("WARNING", "auto")
    rows = read_rows(chosen.adult) if chosen.adult else census_rows(30_000, 1)
    plans = four_topics(rows, chosen.records / 4)
    where = "UCI Adult" if chosen.adult else "made-up census rows"
    print(f"{len(plans)} topics of 4 partitions, {WINDOWS} windows each, about {chosen.records:,} records: orders and {where}; "
          f"{os.cpu_count()} cores", flush=True)  # fmt: skip
    began = time.monotonic()
    with KafkaCluster(brokers=3, settings=BROKER) as kafka, tempfile.TemporaryDirectory() as folder:
        say(began, "three brokers of Apache Kafka are up")
        settings = Settings(bootstrap_servers=kafka.bootstrap, prefix="proof")
        arguments = ["--flush", "1s", "--set", "start_from=earliest", "--set", "cold_start=none"]
        with Roles(kafka.bootstrap, "proof", [one.topic for one in plans], Path(folder), options=arguments) as roles:
            proof = Proof(Run(settings, plans, roles, lead=LEAD), began)
            proof.run_all()
    sys.exit(proof.conclude())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a CSV file, numbers as such, empty cells and question marks as null."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        return [{name: cell(text) for name, text in row.items()} for row in csv.DictReader(file)]


def cell(text: str) -> int | str | None:
    text = text.strip()
    return int(text) if text.lstrip("-").isdigit() else text if text not in ("", "?") else None


def four_topics(rows: Sequence[dict[str, Any]], records: float) -> list[TopicPlan]:
    """Plans of about `records` records each."""
    busy = sum(rhythm((FIRST + window) * WINDOW_MS) for window in range(WINDOWS)) / WINDOWS
    mean = records / WINDOWS
    return [
        plan("orders-north", orders_stream(1, mean / busy), losing(ORDERS_PLANTED, mean), history=HISTORY, gap=GAP),
        plan("orders-south", orders_stream(2, mean / busy), losing(ORDERS_PLANTED[::-1], mean), history=HISTORY, gap=GAP),
        plan("adult-east", RowStream(rows, 3, mean), losing(CENSUS_PLANTED, mean), history=HISTORY, gap=GAP),
        plan("adult-west", RowStream(rows, 4, mean), losing(CENSUS_PLANTED[::-1], mean), history=HISTORY, gap=GAP),
    ]


def losing(planted: Sequence[tuple[Corruption, float]], mean: float) -> list[tuple[Corruption, float]]:
    """With a loss that windows of `mean` records show above their noise."""
    share = LOST_OF_MANY if mean >= MANY else LOST
    return [(one, share if one.name == corruptions.dropped().name else fraction) for one, fraction in planted]


def say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)


class Proof:
    """One run and what it shows."""

    def __init__(self, run: Run, began: float) -> None:
        self.run, self.began = run, began
        self.tuning = Tuning(run, "adult-west")
        self.failed: list[str] = []
        self.left: dict[str, tuple[int, float]] = {}
        self.undisturbed: Undisturbed

    def run_all(self) -> None:
        """Everything that needs the brokers."""
        run = self.run
        run.start("profiler-1", "profiler-2", "detector-1", "detector-2")
        self.say("two profilers and two detectors have joined")
        started = time.monotonic()
        run.produce(FIRST + WINDOWS, meanwhile={FIRST + at: partial(self._kill, names) for at, names in KILLS.items()})
        self.say("produced")
        run.settle()
        seconds = time.monotonic() - started
        self.say(f"all judged: {run.records:,} records in {seconds:.0f} s, {run.records / seconds:,.0f} a second, generating them included")
        self.tuning.all()
        self.say("tuned four times, 23 more windows in each topic")
        stopped = time.monotonic()
        run.hear(lambda: run.judged >= run.next)
        self.say(f"the last window of each topic has closed, {time.monotonic() - stopped:.0f} s after its last record")
        self.left = run.roles.leave()
        run.journal.hear(2.0)
        began = time.monotonic()
        self.undisturbed = self.tuning.undisturbed()
        self.say(f"the undisturbed process has judged the same profiles, in {time.monotonic() - began:.0f} s")
        run.close()

    def conclude(self) -> int:
        """Prints the tables; 0 if everything holds."""
        self._print_counts()
        self._print_catches()
        self._print_checks()
        print(f"\n{'FAILED: ' + '; '.join(self.failed) if self.failed else 'everything holds'}")
        return 1 if self.failed else 0

    def say(self, text: str) -> None:
        say(self.began, text)

    def _kill(self, names: list[str]) -> None:
        for name in names:
            self.run.restart(name, after=3.0)
        self.say(f"window {self.run.next - FIRST}: kill -9 of {' and '.join(names)}")

    def _print_counts(self) -> None:
        print(f"\n{'topic':14} {'produced':>12} {'in profiles':>12} {'windows':>8}")
        for one in self.run.plans:
            produced = sum(count for (topic, _), count in self.run.produced.items() if topic == one.topic)
            profiled = sum(count for (topic, _), count in self.undisturbed.records.items() if topic == one.topic)
            windows = sum(topic == one.topic for topic, _ in self.run.journal.verdicts)
            print(f"{one.topic:14} {produced:12,} {profiled:12,} {windows:8,}")
        total = sum(self.undisturbed.records.values())
        print(f"{'in all':14} {self.run.records:12,} {total:12,} {len(self.run.journal.verdicts):8,}")

    def _print_catches(self) -> None:
        found = checks.catches(self.run.plans, self.run.journal)
        width = max(len(one.planting.text) for one in found)
        print(f"\n{'topic':14} {'planted':{width}}  caught  {'named first':36} after")
        for one in found:
            lead = one.alert["findings"][0] if one.alert else None
            cause = f"{lead['aspect']} of {lead['field'] or 'the records'}" if lead else "-"
            print(f"{one.topic:14} {one.planting.text:{width}}  {'yes' if one.caught else 'NO':6}  {cause:36} {self._after(one)}")
        false = checks.false_incidents(self.run.plans, self.run.journal)
        print(f"{sum(one.caught for one in found)} of {len(found)} caught when their window closed; {len(false)} false incidents")
        for alert in false:
            print(f"  false: {alert['topic']} {alert['window']['start']}: {alert['explanation']}")
        self._expect("every planted corruption is alerted when its window closes", all(one.caught for one in found))
        self._expect("at most 2 false incidents", len(false) <= 2)

    def _after(self, one: checks.Catch) -> str:
        """Seconds from the last record of the window to the alert in the hands of a consumer."""
        journal = self.run.journal
        heard = [journal.heard_at[event] for event, alert in journal.alerts.items() if alert["data"] is one.alert]
        return f"{heard[0] - self.run.produced_at[one.planting.first]:.1f} s" if heard else ""

    def _print_checks(self) -> None:
        run, other, journal, tuning = self.run, self.undisturbed, self.run.journal, self.tuning
        print(f"\n{journal.repeated} verdicts and alerts came twice after a kill")
        claims: dict[str, Callable[[], object]] = {
            "every window's profiles count exactly what was produced": lambda: not checks.miscounted(run, other),
            "every offset of every partition is in one delta": lambda: not checks.broken_ranges(other) and not other.refused,
            "every window has a verdict with exactly its records": lambda: not checks.misjudged(run),
            "what came twice was the same": lambda: not journal.contradictions,
            "incident ids are those of the undisturbed run": lambda: (
                checks.incident_ids(journal.alerts) == checks.incident_ids(other.alerts)
            ),
            "alerts are those of the undisturbed run": lambda: journal.alerts == other.alerts,
            "verdicts are those of the undisturbed run": lambda: not checks.different_verdicts(journal, other),
            "0.1/day is in force from the next window on": lambda: tuning.obeyed("rare", 10.0),
            "an invalid document is rejected with the reason": lambda: (
                [(said["offset"], "completness" in said["message"]) for said in journal.said("config.rejected")]
                == [(tuning.offsets["invalid"], True)]
            ),
            "and changes nothing": lambda: tuning.obeyed("invalid", 10.0),
            "50/day is in force from the next window on": lambda: tuning.obeyed("often", 100 * WINDOW_MS / 86_400_000),
            "an aspect of weight 0 is in no verdict": lambda: all("conformity" not in one["aspects"] for one in tuning.verdicts("blind")),
            "SIGTERM: exit code 0 within 10 s": lambda: all(code == 0 and seconds < 10 for code, seconds in self.left.values()),
        }
        for claim, holds in claims.items():
            self._expect(claim, holds())

    def _expect(self, claim: str, holds: object) -> None:
        print(f"{'ok  ' if holds else 'NOT '} {claim}")
        if not holds:
            self.failed.append(claim)


if __name__ == "__main__":
    main()
