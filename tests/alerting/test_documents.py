import json
import math
from importlib import resources

import jsonschema
import pytest

from stream_monitor.alerting.cloudevents import cloud_event_json
from stream_monitor.alerting.incidents import IncidentBook
from stream_monitor.alerting.verdicts import verdict_json
from stream_monitor.detection.verdict import Aspect
from tests.alerting.kit import Wish, finding, judgement


def schema(name):
    document = json.loads((resources.files("stream_monitor.alerting") / "schemas" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())


def changes():
    book, wish = IncidentBook("orders"), Wish("2/day", 2.0)
    odd = finding(Aspect.INTEGRITY, None, metric="trees_mean", observed=math.nan, expected=(-math.inf, 3.0), days=math.inf, share=0.5,
                  partitions=(3,), samples=())
    windows = [(finding(), odd), (odd, finding()), (), (), ()]
    return [change for at, found in enumerate(windows) for change in book.update(judgement(at, *found), wish)]


def test_the_event_is_as_the_contract_says():
    event = json.loads(cloud_event_json(changes()[0]))
    data = event.pop("data")
    assert event == {
        "specversion": "1.0", "id": changes()[0].id, "source": "/stream-monitor/stream-monitor", "type": "stream-monitor.incident.opened",
        "subject": "orders", "time": "2026-11-22T14:05:00Z", "datacontenttype": "application/json",
    }
    assert data["window"] == {"start": "2026-11-22T14:04:00Z", "end": "2026-11-22T14:05:00Z", "records": 500}
    assert data["findings"][0] == {
        "aspect": "completeness", "field": "email", "detector": "control_chart", "metric": "null", "observed": 0.21,
        "expected": [0.001, 0.004], "return_period_days": 45.2, "samples": [{"partition": 3, "offset": 991234}],
    }
    assert data["findings"][1]["partitions"] == [3]
    assert data["findings"][1]["return_period_days"] == 1e12
    assert (data["aspect"], data["severity"], data["max_alerts"], data["return_period_days"]) == ("completeness", "critical", "2/day", 1e12)


def test_all_events_of_an_incident_fit_the_schema():
    told = changes()
    assert [change.status.value for change in told] == ["opened", "updated", "resolved"]
    for change in told:
        schema("alert.json").validate(json.loads(cloud_event_json(change))["data"])


def test_verdicts_fit_the_schema():
    odd = finding(Aspect.INTEGRITY, None, observed=math.inf, expected=(math.nan, 1.0), days=math.inf)
    document = json.loads(verdict_json(judgement(0, finding(), odd), 17))
    schema("verdict.json").validate(document)
    assert (document["config_offset"], document["return_period_days"], document["alerting"]) == (17, 1e12, True)
    assert document["metrics"][1]["value"] is None
    schema("verdict.json").validate(json.loads(verdict_json(judgement(0, state="cold"))))


@pytest.mark.parametrize("broken", [{"severity": "bad"}, {"findings": []}, {"aspect": "speed"}])
def test_the_schema_refuses_what_the_contract_does_not_know(broken):
    data = json.loads(cloud_event_json(changes()[0]))["data"]
    with pytest.raises(jsonschema.ValidationError):
        schema("alert.json").validate({**data, **broken})
