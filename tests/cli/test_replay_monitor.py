"""`replay` on the real Monitor: from a file to an explained alert."""

import json
import random
from importlib import resources

import jsonschema
import pytest

from stream_monitor import cli

START = 1_767_225_600_000  # 2026-01-01


@pytest.fixture
def orders(tmp_path, monkeypatch):
    """40 windows of 100 records; in windows 36 and 37, 40 % of `email` is null. The last record is torn off in window 40."""
    monkeypatch.chdir(tmp_path)
    chance = random.Random(1)
    lines = []
    for at in range(4001):
        record = {"at": START + at * 600, "email": f"u{chance.randrange(10**6)}@x.org", "amount": round(chance.lognormvariate(3, 1), 2)}
        if at // 100 in {36, 37} and chance.random() < 0.4:
            record["email"] = None
        lines.append(json.dumps(record))
    (tmp_path / "orders.ndjson").write_text("\n".join(lines))
    return tmp_path


def test_planted_nulls_are_found_explained_and_written(orders, capsys):
    arguments = ["orders.ndjson", "--timestamp-field", "at", "--alerts", "alerts.ndjson", "--verdicts", "verdicts.ndjson"]
    with pytest.raises(SystemExit) as end:
        cli.main(["replay", *arguments, "--fail-on-alert", "--json"])
    summary = json.loads(capsys.readouterr().out)
    assert (end.value.code, summary["windows"], summary["records"]) == (3, 40, 4001)
    assert "not judged: 1 at the end that fill less than nine tenths of a window" in summary["remarks"]
    (incident,) = summary["incidents"]
    assert (incident["opened"], incident["aspect"], incident["findings"][0]["field"]) == ("2026-01-01T00:36:00Z", "completeness", "email")
    assert " % of orders.email is null; " in incident["explanation"]
    events = [json.loads(line) for line in (orders / "alerts.ndjson").read_text().splitlines()]
    schema = json.loads((resources.files("stream_monitor.alerting") / "schemas" / "alert.json").read_text())
    for event in events:
        jsonschema.validate(event["data"], schema)
    assert events[0]["data"]["findings"][0]["samples"]
    assert len((orders / "verdicts.ndjson").read_text().splitlines()) == 40
