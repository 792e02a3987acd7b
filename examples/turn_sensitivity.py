# %% [markdown]
# What a sensitivity document means: `examples/sensitivity.json`, read and asked. Nothing is watched here; the same document goes to the
# config topic (`stream-monitor tune payments --file examples/sensitivity.json`) or to a replay (`--sensitivity`).

# %%
from datetime import UTC, datetime
from pathlib import Path

from stream_monitor.config.sensitivity import Sensitivity, parse_sensitivity
from stream_monitor.errors import SensitivityError

DOCUMENT = Path(__file__).parent / "sensitivity.json"


# %%
def main() -> None:
    """Prints what is in force under the document, and how a wrong one is refused."""
    sensitivity = Sensitivity.of(None, parse_sensitivity(DOCUMENT.read_bytes()))
    print(f"alerts wanted on healthy data: {sensitivity.alerts_per_day:g} a day")
    for aspect, field in (("completeness", "currency"), ("completeness", "amount"), ("integrity", "amount"), ("volume", None),
                          ("integrity", "debug.trace")):  # fmt: skip
        print(f"weight of {aspect} in {field or 'the record'}: {sensitivity.weight(aspect, field):g}")
    christmas = int(datetime(2026, 12, 25, 12, tzinfo=UTC).timestamp() * 1000)
    print(f"at noon on 25 December: {sensitivity.muted(christmas)}")
    for wrong in ('{"max_alerts": "often"}', '{"aspects": {"completness": 3}}'):
        try:
            parse_sensitivity(wrong)
        except SensitivityError as error:
            print(f"refused: {error}")


# %%
if __name__ == "__main__":
    main()
