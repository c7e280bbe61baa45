"""Ctrl-C while processes are being started."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from wordspot.interrupts import held_back

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows holds nothing back")

_WAITS = "print('begun', flush=True); input()"


def test_a_process_started_meanwhile_gets_no_interrupt() -> None:
    with held_back():
        deaf = _start()
    hears = _start()
    for process in (deaf, hears):
        process.send_signal(signal.SIGINT)
    hears.communicate(timeout=60)
    assert hears.returncode != 0
    assert deaf.communicate("\n", timeout=60) == ("", "")
    assert deaf.returncode == 0


def test_an_interrupt_of_this_thread_waits_and_is_not_lost() -> None:
    done = list[str]()

    def start() -> None:
        with held_back():
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            done.append("started")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert done == ["started"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_they_may_be_nested() -> None:
    with held_back():
        with held_back():
            pass
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def _start() -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", _WAITS], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process
