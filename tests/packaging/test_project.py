from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("build.txt", "dev.txt", "runtime.txt")


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def locked(file: str) -> dict[str, str]:
    """Name -> version of each requirement; fails where one has no hash."""
    found = {}
    for entry in re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", (ROOT / "requirements" / file).read_text(), flags=re.MULTILINE)):
        name, _, version = entry.split()[0].partition("==")
        assert version, f"{file}: expected NAME==VERSION, got {entry.splitlines()[0]!r}"
        assert "--hash=sha256:" in entry, f"{file}: {name} has no hash"
        found[normal(name)] = version
    return found


def test_the_runtime_lock_holds_every_dependency(project: Any) -> None:
    assert {normal(dependency) for dependency in project["dependencies"]} <= set(locked("runtime.txt"))


def test_the_developers_lock_holds_every_extra(project: Any) -> None:
    wanted = {normal(dependency) for extra in project["optional-dependencies"].values() for dependency in extra}
    assert wanted <= set(locked("dev.txt"))


def test_developers_run_the_versions_that_operators_run() -> None:
    runtime, dev = locked("runtime.txt"), locked("dev.txt")
    assert {name: dev.get(name) for name in runtime} == runtime


@pytest.mark.parametrize("file", LOCKS)
def test_a_lock_names_no_index_and_no_path(file: str) -> None:
    assert not re.search(r"https?:|file:/|@ |--index|--extra-index|--find-links|--trusted-host", (ROOT / "requirements" / file).read_text())


def test_the_test_extra_covers_the_optional_parts_of_the_product(project: Any) -> None:
    extras = project["optional-dependencies"]
    assert set(extras["parquet"]) | set(extras["demo"]) <= set(extras["test"])


def test_make_alone_prints_the_list_of_targets() -> None:
    printed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True, timeout=30).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^  (\S+)", printed, flags=re.MULTILINE)
    assert sorted(listed) == sorted(phony[1].split())
    assert listed[0] == "help"


def test_the_changelog_has_a_place_for_what_is_not_released_yet() -> None:
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
