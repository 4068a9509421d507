"""Progress: a bar where somebody looks, silence elsewhere."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import re
import sys
import threading

import pytest

from valens import progress


class Terminal:
    """A pseudo-terminal that takes the place of standard error within `with`, and what was `shown` on it by then."""

    shown = ""

    def __enter__(self) -> Terminal:
        self._master, slave = pty.openpty()
        self._read = bytearray()
        self._reader = threading.Thread(target=self._listen)
        self._reader.start()
        self._before, sys.stderr = sys.stderr, os.fdopen(slave, "w", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr.close()
        sys.stderr = self._before
        self._reader.join()
        os.close(self._master)
        self.shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._read.decode())  # less colours and cursor

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while part := os.read(self._master, 4096):
                self._read += part


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Terminal()


def test_brackets_in_a_name_are_shown(terminal: Terminal) -> None:
    with terminal, progress.progress("Reading [/tiny]", texts=1, tokens=5) as advance:
        advance(1, 5)
    assert "Reading [/tiny]" in terminal.shown


def test_a_terminal_sees_texts_speed_and_time_left(terminal: Terminal) -> None:
    with terminal, progress.progress("Reading tiny", texts=1_200, tokens=50_000) as advance:
        advance(300, 10_000)
        advance(900, 40_000)
    assert "Reading tiny" in terminal.shown
    assert "1,200/1,200 texts" in terminal.shown
    assert re.search(r"[\d,]+ tokens/s", terminal.shown)
    assert re.search(r"\d+:\d\d", terminal.shown)


def test_a_terminal_sees_the_steps(terminal: Terminal) -> None:
    with terminal, progress.steps("Scoring VA", 5) as step:
        for _ in range(5):
            step()
    assert "Scoring VA" in terminal.shown
    assert "5/5" in terminal.shown


def test_nothing_to_do_shows_nothing(terminal: Terminal) -> None:
    with terminal, progress.progress("Reading", texts=0, tokens=0), progress.steps("Scoring", 0):
        pass
    assert terminal.shown == ""


def test_a_file_or_a_pipe_sees_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress.progress("Reading", texts=3, tokens=30) as advance, progress.steps("Scoring", 2) as step:
        advance(3, 30)
        step()
    assert sys.stderr.getvalue() == ""
    assert capsys.readouterr().out == ""


def test_what_stops_the_work_passes_through_the_bar(terminal: Terminal) -> None:
    def stopped() -> None:
        with terminal, progress.progress("Reading", texts=2, tokens=20) as advance:
            advance(1, 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert "1/2 texts" in terminal.shown


def test_a_notebook_without_widgets_sees_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where rich would say that a bar cannot be shown, instead of the bar."""
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    with progress.progress("Reading", texts=3, tokens=30) as advance:
        advance(3, 30)
    assert sys.stderr.getvalue() + capsys.readouterr().out == ""
