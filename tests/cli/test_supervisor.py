"""Child processes: started again when they die, ended when asked, gone when the parent is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_monitor.cli import supervisor
from stream_monitor.cli.run import roles
from stream_monitor.cli.supervisor import Role, Supervisor
from stream_monitor.config.settings import Settings

REPOSITORY = Path(__file__).parents[2]


def note(folder: str, word: str) -> None:
    with (Path(folder) / "notes").open("a") as notes:
        notes.write(f"{word} {os.getpid()}\n")


def live(folder: str) -> None:
    """Lives until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    note(folder, "started")
    while not stop.wait(0.05):
        pass
    note(folder, "stopped")


def refuse(folder: str) -> None:
    """Ignores SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(folder, "started")
    while True:
        time.sleep(0.05)


def notes(folder: Path) -> list[tuple[str, int]]:
    path = folder / "notes"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(line.split()[0], int(line.split()[1])) for line in lines if len(line.split()) == 2]


def until(condition: Callable[[], bool], timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_dies_is_started_again_and_all_end_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_DELAY_S", 0.1)
    stop = threading.Event()
    supervising = Supervisor([Role("child", live, (str(tmp_path),))])
    thread = threading.Thread(target=supervising.run, args=(stop,))
    thread.start()
    until(lambda: len(notes(tmp_path)) == 1)
    os.kill(notes(tmp_path)[0][1], signal.SIGKILL)
    until(lambda: len(notes(tmp_path)) == 2)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert [word for word, _ in notes(tmp_path)] == ["started", "started", "stopped"]
    assert supervising.pids == {}


def test_a_child_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_S", 0.5)
    stop = threading.Event()
    thread = threading.Thread(target=Supervisor([Role("child", refuse, (str(tmp_path),))]).run, args=(stop,))
    thread.start()
    until(lambda: len(notes(tmp_path)) == 1)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert not alive(notes(tmp_path)[0][1])


def test_children_of_a_parent_that_was_killed_end(tmp_path: Path) -> None:
    code = (
        "import threading; from tests.cli.test_supervisor import live; from stream_monitor.cli.supervisor import Role, Supervisor\n"
        f"if __name__ == '__main__': Supervisor([Role('child', live, ({str(tmp_path)!r},))]).run(threading.Event())"
    )
    script = tmp_path / "parent.py"
    script.write_text(code)
    parent = subprocess.Popen([sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    try:
        until(lambda: len(notes(tmp_path)) == 1)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: [word for word, _ in notes(tmp_path)] == ["started", "stopped"])


def test_every_profiler_has_a_stable_name_of_its_own() -> None:
    wanted = roles(Settings(topics=("orders",), worker="host"), 2)
    assert [role.name for role in wanted] == ["profiler host-1", "profiler host-2", "detector"]
    assert [role.arguments[0].worker for role in wanted] == ["host-1", "host-2", "host"]
