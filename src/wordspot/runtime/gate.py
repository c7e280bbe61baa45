"""A second model beside the detector: it judges the sound of each detection, so that a machine's voice can be ignored.

It tells a person's voice from a synthesised one. It does not tell a person from a loudspeaker that plays a person.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples, check_rate, check_samples, to_float32
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Source
from wordspot.runtime.recordings import RecordingClassifier, combine, cut_windows, find_sound

_LONGEST_WAIT_MS = 5000.0  # of a detection for its confirmation
_MARGIN_MS = 20.0  # of sound on both sides of a window, so that resampling has no edge within it


@dataclass(frozen=True)
class Judgement:
    """What a gate takes the voice of a detection for."""

    is_target: bool
    """Whether it is the gate's first label: a person."""
    label: str
    score: float
    """The posterior of `label`."""


class Gate:
    """Keeps the last seconds of a stream, and judges the window of it that ends where a detection does.

    Args:
        model: an exported model of the task `recordings`: file, content, or what `open_model` gave. Its first label is the
            one that passes.
        sample_rate: Hz, of the stream.
        threads: that one call may use.
        threshold: what the first label's posterior must reach; None: as the model says.

    Raises:
        NotFoundError, CardError, ConfigError: as `RecordingClassifier`.
        AudioError: a sample rate that no sound has.
    """

    def __init__(self, model: Source, sample_rate: int, threads: int = 1, *, threshold: float | None = None) -> None:
        check_rate(sample_rate)
        self._classifier = RecordingClassifier(model, threads, threshold=threshold)
        self.card, self.target = self._classifier.card, self._classifier.labels[0]
        self.sample_rate = sample_rate
        self._clip_ms = 1000 * self.card.clip_samples / self.card.sample_rate
        self._most = int((self._clip_ms + _LONGEST_WAIT_MS + _MARGIN_MS) * sample_rate / 1000)
        self._kept: deque[Samples] = deque()
        self._n_kept = self._n_heard = 0

    def feed(self, samples: ArrayLike) -> None:
        """Take the stream's next samples [n], int16 or float, before `judge` is called for what was heard in them."""
        audio = to_float32(check_samples(samples))
        self._kept.append(audio)
        self._n_kept += len(audio)
        self._n_heard += len(audio)
        while self._n_kept - len(self._kept[0]) >= self._most:
            self._n_kept -= len(self._kept.popleft())

    def judge(self, detection: Detection) -> Judgement:
        """Judge the window that ends at `detection.time_ms`; where the stream began later, what there is, repeated.

        Raises:
            CardError: onnxruntime cannot run the gate's file.
        """
        settings, classifier = self._classifier.settings, self._classifier
        clip = self.card.clip_samples
        windows = cut_windows(self._window(detection.time_ms), clip, clip, settings.whole)
        posteriors = combine(classifier.judge(windows), find_sound(windows))
        position = classifier.decide(posteriors)
        return Judgement(position == 0, classifier.labels[position], float(posteriors[position]))

    def _window(self, end_ms: float) -> Samples:
        """The sound before `end_ms` at the gate's rate: float32 [at most clip_samples, at least 1]."""
        first = self._n_heard - self._n_kept
        kept = np.concatenate([np.zeros(0, np.float32), *self._kept])
        end = min(max(round(end_ms * self.sample_rate / 1000) - first, 1), len(kept))
        margin = round(_MARGIN_MS * self.sample_rate / 1000)
        start = max(end - round(self._clip_ms * self.sample_rate / 1000) - margin, 0)
        audio = resample(kept[start : end + margin], self.sample_rate, self.card.sample_rate)
        stop = max(round((end - start) * self.card.sample_rate / self.sample_rate), 1)
        window = audio[:stop][-self.card.clip_samples :]
        return window if len(window) else np.zeros(1, np.float32)
