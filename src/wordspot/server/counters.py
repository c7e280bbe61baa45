"""What a server counts, in Prometheus's text format."""

from __future__ import annotations

import threading
from collections.abc import Callable

from wordspot import __version__

#: (name below ``wordspot_``, its kind, what it says)
_FAMILIES = (
    ("connections", "gauge", "Connections that are open, of any kind."),
    ("streams", "gauge", "Streams that are open."),
    ("streams_total", "counter", "Streams that were opened."),
    ("audio_seconds_total", "counter", "Seconds of sound that were heard."),
    ("detections_total", "counter", "Words that were heard."),
    ("requests_total", "counter", "HTTP requests that were answered."),
    ("refused_total", "counter", "Connections and requests that were turned away or cut off."),
    ("errors_total", "counter", "Failures inside the server; each stands in its log."),
    ("recordings_total", "counter", "Recordings that the page saved."),
    ("answer_seconds", "histogram", "From a message's arrival to the sending of what it brought."),
)
_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Measures:
    """Counters, gauges that ask when they are read, and a histogram. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, dict[str, float]] = {}
        self._gauges: dict[str, Callable[[], float]] = {}
        self._buckets = [0] * (len(_BOUNDS) + 1)
        self._seconds = 0.0

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to a counter."""
        shown = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
        with self._lock:
            family = self._counts.setdefault(name, {})
            family[shown] = family.get(shown, 0) + by

    def value(self, name: str) -> float:
        """The sum of a counter over its labels."""
        with self._lock:
            return sum(self._counts.get(name, {}).values())

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """`read` gives a gauge's value."""
        self._gauges[name] = read

    def answered(self, seconds: float) -> None:
        """A message took so long from its arrival to the sending of what it brought."""
        place = sum(seconds > bound for bound in _BOUNDS)
        with self._lock:
            self._buckets[place] += 1
            self._seconds += seconds

    def text(self) -> str:
        """Everything, as Prometheus reads it."""
        lines = ["# TYPE wordspot_info gauge", f'wordspot_info{{version="{_escaped(__version__)}"}} 1']
        for name, kind, meaning in _FAMILIES:
            lines += [f"# HELP wordspot_{name} {meaning}", f"# TYPE wordspot_{name} {kind}"]
            if kind == "histogram":
                lines += self._histogram(name)
            elif name in self._gauges:
                lines.append(f"wordspot_{name} {self._gauges[name]():g}")
            else:
                with self._lock:
                    rows = dict(self._counts.get(name, {}))
                lines += [f"wordspot_{name}{f'{{{key}}}' if key else ''} {value:.12g}" for key, value in rows.items()]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        with self._lock:
            buckets, seconds = list(self._buckets), self._seconds
        sums = [sum(buckets[: place + 1]) for place in range(len(buckets))]
        bounds = [*(f"{bound:g}" for bound in _BOUNDS), "+Inf"]
        rows = [f'wordspot_{name}_bucket{{le="{bound}"}} {n}' for bound, n in zip(bounds, sums, strict=True)]
        return [*rows, f"wordspot_{name}_sum {seconds:.6f}", f"wordspot_{name}_count {sums[-1]}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
