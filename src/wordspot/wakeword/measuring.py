"""Choose thresholds on validation and measure on testing: streams of words and near misses, speech, and single clips."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_audio, write_audio
from wordspot.audio.samples import to_float32
from wordspot.config import DataConfig, FeatureConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import list_recordings
from wordspot.data.scenes.make_stream import make_stream
from wordspot.data.speech import Speech, load_speech
from wordspot.data.truth import write_truth
from wordspot.errors import AudioError, DataError
from wordspot.evaluation.false_accepts import DetectionMetrics
from wordspot.evaluation.matching import words_of
from wordspot.evaluation.streams import StreamResult, test_stream
from wordspot.evaluation.tuning import StreamTuning, tune
from wordspot.files import read_json, write_json
from wordspot.intervals import Proportion
from wordspot.labels import normalize_word
from wordspot.progress import OnProgress, Progress
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import OtherFormat
from wordspot.runtime.modelfile.card import read_card
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.speech import Heard
from wordspot.wakeword.takes import TAKE, all_takes, copy_of, first_copies

#: The stage of the progress in which single clips are listened to.
LISTENING = "testing single clips"
#: The stage in which recordings of people that may not hold their phrase are found.
DOUBTING = "checking recordings of people"
_NEAR_MISSES_PERCENT = 30.0
_NO_SCORE, _MANY_DOUBTFUL = 0.1, 0.3
#: Of an exported file. A phrase is one detection as long as the window holds it: its score may rise again while it leaves.
_DECODER = {"refractory_ms": float(CLIP_MS)}
#: A phrase that competes with no other need not wait for its peak, which comes 60 to 70 ms after its score passed the threshold.
_ALONE = {**_DECODER, "confirm_ms": 0.0}
_RATE = FeatureConfig.sample_rate
_PAUSE_S = 0.5
_BEFORE_S, _AFTER_S, _HISS = 2.0, 1.0, 1e-4


@dataclass(frozen=True)
class Measured:
    """What was measured on recordings, voices and speakers that were neither trained on nor used to choose thresholds.

    Attributes:
        voices: held-out clips by voices in which the phrase was found, of all.
        takes: the same of recordings of people; None if there are none in the testing set.
        near_misses: held-out clips of what sounds like the phrase that woke it, of all.
        woken_by: their texts, the most frequent first.
        woken: these clips, each with its text.
        before: new recordings of people in which the model before them detected their phrase, of all of them; it was trained on
            none. None: there was no such model.
        doubtful: recordings of people, of all sets, that the model gives next to no score, though it detects the phrase in most
            others: they may not hold it.
        stream: words and noise, and speech if there is any; near misses among the words unless people speak in this set.
    """

    voices: Proportion
    takes: Proportion | None
    near_misses: Proportion
    woken_by: tuple[str, ...]
    stream: StreamResult
    woken: tuple[tuple[Path, str], ...] = ()
    doubtful: tuple[Path, ...] = ()
    before: Proportion | None = None

    @property
    def detections(self) -> DetectionMetrics:
        return self.stream.metrics.detections

    def to_json(self) -> dict[str, Any]:
        return {
            "voices": _found(self.voices),
            "takes": None if self.takes is None else _found(self.takes),
            "takes_before": None if self.before is None else _found(self.before),
            "near_misses": _found(self.near_misses),
            "woken_by": list(self.woken_by),
            **self.detections.to_json(),
        }


def make_streams(project: Project, request: Request, split: str, heard: Heard) -> list[Path]:
    """Write the streams of a set, with their ground truth, and return their files.

    False accepts per hour are those of speech and noise. A stream with a near miss every few seconds, which no home has, would
    decide the threshold alone, so near misses are in it only if no people speak in this set; and there is no babble, since that
    is mixed from the clips of the folder, most of which are the phrase.
    """
    seed = {"validation": 1, "testing": 2}[split] + 10 * request.seed
    words = project.streams / f"{split}.wav"
    speech = [] if heard.folder is None else _speech_stream(project, request, split, heard.folder)
    has_near_misses = not (speech and heard.by_people) and _has_others(project, request, split)
    make_stream(
        project.recordings, request.phrases, minutes=request.stream_minutes, kind="scene", split=split, seed=seed, out=words,
        unknown_percent=_NEAR_MISSES_PERCENT if has_near_misses else 0, gap_s=(1, 10), babble=0.0, clip_ms=CLIP_MS, force=True,
    )  # fmt: skip
    return [words, *speech]


def _speech_stream(project: Project, request: Request, split: str, speech: Path) -> list[Path]:
    """The speech of a set, one recording after the other, none with a phrase in its text; no stream if there is none."""
    out = project.streams / f"speech-{split}.wav"
    try:
        spoken = load_speech(speech, _RATE, DataConfig(), split=split)
    except DataError:
        return []
    pause = np.zeros(int(_PAUSE_S * _RATE), np.int16)
    parts = [part for one in without_phrases(spoken, request.phrases) for part in (one, pause)]
    if not parts:
        return []
    write_audio(out, to_float32(np.concatenate([pause, *parts])), _RATE)
    write_truth(out.with_suffix(".csv"), [], "csv")
    return [out]


def without_phrases(speech: Speech, phrases: Sequence[str]) -> Iterable[NDArray[np.int16]]:
    """The recordings of speech whose text, if there is one, holds none of the phrases."""
    wanted = [normalize_word(phrase) for phrase in phrases]
    for number in range(len(speech)):
        text = f" {' '.join(speech.texts[number])} "
        if not any(f" {phrase} " in text for phrase in wanted):
            yield speech.samples(number)


def choose_thresholds(model: Path | OtherFormat, streams: Sequence[Path], per_hour: float, progress: OnProgress) -> StreamTuning:
    """Give `model` the thresholds that allow `per_hour` false accepts on `streams`.

    That of one phrase is extrapolated, and an exported file detects it at once.
    """
    settings = None
    if isinstance(model, Path):
        settings = _ALONE if len(words_of(read_card(model).labels)) == 1 else _DECODER
    tuned = tune(
        model, list(streams), out=model if isinstance(model, Path) else model.name, false_accepts_per_hour=per_hour,
        settings=settings, extrapolate=True, force=True, progress=progress,
    )  # fmt: skip
    assert isinstance(tuned, StreamTuning)
    return tuned


def measure(
    model: Path | OtherFormat, project: Project, request: Request, streams: Sequence[Path], progress: OnProgress
) -> Measured:
    """The figures of a finished model."""
    clips, wanted = test_clips(project, request), {normalize_word(phrase) for phrase in request.phrases}
    detected = listen_to([path for path, _ in clips], Detector(model), progress)
    right = {path: word in detected[path] for path, word in clips if word in wanted}
    takes = [found for path, found in right.items() if path.name.startswith(TAKE)]
    voices = [found for path, found in right.items() if not path.name.startswith(TAKE)]
    others = [(path, word) for path, word in clips if word not in wanted]
    woken = [(path, text) for path, text in others if detected[path]]
    woken_by = Counter(text for _, text in woken)
    return Measured(
        voices=Proportion(sum(voices), len(voices)),
        takes=Proportion(sum(takes), len(takes)) if takes else None,
        near_misses=Proportion(woken_by.total(), len(others)),
        woken_by=tuple(text for text, _ in woken_by.most_common()),
        stream=test_stream(model, list(streams), progress=progress),
        woken=tuple(woken),
        doubtful=_doubtful(project, request, Detector(model), progress),
        before=_read_before(project),
    )


def measure_before(project: Project, request: Request, known: Collection[Path], progress: OnProgress) -> None:
    """Keep in how many new recordings of people the finished model detects their phrase, before it is trained anew on them.

    Args:
        project: nothing is kept, and what was kept is removed, if it has no model, or no new recordings of people.
        request: with the phrases.
        known: `copy_of` each recording of people that was there when the model was trained.
        progress: called after each recording.
    """
    project.before.unlink(missing_ok=True)
    added = sorted(path for path in all_takes(project, request) if copy_of(path) not in known)
    model = project.model(request.phrases)
    if added and model.is_file():
        detected = listen_to(added, Detector(model), progress)
        write_json(project.before, {"n": len(added), "n_found": sum(path.parent.name in detected[path] for path in added)})


def _read_before(project: Project) -> Proportion | None:
    """What `measure_before` kept; None if it kept nothing."""
    kept = read_json(project.before) if project.before.is_file() else None
    return None if kept is None else Proportion(int(kept["n_found"]), int(kept["n"]))


def _has_others(project: Project, request: Request, split: str) -> bool:
    """Whether the set has clips of anything but the phrases."""
    wanted = {normalize_word(phrase) for phrase in request.phrases}
    return any(word not in wanted for _, word in _clips_of(project, request, split))


def test_clips(project: Project, request: Request) -> list[tuple[Path, str]]:
    """The clips of the testing set, each with its word."""
    return _clips_of(project, request, "testing")


def _clips_of(project: Project, request: Request, split: str) -> list[tuple[Path, str]]:
    listing = list_recordings(project.recordings)
    wanted = {normalize_word(phrase) for phrase in request.phrases}
    sets = split_recordings(listing, DataConfig(), wanted).sets
    return [(project.recordings / clip.path, clip.word) for clip, name in zip(listing.clips, sets, strict=True) if name == split]


def _doubtful(project: Project, request: Request, detector: Detector, progress: OnProgress) -> tuple[Path, ...]:
    """The recordings of people that may not hold their phrase; none if the model misses many."""
    found = []
    for phrase in request.phrases:
        takes = first_copies(project.recordings / normalize_word(phrase))
        scores: dict[Path, float] = {}
        for done, path in enumerate(takes, start=1):
            with contextlib.suppress(AudioError):  # training said which recordings it left out
                scores[path] = float(hear(detector, path)[1].max(axis=0)[_column(detector, phrase)])
            progress(Progress(DOUBTING, done, len(takes)))
        if scores and np.quantile(list(scores.values()), _MANY_DOUBTFUL) > _NO_SCORE:
            found += [path for path, score in scores.items() if score < _NO_SCORE]
    return tuple(found)


def _column(detector: Detector, phrase: str) -> int:
    return [normalize_word(label) for label in detector.card.labels].index(normalize_word(phrase))


def listen_to(paths: Sequence[Path], detector: Detector, progress: OnProgress) -> dict[Path, set[str]]:
    """The phrases that are detected in each recording."""
    detected = {}
    for done, path in enumerate(paths, start=1):
        detected[path] = {normalize_word(one.label) for one in hear(detector, path)[0]}
        progress(Progress(LISTENING, done, len(paths)))
    return detected


def hear(detector: Detector, path: Path) -> tuple[list[Detection], NDArray[np.float32]]:
    """Run a detector over a recording between two stretches of near silence.

    Returns:
        The detections, and the scores of all rows: float32 [n, labels].
    """
    audio = read_audio(path, _RATE)[0]
    rng = np.random.default_rng(0)
    before, after = ((_HISS * rng.standard_normal(int(seconds * _RATE))).astype(np.float32) for seconds in (_BEFORE_S, _AFTER_S))
    detector.reset()
    found, scores, _ = detector.feed_scored(np.concatenate([before, audio, after]))
    rest, last_scores, _ = detector.flush_scored()
    return [*found, *rest], np.concatenate([scores, last_scores])


def _found(proportion: Proportion) -> dict[str, Any]:
    return {"n": proportion.n, "n_found": proportion.count, **proportion.to_json("found")}
