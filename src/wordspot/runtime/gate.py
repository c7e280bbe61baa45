"""A second model that classifies the voice of each detection, so that synthetic voices can be ignored.

It distinguishes a person's voice from a synthesised one, but not a person from a recording of a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wordspot.audio.resample import resample
from wordspot.audio.samples import Samples, check_rate, check_samples, to_float32
from wordspot.runtime.decoder import Detection
from wordspot.runtime.history import History
from wordspot.runtime.model import Source
from wordspot.runtime.recordings import RecordingClassifier
from wordspot.runtime.windows import combine, cut_windows, find_sound

_LONGEST_WAIT_MS = 5000.0  # from a detection's time to its confirmation
_MARGIN_MS = 20.0  # of audio on both sides of a window, so that resampling has no edge within it


@dataclass(frozen=True)
class Judgement:
    """A gate's verdict on the voice of a detection.

    Attributes:
        is_target: whether it is accepted: it is of the gate's first class, a person, or the gate cannot tell.
        label: the class.
        score: the posterior of `label`.
        is_certain: whether the gate can tell. It accepts a voice of which it cannot.
    """

    is_target: bool
    label: str
    score: float
    is_certain: bool = True


class Gate:
    """Keeps the last seconds of a stream, and classifies the window of it that ends with a detection.

    Args:
        model: an exported model of the task `recordings`: a file, its content, or an opened model. Its first label is
            the one that is accepted.
        sample_rate: of the stream, in Hz.
        threads: how many threads one call may use.
        threshold: what the posterior of the first label must reach; None: as the model says.

    Raises:
        NotFoundError, CardError, ConfigError: as `RecordingClassifier`.
        AudioError: a sample rate outside 1 kHz to 1 MHz.
    """

    def __init__(self, model: Source, sample_rate: int, threads: int = 1, *, threshold: float | None = None) -> None:
        check_rate(sample_rate)
        self._classifier = RecordingClassifier(model, threads, threshold=threshold)
        self.card, self.target = self._classifier.card, self._classifier.labels[0]
        self.sample_rate = sample_rate
        self._clip_ms = 1000 * self.card.clip_samples / self.card.sample_rate
        self.history = History(int((self._clip_ms + _LONGEST_WAIT_MS + _MARGIN_MS) * sample_rate / 1000))

    def feed(self, samples: ArrayLike) -> None:
        """Keep the stream's next samples [n], int16 or float. Call it before `judge` for a detection in them."""
        self.history.feed(to_float32(check_samples(samples)))

    def judge(self, detection: Detection) -> Judgement:
        """Classify the window that ends at `detection.time_ms`; if the stream is shorter, all of it, repeated.

        Raises:
            CardError: ONNX Runtime cannot run the gate's file.
        """
        settings, classifier = self._classifier.settings, self._classifier
        clip = self.card.clip_samples
        windows = cut_windows(self._window(detection.time_ms), clip, clip, settings.whole)
        posteriors = combine(classifier.judge(windows), find_sound(windows))
        position = classifier.decide(posteriors)
        is_certain = not any(classifier.doubts_about_scores(posteriors))
        return Judgement(position == 0 or not is_certain, classifier.labels[position], float(posteriors[position]), is_certain)

    def _window(self, end_ms: float) -> Samples:
        """The audio before `end_ms`, at the gate's rate: float32 [1 to clip_samples]."""
        kept = self.history.samples()
        end = min(max(round(end_ms * self.sample_rate / 1000) - self.history.start, 1), len(kept))
        margin = round(_MARGIN_MS * self.sample_rate / 1000)
        start = max(end - round(self._clip_ms * self.sample_rate / 1000) - margin, 0)
        audio = resample(kept[start : end + margin], self.sample_rate, self.card.sample_rate)
        stop = max(round((end - start) * self.card.sample_rate / self.sample_rate), 1)
        window = audio[:stop][-self.card.clip_samples :]
        return window if len(window) else np.zeros(1, np.float32)
