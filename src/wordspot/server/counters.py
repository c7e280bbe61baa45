"""Counters of a server, in Prometheus's text format."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wordspot import __version__

#: (name after ``wordspot_``, type, help text)
_FAMILIES = (
    ("connections", "gauge", "Open connections of any kind."),
    ("streams", "gauge", "Open streams."),
    ("streams_total", "counter", "Streams opened."),
    ("audio_seconds_total", "counter", "Seconds of audio processed."),
    ("detections_total", "counter", "Detections made."),
    ("requests_total", "counter", "HTTP requests answered."),
    ("refused_total", "counter", "Connections and requests that were refused or cut off."),
    ("errors_total", "counter", "Failures inside the server; the log has the details."),
    ("recordings_total", "counter", "Recordings saved by the page."),
    ("answer_seconds", "histogram", "From the arrival of a message to the sending of its events."),
)
_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Snapshot:
    """The values of a process's counters at one time.

    Attributes:
        counts: by name, then by labels as Prometheus writes them.
        gauges: by name.
        buckets: how many messages were answered within each bound, and later.
        seconds: that all messages took.
    """

    counts: dict[str, dict[str, float]]
    gauges: dict[str, float]
    buckets: list[int]
    seconds: float


class Counters:
    """Counters, gauges that are read on demand, and one histogram. Thread-safe.

    Attributes:
        others: returns the values of other processes of the same server, which `text` adds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, float]] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0
        self.others: Callable[[], Sequence[Snapshot]] = tuple

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = ",".join(f'{label}="{_escaped(value)}"' for label, value in labels.items())
        with self._lock:
            family = self._counts.setdefault(name, {})
            family[key] = family.get(key, 0) + by

    def value(self, name: str) -> float:
        """The sum of a counter over its labels."""
        with self._lock:
            return sum(self._counts.get(name, {}).values())

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Register a gauge; `read` returns its value."""
        self._gauges[name] = read

    def answered(self, seconds: float) -> None:
        """Record how long a message took, from its arrival to the sending of its events."""
        place = sum(seconds > bound for bound in _BOUNDS)
        with self._lock:
            self._buckets[place] += 1
            self._seconds += seconds

    def snapshot(self) -> Snapshot:
        """The values now."""
        gauges = {name: float(read()) for name, read in self._gauges.items()}
        with self._lock:
            counts = {name: dict(family) for name, family in self._counts.items()}
            return Snapshot(counts, gauges, list(self._buckets), self._seconds)

    def text(self) -> str:
        """All values in Prometheus's text format, summed over the processes of the server."""
        return _text([self.snapshot(), *self.others()])


def _text(snapshots: Sequence[Snapshot]) -> str:
    lines = ["# TYPE wordspot_info gauge", f'wordspot_info{{version="{_escaped(__version__)}"}} 1']
    for name, kind, meaning in _FAMILIES:
        lines += [f"# HELP wordspot_{name} {meaning}", f"# TYPE wordspot_{name} {kind}"]
        if kind == "histogram":
            lines += _histogram(name, snapshots)
        elif kind == "gauge":
            known = [one.gauges[name] for one in snapshots if name in one.gauges]
            lines += [f"wordspot_{name} {sum(known):g}"] if known else []
        else:
            sums: dict[str, float] = {}
            for key, value in (item for one in snapshots for item in one.counts.get(name, {}).items()):
                sums[key] = sums.get(key, 0) + value
            lines += [f"wordspot_{name}{f'{{{key}}}' if key else ''} {value:.12g}" for key, value in sums.items()]
    return "\n".join(lines) + "\n"


def _histogram(name: str, snapshots: Sequence[Snapshot]) -> list[str]:
    buckets = [sum(counts) for counts in zip(*(one.buckets for one in snapshots), strict=True)]
    seconds = sum(one.seconds for one in snapshots)
    sums = [sum(buckets[: place + 1]) for place in range(len(buckets))]
    bounds = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
    rows = [f'wordspot_{name}_bucket{{le="{bound}"}} {n}' for bound, n in zip(bounds, sums, strict=True)]
    return [*rows, f"wordspot_{name}_sum {seconds:.6f}", f"wordspot_{name}_count {sums[-1]}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
