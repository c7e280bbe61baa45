"""Find words in recordings of any length: the verb `detect`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wordspot.audio.files import read_blocks
from wordspot.audio.folder import find_clips
from wordspot.audio.gain import Gain, LevelWatch, check_gain
from wordspot.audio.samples import Samples
from wordspot.config import DecoderConfig
from wordspot.errors import AudioError, ConfigError
from wordspot.progress import OnNote, OnProgress, ignore_note
from wordspot.runtime.batch import FailedFile, OnFailed, Recordings, as_paths, judge_files
from wordspot.runtime.chime import add_chimes, check_chime
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import Model, Source, as_model, check_detects
from wordspot.runtime.modelfile.card import Card

#: Length of the blocks that a recording is scored in: the cost of a call is then small beside that of the network.
BLOCK_MS = 8000.0
_SILENCE_S = 0.5  # fed after the end, since a trigger detects its word slightly after it, perhaps after the recording's end

#: Called with a file's name and each detection in it, as soon as it is final.
OnDetection = Callable[[str, Detection], None]


@dataclass(frozen=True)
class FileDetections:
    """The words in one recording.

    Attributes:
        name: the file's name, as shown.
        detections: in the order of time.
        seconds: length of the recording.
        clip_seconds: length of the audio that one score needs.
    """

    name: str
    detections: tuple[Detection, ...]
    seconds: float
    clip_seconds: float

    @property
    def is_short(self) -> bool:
        """Whether the recording is shorter than the audio that one score needs, so that nothing can be detected."""
        return self.seconds < self.clip_seconds

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.detections)

    def to_json(self) -> dict[str, Any]:
        """The recording as a JSON object."""
        return {"file": self.name, "seconds": self.seconds, "detections": [one.to_json() for one in self.detections]}


@dataclass(frozen=True)
class Detections:
    """The words in recordings. Iterating goes through the detections of all of them.

    Attributes:
        files: a result for each recording.
        failed: the recordings that could not be read.
    """

    files: tuple[FileDetections, ...]
    failed: tuple[FailedFile, ...] = ()

    def __iter__(self) -> Iterator[Detection]:
        return (detection for file in self.files for detection in file.detections)

    def __len__(self) -> int:
        return sum(len(file.detections) for file in self.files)

    def to_json(self) -> dict[str, Any]:
        """All recordings as a JSON object."""
        return {"files": [one.to_json() for one in self.files], "failed": [one.to_json() for one in self.failed]}


def detect(
    recordings: Recordings,
    model: Source = None,
    *,
    threshold: float | None = None,
    decoder: DecoderConfig | None = None,
    channel: int | None = None,
    gain: Gain = None,
    chime: Path | str | None = None,
    on_detection: OnDetection | None = None,
    on_result: Callable[[FileDetections], None] | None = None,
    on_failed: OnFailed | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> Detections:
    """Find words in recordings of any length, format and sample rate.

    Args:
        recordings: a file, a folder, or several of both.
        model: an exported file; None uses the model that comes with wordspot.
        threshold: what a score must exceed, 0 to 1, for every word (default: as the model says).
        decoder: all settings from scores to detections (default: as the model says).
        channel: which channel of each recording to use, counted from 0 (default: the first, or the loudest if that is silent).
        gain: dB by which quiet audio is raised, or ``"auto"``, which follows the level slowly.
        chime: write the recording with a chime at each detection to this file; for a single recording.
        on_detection: called with each detection as soon as it is final, before the end of a long recording.
        on_result: called with the result of each recording.
        on_failed: called for each recording that cannot be read; a single one raises instead.
        on_note: called with warnings about a recording: a silent channel, a header that is slightly wrong.
        progress: called after each recording.

    Raises:
        NotFoundError: no such model or recording.
        CardError: a model file that is damaged, or not written by wordspot.
        AudioError: a single recording that cannot be read.
        ConfigError: a model that detects nothing in a stream, a threshold outside 0 to 1, a chime for several recordings.
    """
    if chime is not None:
        _check_chime(Path(chime), recordings)
    check_gain(gain)
    opened = as_model(model)
    check_detects(opened)
    config = (decoder or opened.card.decoder).with_threshold(threshold)

    def judge(path: Path, name: str) -> FileDetections:
        result = detect_file(opened, config, path, name, channel=channel, gain=gain, on_detection=on_detection, on_note=on_note)
        if chime is not None:
            add_chimes(path, Path(chime), [one.time_ms for one in result.detections], channel=channel)
        return result

    return Detections(
        *judge_files(recordings, judge, stage="detecting", on_result=on_result, on_failed=on_failed, progress=progress)
    )


def detect_file(
    model: Model,
    decoder: DecoderConfig,
    path: Path,
    name: str,
    *,
    channel: int | None = None,
    gain: Gain = None,
    on_detection: OnDetection | None = None,
    on_note: OnNote | None = None,
) -> FileDetections:
    """Find words in one sound file, as `detect` does.

    Raises:
        NotFoundError, AudioError: a file that cannot be read.
    """
    rate, blocks = read_blocks(path, channel=channel, on_note=on_note)
    detector = Detector(model, decoder, rate, gain=gain)
    watch = LevelWatch(rate, lambda text: (on_note or ignore_note)(f"{name}: {text}"), gain)
    found: list[Detection] = []
    n_samples = 0

    def keep(detections: list[Detection]) -> None:
        found.extend(detections)
        for detection in detections if on_detection else ():
            on_detection(name, detection)  # type: ignore[misc]

    for block in _joined(blocks, int(rate * BLOCK_MS / 1000)):
        n_samples += len(block)
        watch.feed(block)
        keep(detector.feed(block))
    if (silence := end_silence(detector.card, rate)) is not None:
        keep(detector.feed(silence))
    keep(detector.flush())
    return FileDetections(name, tuple(found), n_samples / rate, detector.card.clip_seconds)


def _joined(blocks: Iterable[Samples], n_samples: int) -> Iterator[Samples]:
    """Blocks of `n_samples`; if reading breaks off, what was read comes before the error."""
    waiting: list[Samples] = []
    try:
        for block in blocks:
            waiting.append(block)
            if sum(map(len, waiting)) >= n_samples:
                yield np.concatenate(waiting)
                waiting = []
    except AudioError:
        if waiting:
            yield np.concatenate(waiting)
        raise
    if waiting:
        yield np.concatenate(waiting)


def end_silence(card: Card, rate: int) -> Samples | None:
    """The silence at `rate` Hz that is fed after the end of a recording; None for a model that needs none."""
    return np.zeros(int(_SILENCE_S * rate), np.float32) if card.task.predicts_steps else None


def _check_chime(chime: Path, recordings: Recordings) -> None:
    paths = as_paths(recordings)
    if len(clips := find_clips(paths)) != 1:
        raise ConfigError(f"`chime`: there are {len(clips)} recordings; expected one. Write their chimes one by one")
    check_chime(clips[0][0], chime)
