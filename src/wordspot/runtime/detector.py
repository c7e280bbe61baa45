"""Run an exported model: samples in, detections out. Needs numpy and onnxruntime, not torch.

- `Detector` detects words in a stream: ``detector.feed(samples) -> [Detection]``.
- `Scorer` returns the scores that a `Detector` decodes, row by row.
- `Classifier` scores clips.

Samples are float32 or float64 in [-1, 1], or int16, mono, in chunks of any length. Time is counted in the samples that
were fed: a stream that stalls and resumes continues where it was. Each object serves one stream and one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wordspot.audio.gain import Gain, check_gain, make_gain
from wordspot.audio.resample import StreamResampler
from wordspot.audio.samples import check_samples, to_float32
from wordspot.config import DecoderConfig
from wordspot.errors import AudioError
from wordspot.runtime.decoder import Detection, make_decoder
from wordspot.runtime.model import Source, as_model, check_detects
from wordspot.runtime.modelfile.card import Card
from wordspot.runtime.modelfile.session import judge_clips
from wordspot.runtime.streams import make_runner

CLIP_STRIDE_MS = 30.0
"""Distance between two windows of a model that scores entire clips, unless its decoder sets another."""

_PIECE = 1 << 16  # samples that are converted and resampled at a time


class Scorer:
    """The scores of a stream: at every hop, those of the clip that ends there.

    Args:
        model: an exported file, its content, or an opened model, which several streams can share; None uses the model
            that comes with wordspot.
        threads: how many threads one call may use.
        sample_rate: of the audio that is fed, in Hz (default: the model's). Other rates are resampled continuously.
        stride_ms: distance between two rows of a model that scores entire clips; a streaming model has a row per hop.
        self_test: run the file's self-test, and reject the file if it fails.

    Raises:
        NotFoundError: no such file.
        CardError: a file that is damaged, or not written by wordspot.
        AudioError: a sample rate outside 1 kHz to 1 MHz.
    """

    def __init__(
        self,
        model: Source = None,
        threads: int = 1,
        sample_rate: int | None = None,
        *,
        stride_ms: float = CLIP_STRIDE_MS,
        self_test: bool = True,
    ) -> None:
        opened = as_model(model, threads=threads, self_test=self_test)
        self.card: Card = opened.card
        self.sample_rate = self.card.sample_rate if sample_rate is None else sample_rate
        self._runner = make_runner(opened, stride_ms)
        self._resampler: StreamResampler | None = None
        if self.sample_rate != self.card.sample_rate:
            self._resampler = StreamResampler(self.sample_rate, self.card.sample_rate)

    def feed(self, samples: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Feed the next samples of the stream.

        Args:
            samples: float32, float64 or int16 [samples], of any length.

        Returns:
            scores: float32 [n, labels], posteriors; `n` is 0 until one full clip of audio has been fed.
            end_ms: float64 [n], the time in the stream at which the clip of each row ends.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale. The stream is unchanged.
        """
        audio = check_samples(samples)
        if len(audio) <= _PIECE:
            return self._feed(audio)
        parts = [self._feed(audio[start : start + _PIECE]) for start in range(0, len(audio), _PIECE)]
        return np.concatenate([scores for scores, _ in parts]), np.concatenate([end_ms for _, end_ms in parts])

    def flush(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """End the stream: return the scores of what the resampler still held. The next `feed` starts a new stream at 0 ms."""
        rest = self._resampler.flush() if self._resampler else np.zeros(0, np.float32)
        scores, ends = self._runner.feed(rest)
        self._runner.reset()
        return scores, self._in_ms(ends)

    def reset(self) -> None:
        """Forget the stream: the next `feed` starts a new one at 0 ms."""
        self._runner.reset()
        if self._resampler:
            self._resampler.reset()

    def _feed(self, audio: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        floats = to_float32(audio)
        if self._resampler:
            floats = self._resampler.feed(floats)
        scores, ends = self._runner.feed(floats)
        return scores, self._in_ms(ends)

    def _in_ms(self, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(samples * 1000 / self.card.sample_rate, np.float64)


class Detector:
    """Detects words in a stream, each spoken word once.

    Args:
        model: an exported file, its content, or an opened model, which several streams can share; None uses the model
            that comes with wordspot.
        decoder: how scores become detections (default: as the model says).
        sample_rate: of the audio that is fed, in Hz (default: the model's).
        threads: how many threads one call may use.
        gain: dB by which quiet audio is raised, or ``"auto"``, which follows the level slowly, by 30 dB at most.
        self_test: run the file's self-test, and reject the file if it fails.

    Raises:
        NotFoundError, CardError, AudioError: as `Scorer`.
        ConfigError: a model that detects nothing in a stream, a gain beyond 60 dB, or a threshold for a word that
            it does not know.
    """

    def __init__(
        self,
        model: Source = None,
        decoder: DecoderConfig | None = None,
        sample_rate: int | None = None,
        threads: int = 1,
        *,
        gain: Gain = None,
        self_test: bool = True,
    ) -> None:
        check_gain(gain)
        opened = as_model(model, threads=threads, self_test=self_test)
        check_detects(opened)
        decoder = decoder or opened.card.decoder
        stride_ms = decoder.stride_ms or CLIP_STRIDE_MS
        self._scorer = Scorer(opened, threads, sample_rate, stride_ms=stride_ms)
        self._decoder = make_decoder(decoder, self.card.labels)
        self._gain = make_gain(gain, self._scorer.sample_rate)

    @property
    def card(self) -> Card:
        """The model card: labels, sample rate, decoder settings, licences of the data."""
        return self._scorer.card

    @property
    def sample_rate(self) -> int:
        """Of the audio that is fed, in Hz."""
        return self._scorer.sample_rate

    def feed(self, samples: ArrayLike) -> list[Detection]:
        """Feed the next samples of the stream: float32 or float64 in [-1, 1], or int16, [samples], of any length.

        Returns:
            The detections that these samples complete.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale. The stream is unchanged.
        """
        return self.feed_scored(samples)[0]

    def feed_scored(self, samples: ArrayLike) -> tuple[list[Detection], NDArray[np.float32], NDArray[np.float64]]:
        """Feed the next samples, as `feed` does, and return the scores too.

        Returns:
            detections: that these samples complete.
            scores: float32 [n, labels], the network's posteriors, before smoothing.
            end_ms: float64 [n], the time in the stream at which the audio of each row ends.

        Raises:
            AudioError: NaN or infinity, another type or shape, another scale. The stream is unchanged.
        """
        if self._gain:
            samples = self._gain.feed(check_samples(samples))
        scores, end_ms = self._scorer.feed(samples)
        return (self._decoder.feed(scores, end_ms) if len(end_ms) else []), scores, end_ms

    def flush(self) -> list[Detection]:
        """End the stream: return the detections that were still pending. The next `feed` starts a new stream at 0 ms."""
        return self.flush_scored()[0]

    def flush_scored(self) -> tuple[list[Detection], NDArray[np.float32], NDArray[np.float64]]:
        """End the stream, as `flush` does, and return the last scores too, in the form of `feed_scored`."""
        scores, end_ms = self._scorer.flush()
        detections = self._decoder.feed(scores, end_ms) if len(end_ms) else []
        detections += self._decoder.flush()
        self._decoder.reset()
        if self._gain:
            self._gain.reset()
        return detections, scores, end_ms

    def reset(self) -> None:
        """Forget the stream: the next `feed` starts a new one at 0 ms."""
        self._scorer.reset()
        self._decoder.reset()
        if self._gain:
            self._gain.reset()


class Classifier:
    """Posteriors of clips, each on its own. Arguments and errors are those of `Scorer`."""

    def __init__(self, model: Source = None, threads: int = 1, *, self_test: bool = True) -> None:
        self._model = as_model(model, threads=threads, self_test=self_test)
        self.card: Card = self._model.card

    def classify(self, audio: ArrayLike) -> NDArray[np.float32]:
        """Score clips at the model's rate.

        Args:
            audio: float32, float64 or int16 [n, samples] or [samples]. Clips shorter than the model's are padded with
                zeros at the end, as in training.

        Returns:
            posteriors: float32 [n, labels]; n is 1 for a single clip.

        Raises:
            AudioError: longer than the model's clip, NaN or infinity, another type, shape or scale.
        """
        samples = np.asarray(audio)
        clips = samples.reshape(1, -1) if samples.ndim == 1 else samples
        if clips.ndim != 2:
            raise AudioError(f"the array has the shape {samples.shape}; expected clips [n, samples] or one clip [samples]")
        size = self.card.clip_samples
        if clips.shape[1] > size:
            raise AudioError(
                f"the clips have {clips.shape[1]} samples; expected at most {size} at {self.card.sample_rate} Hz. "
                "Cut them, or use a Detector for longer recordings"
            )
        check_samples(clips.reshape(-1))
        whole = np.zeros((len(clips), size), np.float32)
        whole[:, : clips.shape[1]] = to_float32(clips)
        return judge_clips(self._model.session, self.card, whole)
