"""A detector worker with `LedgerMonitor`, as a process of its own: python ledger_worker.py SETTINGS-AS-JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from stream_monitor.config.settings import Settings
from stream_monitor.events import configure_logging
from stream_monitor.streaming.detector_worker import run_detector
from tests.streaming.ledger_monitor import ledger_factory

if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    configure_logging("INFO")
    sys.exit(run_detector(Settings(**options), factory=ledger_factory()))
