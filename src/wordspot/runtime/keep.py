"""Keep the sound of a stream's detections, and of what nearly was one, so that people can say which were meant.

A recording begins two seconds before the detection's time and ends half a second after it. *Nearly* is a word whose smoothed
score exceeds half of its threshold, at its peak, without a detection within a second.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from wordspot.audio.samples import to_float32
from wordspot.config import DecoderConfig
from wordspot.errors import WordspotError
from wordspot.progress import OnNote, ignore_note
from wordspot.runtime.decoder import Detection, make_decoder
from wordspot.runtime.history import History
from wordspot.runtime.kept_files import NEARLY, KeptFolder
from wordspot.runtime.modelfile.card import Card

BEFORE_MS, AFTER_MS = 2000.0, 500.0
NEAR = 0.5
"""The part of its threshold that a word's score must exceed to be kept without a detection."""
_APART_MS = 1000.0  # what is nearer to a detection is the same sound
_LATE_MS = 2000.0  # the most that a detection comes later than `confirm_ms` after its time


@dataclass(frozen=True)
class _Planned:
    """A recording that is written as soon as the stream has reached `due_ms`."""

    detection: Detection
    due_ms: float
    when: str
    path: Path | None  # None: nearly a detection; its path is chosen when it is written


class Keeper:
    """Keeps the last seconds of a stream and writes what is around its detections. Threads may share it.

    Args:
        folder: where files are written.
        card: of the model that detects.
        decoder: the settings that it detects with.
        sample_rate: of the stream, in Hz.
        place: the subfolder of this stream; empty: none.
        wanted: whether a word counts; None: all words do.
        on_note: called with a line for each file that could not be written.
    """

    def __init__(
        self,
        folder: KeptFolder,
        card: Card,
        decoder: DecoderConfig,
        sample_rate: int,
        *,
        place: str = "",
        wanted: Callable[[str], bool] | None = None,
        on_note: OnNote | None = None,
    ) -> None:
        self._folder, self._rate, self._place = folder, sample_rate, place
        self._wanted, self._note = wanted or (lambda label: True), on_note or ignore_note
        self._before_ms = max(BEFORE_MS, 0.0 if card.task.predicts_steps else 1000 * card.clip_seconds)
        self._settled_ms = _APART_MS + decoder.confirm_ms
        self._near = make_decoder(_halved(decoder), card.labels)
        self._lock = threading.Lock()
        self._restart()

    def feed(self, samples: NDArray[Any], detections: Sequence[Detection], scores: NDArray[Any], end_ms: NDArray[Any]) -> None:
        """Keep the stream's next samples, and look for what nearly was a detection.

        Args:
            samples: float or int16 [n], as the detector was fed.
            detections, scores, end_ms: what `Detector.feed_scored` returned for them. Detections are kept by `keep`.
        """
        with self._lock:
            self._history.feed(to_float32(samples))
            near = self._near.feed(scores, end_ms) if len(end_ms) else []
            self._see(detections, near)
            self._write_due(self._fed_ms())

    def keep(self, detection: Detection) -> Path:
        """Have the sound of a detection written, as soon as half a second after it was fed. Returns where it will be."""
        with self._lock:
            when = _now()
            path = self._folder.promise(self._place, when, detection.label, detection.score)
            self._planned.append(_Planned(detection, detection.time_ms + AFTER_MS, when, path))
            self._write_due(self._fed_ms())
            return path

    def keep_wanted(self, detections: Sequence[Detection]) -> None:
        """`keep` the detections of words that count."""
        for detection in detections:
            if self._wanted(detection.label):
                self.keep(detection)

    def finish(
        self, detections: Sequence[Detection] = (), scores: NDArray[Any] | None = None, end_ms: NDArray[Any] | None = None
    ) -> None:
        """End the stream: write what is planned, with the sound there is. The next `feed` starts a new stream at 0 ms.

        Args:
            detections, scores, end_ms: what `Detector.flush_scored` returned; call `keep` for its detections before.
        """
        with self._lock:
            near = self._near.feed(scores, end_ms) if scores is not None and end_ms is not None and len(end_ms) else []
            self._see(detections, [*near, *self._near.flush()])
            self._write_due(float("inf"))
            self._restart()

    def _fed_ms(self) -> float:
        return 1000 * (self._history.start + len(self._history)) / self._rate

    def _restart(self) -> None:
        span_ms = self._before_ms + self._settled_ms + AFTER_MS + _LATE_MS
        self._history = History(int(span_ms * self._rate / 1000))
        self._near.reset()
        self._planned: list[_Planned] = []
        self._times: list[float] = []  # of the last detections

    def _see(self, detections: Sequence[Detection], near: Sequence[Detection]) -> None:
        self._times = [*self._times, *(one.time_ms for one in detections)][-100:]
        for one in near:
            if not one.label.startswith("_") and self._wanted(one.label):
                self._planned.append(_Planned(one, one.time_ms + self._settled_ms, _now(), None))

    def _write_due(self, fed_ms: float) -> None:
        due = [one for one in self._planned if one.due_ms <= fed_ms]
        self._planned = [one for one in self._planned if one.due_ms > fed_ms]
        for one in due:
            if one.path is not None or all(abs(time_ms - one.detection.time_ms) > _APART_MS for time_ms in self._times):
                self._write(one)

    def _write(self, one: _Planned) -> None:
        """Write a recording. If that fails, because the disk is full for example, listening goes on."""
        found = one.detection
        start = max(int((found.time_ms - self._before_ms) * self._rate / 1000) - self._history.start, 0)
        stop = max(int((found.time_ms + AFTER_MS) * self._rate / 1000) - self._history.start, 0)
        if stop <= start:
            return
        place = f"{self._place}/{NEARLY}" if self._place else NEARLY
        path = one.path or self._folder.promise(place, one.when, found.label, found.score)
        try:
            self._folder.write(path, self._history.samples()[start:stop], self._rate)
        except (OSError, WordspotError) as error:
            self._note(f"not saved: {error}")


def _halved(decoder: DecoderConfig) -> DecoderConfig:
    """The same settings with the thresholds of what is nearly a detection."""
    halves = {word: NEAR * threshold for word, threshold in decoder.thresholds.items()}
    return dataclasses.replace(decoder, threshold=NEAR * decoder.threshold, thresholds=halves)


def _now() -> str:
    return time.strftime("%Y%m%d-%H%M%S")
