# %% [markdown]
# A first look at stream_monitor, without Kafka: make a stream, break it, and see what the monitor says. Run it as it is
# (`python examples/first_look.py`) or cell by cell in an editor that knows `# %%`. It takes about half a minute.

# %%
import csv
import json
import tempfile
from pathlib import Path

import numpy as np

from stream_monitor import Monitor

MINUTE_MS = 60_000
START_MS = 1_790_928_000_000  # 2026-10-02 08:00 UTC

# %% [markdown]
# A stream of payments: two hours and ten minutes, 200 payments a minute. From minute 120 on, for two minutes, a quarter of them lose
# their currency: as an empty cell, as a broken export would write it.


# %%
def write_payments(path: Path, minutes: int = 130, a_minute: int = 200, broken: range = range(120, 122)) -> None:
    """A CSV file of payments in order of time."""
    chance = np.random.default_rng(7)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", "payment", "amount", "fee", "currency"])
        for minute in range(minutes):
            for place in range(a_minute):
                time_ms = START_MS + minute * MINUTE_MS + place * MINUTE_MS // a_minute
                amount = round(float(chance.lognormal(3.5, 0.8)), 2)
                currency = str(chance.choice(["EUR", "USD", "GBP"], p=[0.7, 0.2, 0.1]))
                lost = minute in broken and chance.random() < 0.25
                payment = chance.bytes(6).hex()
                rows.writerow([time_ms, payment, amount, round(amount * 0.014 + 0.25, 2), "" if lost else currency])


# %% [markdown]
# The monitor takes what Kafka would give it: values as bytes, and times in milliseconds. Nobody tells it what a payment is.


# %%
def read_payments(path: Path) -> tuple[list[bytes], list[int]]:
    """Values and times, ready for `Monitor.observe`."""
    values, times = [], []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            times.append(int(row.pop("time")))
            record = {**row, "amount": float(row["amount"]), "fee": float(row["fee"])}
            values.append(json.dumps(record).encode())
    return values, times


# %%
def main() -> None:
    """Watches the payments, a thousand at a time."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "payments.csv"
        write_payments(path)
        values, times = read_payments(path)

    monitor = Monitor("payments", window_seconds=60, sensitivity={"max_alerts": "1/day"})
    verdicts = []
    for start in range(0, len(values), 1000):
        verdicts += monitor.observe(values[start : start + 1000], times[start : start + 1000])
    verdicts += monitor.flush()

    alerting = [verdict for verdict in verdicts if verdict.alerts]
    print(f"{len(values)} payments, {len(verdicts)} windows, {len(alerting)} of them alert")
    for verdict in verdicts:
        for change in verdict.changes:
            print(f"minute {(verdict.window_start_ms - START_MS) // MINUTE_MS}: {change.status} ({change.severity}): {change.explanation}")
    for verdict in alerting:
        first = verdict.alerts[0]
        print(f"once in {verdict.score:.3g} days of healthy data: {first.aspect} of {first.field}, by {first.detector}")


# %%
if __name__ == "__main__":
    main()
