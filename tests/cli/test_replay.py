import json
import sys

import pytest

from stream_monitor import cli
from stream_monitor.cli import replay as command
from tests.evaluation.monitor_double import MonitorDouble


@pytest.fixture(autouse=True)
def double(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "make_monitor", lambda topic, settings, document: MonitorDouble(topic, settings.window_seconds, document))


@pytest.fixture
def records(tmp_path):
    """10 windows of 500 records; in windows 5 and 6, `v` is null."""
    lines = [json.dumps({"id": at, "v": None if 5 <= at // 500 <= 6 else at}) for at in range(5000)]
    path = tmp_path / "orders.ndjson"
    path.write_text("\n".join(lines))
    return str(path)


def run(capsys, *arguments):
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as end:
        cli.main(["replay", *arguments])
    out, err = capsys.readouterr()
    return end.value.code, out, err


def test_a_replay_ends_with_a_summary(capsys, records):
    code, out, err = run(capsys, records, "--topic", "shop")
    assert code == 0
    text = " ".join(out.split())
    assert "topic shop records 5,000 time 2000-01-01 00:00 to 2000-01-01 00:10 windows 10 of 1 min (2 cold, 8 ready) state ready" in text
    assert "alerts 1 seen; 0.0056 allowed on healthy data (1/day, 0.0056 days judged)" in text
    assert "2000-01-01 00:05 critical 2 100 % of shop.v is null; up to 10 % is usual." in text
    assert "Most surprising windows (* alerted)" in text
    assert "2000-01-01 00:05 * 500 about once in 90 days completeness, volume" in text
    assert err == "note: no times: 500 records a window, in file order; --timestamp-field names the\nfield that has them\n"


def test_fail_on_alert_exits_with_3_only_when_something_alerted(capsys, records, tmp_path):
    assert run(capsys, records, "--fail-on-alert")[0] == 3
    (tmp_path / "calm.ndjson").write_text('{"v":1}\n' * 2000)
    code, out, _ = run(capsys, str(tmp_path / "calm.ndjson"), "--fail-on-alert")
    assert (code, "No incidents." in out) == (0, True)


def test_alerts_and_verdicts_are_written_one_a_line(capsys, records, tmp_path):
    run(capsys, records, "--alerts", "alerts.ndjson", "--verdicts", "verdicts.ndjson")
    events = [json.loads(line) for line in (tmp_path / "alerts.ndjson").read_text().splitlines()]
    assert [event["data"]["status"] for event in events] == ["opened", "resolved"]
    assert {event["subject"] for event in events} == {"orders"}
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.ndjson").read_text().splitlines()]
    assert [verdict["alerting"] for verdict in verdicts] == [5 <= at <= 6 for at in range(10)]


def test_standard_output_holds_documents_only_when_they_go_there(capsys, records):
    _, out, err = run(capsys, records, "--alerts", "-")
    assert [json.loads(line)["type"].rpartition(".")[2] for line in out.splitlines()] == ["opened", "resolved"]
    assert "Incidents" in err


def test_the_summary_is_also_json(capsys, records):
    code, out, _ = run(capsys, records, "--json")
    summary = json.loads(out)
    assert (code, summary["windows"], summary["alerts_seen"], summary["states"]) == (0, 10, 1, {"cold": 2, "ready": 8})
    assert summary["alerts_allowed"] == pytest.approx(8 / 1440)
    (incident,) = summary["incidents"]
    assert (incident["status"], incident["opened"], incident["windows"]) == ("resolved", "2000-01-01T00:05:00Z", 2)


def test_day_long_windows_of_half_hourly_csv(capsys, tmp_path):
    lines = ["timestamp,v"] + [f"2014-07-{day:02} {half // 2:02}:{half % 2 * 30:02}:00,{day}" for day in range(1, 11) for half in range(48)]
    (tmp_path / "taxi.csv").write_text("\n".join(lines))
    _, out, err = run(capsys, "taxi.csv", "--timestamp-field", "timestamp", "--window", "1d", "--json")
    summary = json.loads(out)
    assert (summary["topic"], summary["windows"], summary["records"]) == ("taxi", 10, 480)
    assert (summary["start"], summary["end"], round(summary["alerts_allowed"], 9)) == ("2014-07-01T00:00:00Z", "2014-07-11T00:00:00Z", 0.56)
    assert err == ""


def test_a_sensitivity_document_is_in_force(capsys, records, tmp_path):
    (tmp_path / "s.json").write_text('{"max_alerts": "2/hour", "mute": {"until": "2030-01-01T00:00:00Z", "reason": "test"}}')
    _, out, _ = run(capsys, records, "--sensitivity", "s.json", "--json")
    summary = json.loads(out)
    assert (summary["max_alerts"], summary["alerts_seen"], summary["alerting_windows"]) == ("2/hour", 0, 2)


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["no.ndjson"], 1, "no.ndjson: expected a readable file, got: No such file or directory"),
    (["orders.ndjson", "--window", "soon"], 2, "--window: expected a duration above zero"),
    (["orders.ndjson", "--sensitivity", "no.json"], 1, "no.json: expected a sensitivity document"),
    (["orders.ndjson", "--alerts", "no/such/dir"], 1, "no/such/dir: expected a file that can be written"),
    (["orders.ndjson", "--timestamp-field", "at"], 1, "--timestamp-field at: expected epoch seconds"),
    ([], 2, "Missing argument"),
])
def test_errors_are_one_line_and_say_what_to_do(capsys, records, arguments, code, message):
    assert run(capsys, *arguments)[0] == code
    with pytest.raises(SystemExit):
        cli.main(["replay", *arguments])
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_wrong_sensitivity_document_names_the_key(capsys, records, tmp_path):
    (tmp_path / "s.json").write_text('{"max_alarms": "2/day"}')
    code, _, err = run(capsys, records, "--sensitivity", "s.json")
    assert code == 1
    assert "max_alarms" in err


def test_names_in_a_summary_can_not_drive_the_terminal(capsys, records):
    _, out, err = run(capsys, records, "--topic", "a\x1b[2J[bold]")
    assert "\x1b" not in out + err
    assert "[bold]" in out


def test_progress_is_shown_on_a_terminal_only(capsys, records, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, out, err = run(capsys, records)
    assert "5,000 records" in err
    assert "5,000 records" not in out
