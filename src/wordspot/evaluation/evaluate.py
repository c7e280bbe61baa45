"""Evaluate a judge, whatever runs it, on one set of a folder or a list of recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.samples import Samples, to_float32
from wordspot.config import SETS, DataConfig, RunConfig
from wordspot.data.cache import DecodedClips, decode_folder
from wordspot.data.clips import ClipSet, build_sets, build_whole
from wordspot.data.few_recordings import Split, split_recordings
from wordspot.data.folders import list_recordings
from wordspot.data.manifest.load import ManifestData, RecordingSet, load_manifest
from wordspot.data.manifest.rows import read_manifest
from wordspot.data.silence import Silence
from wordspot.data.trigger import load_trigger_data
from wordspot.errors import ConfigError, DataError
from wordspot.evaluation.answered import find_answered, measure_conditions
from wordspot.evaluation.bootstrap import MIN_SPEAKERS
from wordspot.evaluation.clips import measure_clips
from wordspot.evaluation.judging import Judge, TrainedOn
from wordspot.evaluation.recordings import RecordingsMetrics, measure_recordings
from wordspot.evaluation.results import (
    ClipsSeen,
    EvaluationResult,
    Overlap,
    RecordingsResult,
    TriggerResult,
    WordsResult,
)
from wordspot.evaluation.scenes import make_scenes, measure_scenes
from wordspot.labels import normalize_word
from wordspot.limits import Limits
from wordspot.metrics import Bools, Floats
from wordspot.progress import OnProgress, Progress, ignore
from wordspot.tasks import TASKS

SPLITS = (*SETS, "all")

_MOST_LEAKS = 5
_ALL_OF_IT_S = 36_000.0  # the most that this setting allows
_Piece, _Row = TypeVar("_Piece"), TypeVar("_Row")


def evaluate_judge(judge: Judge, data: Path, split: str | None = None, progress: OnProgress | None = None) -> EvaluationResult:
    """Evaluate a model on one set.

    Args:
        judge: the model.
        data: what a model of its task is trained on: a folder, or a list of recordings.
        split: ``training``, ``validation`` or ``testing``; ``all`` evaluates all data of a foreign folder, each recording
            once. A trigger has scenes for ``validation`` and ``testing`` only. None is ``testing``, except for words of
            which there is one recording each, so that none could be held out: then it is ``all``, with a warning.
        progress: called while recordings are decoded and evaluated.

    Raises:
        ConfigError: no such set, or one that the task does not have.
        DataError: the set is empty.
        NotFoundError: no such folder or list.
    """
    if split not in (None, *SPLITS):
        raise ConfigError(f"`split` must be one of {', '.join(SPLITS)}, got {split!r}")
    task = TASKS[judge.config.task]
    if task.predicts_steps:
        return _evaluate_trigger(judge, data, split or "testing", progress or ignore)
    if task.predicts_recordings:
        return _evaluate_recordings(judge, data, split or "testing", progress or ignore)
    return _evaluate_words(judge, data, split, progress or ignore)


def _evaluate_words(judge: Judge, data: Path, split: str | None, progress: OnProgress) -> WordsResult:
    config = judge.config
    features = config.features
    decoded = decode_folder(list_recordings(data), features.sample_rate, features.clip_samples, progress)
    dealt = _dealt(decoded, config, split)
    if split is None:
        split = "all" if dealt is not None and dealt.note and not dealt.same_speakers and len(set(dealt.sets)) == 1 else "testing"
    notes = [dealt.note] if dealt is not None and dealt.note and split != "training" else []
    chosen = _choose_clips(decoded, config, split)
    clip, has_noise = _clips_of(chosen, decoded, config, split)
    posteriors = _predict(judge, range(len(chosen)), clip, progress)
    listed = decoded.listing.clips
    speakers = [listed[row].speaker if row >= 0 else None for row in chosen.rows]
    rows = [int(row) for row in chosen.rows if row >= 0]
    overlap = _overlap(judge.trained_on, [(decoded.hashes[row], listed[row].speaker) for row in rows])
    warnings = [] if has_noise else ["this set has no background noise; its silence clips are digital zeros"]
    return WordsResult(
        model=judge.model,
        step=judge.step,
        data=str(data),
        split=split,
        left_out=decoded.problems,
        warnings=(*decoded.warnings, *notes, *warnings, *_caution(overlap, len(chosen), "clips", split)),
        metrics=measure_clips(judge.labels, chosen.labels, posteriors, speakers),
        overlap=overlap,
        clips=ClipsSeen(
            names=[listed[row].path if row >= 0 else "background noise" for row in chosen.rows],
            truth=chosen.labels,
            posteriors=posteriors,
            audio=clip,
            sample_rate=features.sample_rate,
        ),
        log=judge.log,
    )


def _dealt(decoded: DecodedClips, config: RunConfig, split: str | None) -> Split | None:
    """How the folder is split; None if that does not matter.

    Raises:
        DataError: the folder lacks some of the words.
    """
    if split == "all":
        return None
    wanted = {normalize_word(word) for word in config.words}
    if missing := [word for word in dict.fromkeys(map(normalize_word, config.words)) if word not in decoded.listing.words]:
        raise DataError(
            f"{decoded.listing.root}: no recordings of {', '.join(missing)}; the folders here are "
            f"{', '.join(decoded.listing.words)}. To evaluate every recording of a folder that lacks words, set `split` to all"
        )
    return split_recordings(decoded.listing, config.data, wanted)


def _choose_clips(decoded: DecodedClips, config: RunConfig, split: str) -> ClipSet:
    """The clips of a set; for ``all``, every clip of the folder once."""
    if split == "all":
        chosen = build_whole(decoded.listing, config.words)
    else:
        chosen = build_sets(decoded.listing, config.words, config.data)[split]
    if not len(chosen):
        raise DataError(f"{decoded.listing.root}: the {split} set is empty; `split` all evaluates every clip")
    return chosen


def _clips_of(chosen: ClipSet, decoded: DecodedClips, config: RunConfig, split: str) -> tuple[Callable[[int], Samples], bool]:
    """The audio of the clip at a position of a set, float32 [samples], and whether there is noise for its silence."""
    is_made = chosen.rows < 0
    silence, order = Silence(config, decoded, split, int(is_made.sum())), np.cumsum(is_made) - 1

    def clip(at: int) -> Samples:
        return silence.clip(int(order[at])) if is_made[at] else to_float32(decoded.clips[chosen.rows[at]])

    return clip, silence.has_noise


def _evaluate_trigger(judge: Judge, data: Path, split: str, progress: OnProgress) -> TriggerResult:
    if split not in ("validation", "testing"):
        raise ConfigError(f"a trigger is evaluated on scenes of the validation or testing set; `split` is {split}")
    config = judge.config
    sources = load_trigger_data(
        data,
        config.trigger,
        config.data,
        config.features.sample_rate,
        progress,
        scene_ms=config.features.clip_ms,
        word=config.words[0],
    )
    scenes = make_scenes(sources, config, split)
    if not scenes:
        raise DataError(f"{data}: no recording of {config.words[0]} falls into the {split} set, so there are no scenes")
    batches = _batches(range(len(scenes)), judge.at_once, progress, "evaluating scenes")
    tracks = [track for batch in batches for track in judge.over_time([scenes[at].audio for at in batch])]
    return TriggerResult(
        judge.model,
        judge.step,
        str(data),
        split,
        tuple(sources.problems),
        (),
        measure_scenes(scenes, tracks, config, judge.decoder),
    )


def _evaluate_recordings(judge: Judge, data: Path, split: str, progress: OnProgress) -> RecordingsResult:
    loaded = load_for_evaluation(data, judge.config, everything=split == "all", progress=progress)
    chosen = choose_recordings(data, loaded, split)
    posteriors = predict_recordings(judge, chosen, progress)
    digests = {(line[2], line[1]): line[-1] for line in loaded.listing}
    overlap = _overlap(judge.trained_on, [(digests.get((row.path, row.label), ""), row.speaker) for row in chosen.rows])
    leaks = [] if split == "all" else list(loaded.leaks[:_MOST_LEAKS])
    if split != "all" and len(loaded.leaks) > _MOST_LEAKS:
        leaks.append(f"and {len(loaded.leaks) - _MOST_LEAKS} more such speakers, generators or recordings")
    metrics = measure_recordings(
        chosen.labels,
        chosen.truth,
        posteriors,
        [row.speaker for row in chosen.rows],
        [row.generator for row in chosen.rows],
        judge.threshold,
        answered=_answered(judge, chosen, posteriors),
    )
    return RecordingsResult(
        model=judge.model,
        step=judge.step,
        data=str(data),
        split=split,
        left_out=loaded.problems,
        warnings=(*leaks, *_caution(overlap, len(chosen), "recordings", split), *_few_speakers(metrics)),
        metrics=metrics,
        overlap=overlap,
        recordings=chosen,
        posteriors=posteriors,
        judge=judge,
    )


def _answered(judge: Judge, chosen: RecordingSet, posteriors: Floats) -> Bools | None:
    """Which recordings the model can tell the class of; None if it has no limits."""
    if judge.limits == Limits():
        return None
    conditions = measure_conditions(chosen.audio, judge.config)
    return find_answered(posteriors, judge.threshold if len(judge.labels) == 2 else None, judge.limits, conditions)


def load_for_evaluation(
    data: Path, config: RunConfig, *, everything: bool = False, progress: OnProgress = ignore
) -> ManifestData:
    """Decode a list of recordings from beginning to end, without backgrounds.

    Generators that the run held out are held out here too, as far as the list has them.

    Args:
        data: the list.
        config: of the run.
        everything: the model was not trained on this list, so nothing is held out and its sets do not matter.
        progress: called with the number of recordings decoded.
    """
    known = {row.generator for row in read_manifest(data).rows}
    split, settings = config.data, config.recordings
    held_out = tuple(name for name in settings.hold_out if name in known)
    settings = dataclasses.replace(settings, hold_out=held_out, longest_s=_ALL_OF_IT_S, backgrounds=())
    if everything:
        split = DataConfig(validation_percent=0, testing_percent=0)
        settings = dataclasses.replace(settings, hold_out=(), n_folds=0, fold=0)
    return load_manifest(
        data,
        config.words,
        split,
        settings,
        config.features.sample_rate,
        progress,
        clip_ms=config.features.clip_ms,
    )


def choose_recordings(data: Path, loaded: ManifestData, split: str) -> RecordingSet:
    """The recordings of a set; for ``all``, those of every set.

    Raises:
        DataError: there are none.
    """
    parts = list(loaded.sets.values()) if split == "all" else [loaded.sets[split]]
    if not any(len(part.rows) for part in parts):
        raise DataError(f"{data}: the {split} set has no recordings; `split` all evaluates every recording")
    return RecordingSet(
        loaded.labels,
        tuple(row for part in parts for row in part.rows),
        tuple(audio for part in parts for audio in part.audio),
        np.concatenate([part.truth for part in parts]),
    )


def predict_recordings(judge: Judge, chosen: RecordingSet, progress: OnProgress = ignore) -> Floats:
    """The posteriors of a set of recordings, float64 [n, labels]."""
    return _predict(judge, range(len(chosen.audio)), lambda at: chosen.audio[at], progress)


def _predict(judge: Judge, positions: range, audio: Callable[[int], NDArray[np.generic]], progress: OnProgress) -> Floats:
    batches = _batches(positions, judge.at_once, progress, "evaluating")
    return np.concatenate([judge.predict([audio(at) for at in batch]) for batch in batches])


def _batches(positions: range, size: int, progress: OnProgress, stage: str) -> Iterator[range]:
    for start in range(0, len(positions), size):
        progress(Progress(stage, start, len(positions)))
        yield positions[start : start + size]


def _overlap(trained_on: TrainedOn | None, recordings: Sequence[tuple[str, str | None]]) -> Overlap | None:
    """Compare recordings, each by its SHA-256 and speaker, with what a model was trained on."""
    if trained_on is None:
        return None
    others = [speaker for digest, speaker in recordings if digest not in trained_on.hashes]
    return Overlap(len(recordings) - len(others), sum(speaker in trained_on.speakers for speaker in others))


def _caution(overlap: Overlap | None, n: int, what: str, split: str) -> list[str]:
    if overlap is None:
        if split in ("training", "all"):
            return [
                f"an exported file does not list the {what} it was trained on; if any are in this set, these results are too "
                "optimistic"
            ]
        return []
    if not (overlap.n_seen or overlap.n_of_known_speakers):
        return []
    return [
        f"the model was trained on {overlap.n_seen} of these {n} {what}, and on the speakers of {overlap.n_of_known_speakers} "
        "more: these results are too optimistic"
    ]


def _few_speakers(metrics: RecordingsMetrics) -> list[str]:
    if metrics.binary is None or metrics.binary.scores.resampling is None:
        return []
    if not metrics.binary.scores.resampling.says_nothing_of_other_speakers:
        return []
    return [
        f"a class has fewer than {MIN_SPEAKERS} speakers here: the interval of the EER is over recordings, and says nothing "
        "about other speakers"
    ]
