"""Run the cases of a target in a process of its own, which may crash, hang or run out of memory.

Case `number` of a target is the same for the same seed on every run, whatever came before it. A case fails if it raises
anything but a `WordspotError` of one printable line, ends the process, takes more than `MAX_SECONDS`, or makes the process
grow by more than `MAX_MIB`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wordspot.errors import WordspotError

MAX_SECONDS = 10.0  # of the processor
HANG_SECONDS = 60.0  # by the clock
MAX_MIB = 512
_MAX_ADDRESS_MIB = 2048  # beyond what the process maps at the start: an allocation that is never touched counts too
_MAX_FILE_BYTES = 256 << 20
_MAX_MESSAGE = 4000
_NOT_IN_LINES = ("Cc", "Cs", "Zl", "Zp")  # controls, surrogates, ends of lines
_REPORT_SECONDS = 0.5
_SETUP_SECONDS = 120.0

Mutate = Callable[[random.Random], bytes]
Check = Callable[[bytes], str]


@dataclass(frozen=True)
class Target:
    """A reader of external data.

    Attributes:
        name: of the target.
        about: what is mutated.
        start: called with an empty folder; returns a function that makes a mutant, and a reader that returns the outcome. The
            reader raises AssertionError if the result is wrong.
    """

    name: str
    about: str
    start: Callable[[Path], tuple[Mutate, Check]]


@dataclass
class Outcome:
    """What came of the cases of a target. failures: (number of the case, what went wrong)."""

    n_cases: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    results: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[int, str]] = field(default_factory=list)


def generator(target: Target, seed: int, number: int) -> random.Random:
    """The generator of one case."""
    return random.Random(f"{target.name} {seed} {number}")


def run_case(check: Check, mutant: bytes) -> tuple[str, bool]:
    """What came of one mutant, and whether it is a failure."""
    try:
        return check(mutant), False
    except WordspotError as error:
        text = str(error)
        if not text or len(text) > _MAX_MESSAGE or any(unicodedata.category(one) in _NOT_IN_LINES for one in text):
            return f"{type(error).__name__} with a message that is not one short printable line: {text[:500]!r}", True
        return f"rejected, {type(error).__name__}", False
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "".join(traceback.format_exception(error)), True


def run_target(
    target: Target, *, seed: int = 0, seconds: float = 0, count: int = 0, first: int = 0, keep: Path | None = None,
    max_failures: int = 20,
) -> Outcome:  # fmt: skip
    """Run cases from number `first` on, for so many seconds or so many of them.

    Args:
        keep: a folder for the mutants that fail.
    """
    outcome, begun, number = Outcome(), time.monotonic(), first
    while len(outcome.failures) < max_failures:
        left = seconds - (time.monotonic() - begun) if seconds else 0
        if (count and number >= first + count) or (seconds and left <= 0):
            break
        number = _run_process(target, seed, number, left, first + count - number if count else 0, keep, outcome)
    outcome.n_cases, outcome.seconds = number - first, time.monotonic() - begun
    return outcome


def _run_process(target: Target, seed: int, first: int, seconds: float, count: int, keep: Path | None, outcome: Outcome) -> int:
    """Run cases in one process until they are done or one ends it; the number of the next case."""
    context = multiprocessing.get_context("fork")
    now = context.Array("d", [-1.0, 0.0], lock=False)  # the case at hand, and when it began
    receiving, sending = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory(prefix="wordspot-fuzz-") as folder:
        process = context.Process(target=_work, args=(target, seed, first, seconds, count, keep, Path(folder), now, sending))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks where there are threads
            process.start()
        sending.close()
        reason = _watch(process, receiving, now, outcome)
        receiving.close()
    number = int(now[0])
    if reason is None:
        return number
    if number < 0:
        raise RuntimeError(f"{target.name}: {reason} before its first case")
    outcome.failures.append((number, reason))
    _keep(target, seed, number, reason, keep)
    return number + 1


def _watch(process: Any, receiving: Any, now: Any, outcome: Outcome) -> str | None:
    """Collect what the process reports; why it ended early, or None."""
    born = time.monotonic()
    while True:
        with contextlib.suppress(EOFError):
            while receiving.poll(0.1 if process.is_alive() else 0):
                results, failures, slowest = receiving.recv()
                outcome.results += results
                outcome.failures += failures
                outcome.slowest = max(outcome.slowest, slowest)
        if not process.is_alive():
            process.join()
            return None if process.exitcode == 0 else f"the process ended with status {process.exitcode}"
        number, begun = now
        if time.monotonic() - (begun if number >= 0 else born) > (HANG_SECONDS if number >= 0 else _SETUP_SECONDS):
            process.kill()
            process.join()
            return f"hangs: no end after {HANG_SECONDS:.0f} s"


def _work(
    target: Target, seed: int, first: int, seconds: float, count: int, keep: Path | None, folder: Path, now: Any, sending: Any
) -> None:  # fmt: skip
    """The process: one case after the other. It ends after one that fails, and another takes over."""
    mutate, check = _start(target, folder)
    run_case(check, mutate(generator(target, seed, -1)))  # what is imported on first use belongs to no case
    _limit()
    base, end, number = _peak_mib(), time.monotonic() + seconds, first
    results, failures, slowest, reported = Counter[str](), [], 0.0, time.monotonic()
    while not failures and not (count and number >= first + count) and not (seconds and time.monotonic() >= end):
        now[1] = time.monotonic()
        now[0] = number
        mutant = mutate(generator(target, seed, number))
        result, is_failure, taken = _bounded_case(check, mutant, base)
        if is_failure:
            failures.append((number, result))
            _keep(target, seed, number, result, keep, mutant)
        results["FAILED" if is_failure else result] += 1
        slowest, number = max(slowest, taken), number + 1
        if time.monotonic() - reported > _REPORT_SECONDS and not failures:
            sending.send((results, failures, slowest))
            results, reported = Counter[str](), time.monotonic()
    now[0] = number
    sending.send((results, failures, slowest))
    sending.close()
    os._exit(0)  # threads of a target would be waited for


def _start(target: Target, folder: Path) -> tuple[Mutate, Check]:
    """Prepare the process and the target."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["WORDSPOT_CACHE"] = str(folder / "cache")
    warnings.simplefilter("error")
    warnings.simplefilter("ignore", DeprecationWarning)  # of other packages
    (folder / "work").mkdir()
    started = target.start(folder / "work")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C write there
    return started


def _bounded_case(check: Check, mutant: bytes, base_mib: float) -> tuple[str, bool, float]:
    """What came of a mutant, whether it is a failure, and the processor's seconds."""
    begun = time.process_time()
    result, is_failure = run_case(check, mutant)
    taken, grown = time.process_time() - begun, _peak_mib() - base_mib
    if not is_failure and taken > MAX_SECONDS:
        result, is_failure = f"slow: {taken:.1f} s", True
    if not is_failure and grown > MAX_MIB:
        result, is_failure = f"memory: the process grew by {grown:.0f} MiB", True
    return result, is_failure, taken


def _limit() -> None:
    """Bound what the process may map and write; without a core file."""
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (mapped + (_MAX_ADDRESS_MIB << 20),) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MAX_FILE_BYTES, _MAX_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20) if sys.platform == "darwin" else peak / 1024


def _keep(target: Target, seed: int, number: int, reason: str, keep: Path | None, mutant: bytes | None = None) -> None:
    """Write a case that failed, and what went wrong."""
    if keep is None:
        return
    keep.mkdir(parents=True, exist_ok=True)
    name = f"{target.name}-{seed}-{number}"
    (keep / f"{name}.txt").write_text(f"{target.name}, seed {seed}, case {number}\n{reason}\n", errors="backslashreplace")
    if mutant is not None:
        (keep / f"{name}.bin").write_bytes(mutant)
