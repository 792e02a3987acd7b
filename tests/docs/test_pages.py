"""What the pages say holds: code runs, commands and options exist, documents are valid, links lead somewhere, tables are fresh."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import jsonschema
import pytest

from stream_monitor.cli import COMMANDS, load_command
from stream_monitor.config.loading import load_settings
from stream_monitor.config.sensitivity import parse_sensitivity
from stream_monitor.config.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """(page, text) of the fenced blocks of a language."""
    for page in PAGES:
        for text in re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            yield page.relative_to(ROOT).as_posix(), text


def commands() -> Iterator[tuple[str, list[str]]]:
    """(page, words) of every stream-monitor command in a shell block, comments and redirections left out."""
    for page, text in blocks("sh"):
        for line in text.splitlines():
            for part in re.split(r"\s\|\s", line.partition("  #")[0]):
                words = shlex.split(part, comments=True)
                if words[:1] == ["stream-monitor"]:
                    yield page, words[1:]


@pytest.mark.parametrize(("page", "words"), [pytest.param(*found, id=" ".join(found[1])) for found in commands()])
def test_commands_in_the_pages_can_be_read_by_the_command_line(page: str, words: list[str]) -> None:
    name, *arguments = words
    assert name in COMMANDS, page
    load_command(name).make_context(name, arguments)


def test_code_in_the_readme_runs_and_says_what_it_finds() -> None:
    (code,) = [text for page, text in blocks("python") if page == "README.md"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=110, env=environment)
    assert done.returncode == 0, done.stderr
    assert "completeness email control_chart" in done.stdout


def test_sensitivity_documents_in_the_pages_are_valid() -> None:
    found = [json.loads(text) for page, text in blocks("json") if "sensitivity" in page]
    assert found
    for document in found:
        parse_sensitivity(document)


def test_the_alert_in_the_readme_is_an_alert() -> None:
    schema = json.loads((resources.files("stream_monitor.alerting") / "schemas" / "alert.json").read_text())
    (alert,) = [json.loads(text) for page, text in blocks("json") if page == "README.md"]
    jsonschema.Draft202012Validator(schema).validate(alert)


def test_settings_files_in_the_pages_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STREAM_MONITOR_")]:
        monkeypatch.delenv(name)
    found = list(blocks("toml"))
    assert found
    for _, text in found:
        file = tmp_path / "stream-monitor.toml"
        file.write_text(text)
        assert load_settings(file=file).topics == ("orders", "^payments[.].*")


def anchors_left_out(link: str) -> str:
    return link.partition("#")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
        if not link.startswith(("http://", "https://", "#")):
            assert (page.parent / anchors_left_out(link)).exists(), link


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(re.findall(r"\]\((2\d{3}-[^)]+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert listed == {path.name for path in folder.glob("2*.md")}


def test_the_table_of_settings_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import settings_table as s, sys; sys.exit(s.page() != s.PAGE.read_text('utf-8'))"],
        cwd=ROOT / "docs", check=False, env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'docs'}"},
    )  # fmt: skip
    assert done.returncode == 0, "run: python docs/settings_table.py"
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    assert all(f"`{name}`" in text for name in Settings.model_fields)


def test_the_picture_is_small_and_fetches_nothing() -> None:
    picture = ROOT / "docs" / "assets" / "demo.svg"
    assert picture.stat().st_size < 200_000
    text = picture.read_text("utf-8")
    assert not re.search(r"url\(\s*[\"']?http|href=[\"']http|<script|<image", text)
    shown = "".join(ET.fromstring(text).itertext()).replace("\xa0", " ")
    assert "planted 15" in shown
    assert "ALERT" in shown


def test_the_alert_in_the_readme_has_all_that_is_promised() -> None:
    (alert,) = [json.loads(text) for page, text in blocks("json") if page == "README.md"]
    promised = "incident topic status severity window aspect return_period_days max_alerts findings explanation"
    assert set(promised.split()) <= set(alert)
