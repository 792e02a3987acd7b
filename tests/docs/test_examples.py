"""The examples run as they are, and say what their text promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from stream_monitor.config.sensitivity import parse_sensitivity

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(name: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)], capture_output=True, text=True, check=False, timeout=110, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_first_look_finds_the_lost_currency_in_its_first_window_and_nothing_else() -> None:
    lines = run("first_look.py").splitlines()
    opened = [line for line in lines if "opened" in line]
    assert len(opened) == 1
    assert opened[0].startswith("minute 120: opened")
    assert "payments.currency is empty" in opened[0]


def test_the_sensitivity_document_says_what_its_example_tells() -> None:
    said = run("turn_sensitivity.py")
    assert "alerts wanted on healthy data: 2 a day" in said
    assert "weight of volume in the record: 0" in said
    assert "refused: aspects.completness: unknown key: did you mean 'completeness'?" in said


def test_the_sensitivity_document_is_valid() -> None:
    assert parse_sensitivity((EXAMPLES / "sensitivity.json").read_bytes()).max_alerts == "2/day"
