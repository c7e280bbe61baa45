"""What ``wordspot evaluate`` does with a model of the task recordings: a run with torch, an exported file without."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.config import RunConfig
    from wordspot.data.manifest.load import ManifestData, RecordingSet
    from wordspot.reports.recording_charts import TimeCurve
    from wordspot.runtime.recordings import RecordingClassifier

    Audio = NDArray[np.int16]

_MOST_SPEAKERS = 10
_MOST_LEAKS = 5
_ALL_OF_IT_S = 36_000.0  # the most that a setting may say


@dataclass(frozen=True)
class Judge:
    """A model that judges recordings, whatever runs it.

    threshold: of the first label. step: of a run's checkpoint; None for an exported file.
    judge: int16 [samples] → posteriors float64 [labels].
    over_time: int16 [samples] and a label's position → that label's posterior in each window.
    """

    config: RunConfig
    threshold: float
    step: int | None
    judge: Callable[[Audio], NDArray[np.float64]]
    over_time: Callable[[Audio, int], TimeCurve]


def evaluate_recordings(
    model: Path, data: Path, split: str, report: Path | None = None, step: int | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Measure a run, or an exported file, on one set of a list of recordings; with `report`, write the page as well.

    Returns:
        what `recording_measures.measure_recordings` gives, with ``model``, ``step``, ``data``, ``split``; ``recordings``, each
        with its posteriors; ``left_out``; and of a run how many were trained on.

    Raises:
        ConfigError: a checkpoint of an exported file.
        DataError: no recordings in this set.
    """
    from wordspot.commands import console
    from wordspot.errors import ConfigError
    from wordspot.evaluation.recordings import measure_recordings
    from wordspot.runtime.recordings import RecordingClassifier

    is_file = model.suffix.lower() == ".onnx" and not model.is_dir()
    if is_file and step is not None:
        raise ConfigError(f"--checkpoint is for the folder of a run; {model} holds one state of its network")
    judge = judge_of_file(RecordingClassifier(model)) if is_file else _judge_of_run(model, step, device)
    loaded = load_with_bar(data, judge.config, everything=split == "all")
    chosen = choose_set(data, loaded, split)
    posteriors = judge_all(judge, chosen)
    speakers = [row.speaker for row in chosen.rows]
    generators = [row.generator for row in chosen.rows]
    measures = {
        "model": str(model), "step": judge.step, "data": str(data), "split": split, "task": "recordings",
        **measure_recordings(chosen.labels, chosen.truth, posteriors, speakers, generators, judge.threshold).to_json(),
        **_count_trained_on(model, loaded, chosen, is_file=is_file), "left_out": list(loaded.problems),
        "recordings": _list_recordings(chosen, posteriors),
    }  # fmt: skip
    if is_file and split in ("training", "all"):
        console.note("an exported file does not say which recordings it was trained on: such recordings flatter it")
    if report:
        _write_report(report, measures, chosen, posteriors, judge)
    return measures


def judge_of_file(classifier: RecordingClassifier) -> Judge:
    """An exported file as a judge of recordings at its rate."""
    from wordspot.overrides import from_json
    from wordspot.reports.recording_charts import TimeCurve

    rate = classifier.card.sample_rate

    def over_time(audio: Audio, label: int) -> TimeCurve:
        result = classifier.classify(audio, rate)
        return TimeCurve(result.times_s, result.window_posteriors[:, label], result.has_sound)

    return Judge(
        from_json(classifier.card.config),
        classifier.threshold,
        None,
        lambda audio: classifier.classify(audio, rate).posteriors,
        over_time,
    )


def _judge_of_run(model: Path, step: int | None, device: str) -> Judge:
    import numpy as np

    from wordspot.audio.samples import to_int16
    from wordspot.config import RecordingsConfig
    from wordspot.features import make_front_end
    from wordspot.models import make_model
    from wordspot.reports.recording_charts import TimeCurve
    from wordspot.runtime.windows import cut_windows, find_sound, stride_of, window_starts
    from wordspot.training.device import resolve_device
    from wordspot.training.run_folder import RunFolder
    from wordspot.training.tasks.recordings import judge
    from wordspot.training.weights import load_weights

    checkpoint, where = RunFolder(model).load(step), resolve_device(device)
    config = checkpoint.config
    features, settings = config.features, config.recordings
    network = make_model(config.model, features.n_frames, features.n_features, len(config.words)).to(where)
    load_weights(network, checkpoint)
    front_end = make_front_end(features).to(where)
    stride = stride_of(settings.stride_ms, features.sample_rate, features.clip_samples)
    alone = dataclasses.replace(config, recordings=RecordingsConfig(whole=settings.whole, stride_ms=features.clip_ms))

    def over_time(audio: Audio, label: int) -> TimeCurve:
        windows = cut_windows(audio, features.clip_samples, stride, settings.whole)
        rows = judge(network, front_end, alone, [to_int16(window) for window in windows], where)
        starts = np.zeros(1) if settings.whole else window_starts(len(audio), features.clip_samples, stride)
        middles = (starts + np.minimum(starts + features.clip_samples, len(audio))) / 2
        return TimeCurve(middles / features.sample_rate, rows[:, label], find_sound(windows))

    def one(audio: Audio) -> NDArray[np.float64]:
        return np.asarray(judge(network, front_end, config, [audio], where)[0])

    return Judge(config, 0.5, checkpoint.step, one, over_time)


def load_with_bar(data: Path, config: RunConfig, *, everything: bool = False, to_train: bool = False) -> ManifestData:
    """Decode a list with a progress bar; what is left out goes to stderr, and outside training what flatters the figures.

    Args:
        everything: all of a list that the model was not trained on: nothing is held out, and its sets do not count.
        to_train: no more of each recording than training takes; else all of it and no backgrounds, and no generator that the
            list lacks is held out.
    """
    from wordspot.commands import console
    from wordspot.config import DataConfig
    from wordspot.data.manifest.load import load_manifest
    from wordspot.data.manifest.rows import read_manifest

    split, settings = config.data, config.recordings
    if not to_train:
        known = {row.generator for row in read_manifest(data).rows}
        held_out = tuple(name for name in settings.hold_out if name in known)
        settings = dataclasses.replace(settings, hold_out=held_out, longest_s=_ALL_OF_IT_S, backgrounds=())
    if everything:
        split = DataConfig(validation_percent=0, testing_percent=0)
        settings = dataclasses.replace(settings, hold_out=(), n_folds=0, fold=0)
    with console.show_progress() as progress:
        loaded = load_manifest(
            data, config.words, split, settings, config.features.sample_rate,
            progress, clip_ms=config.features.clip_ms,
        )  # fmt: skip
    for problem in loaded.problems:
        console.note(f"left out: {problem}")
    if not (everything or to_train):
        for line in loaded.leaks[:_MOST_LEAKS]:
            console.note(line)
        if len(loaded.leaks) > _MOST_LEAKS:
            console.note(f"and {len(loaded.leaks) - _MOST_LEAKS} more such speakers, generators or recordings")
    return loaded


def choose_set(data: Path, loaded: ManifestData, split: str) -> RecordingSet:
    """The recordings of a set; of ``all``, those of every set.

    Raises:
        DataError: there are none.
    """
    import numpy as np

    from wordspot.data.manifest.load import RecordingSet
    from wordspot.errors import DataError

    parts = list(loaded.sets.values()) if split == "all" else [loaded.sets[split]]
    if not any(len(part.rows) for part in parts):
        raise DataError(f"{data}: expected recordings in the {split} set, but it is empty; try --split all")
    return RecordingSet(
        loaded.labels,
        tuple(row for part in parts for row in part.rows),
        tuple(audio for part in parts for audio in part.audio),
        np.concatenate([part.truth for part in parts]),
    )


def judge_all(judge: Judge, chosen: RecordingSet) -> NDArray[np.float64]:
    """The posteriors of a set's recordings, float64 [n, labels], with a progress bar."""
    import numpy as np

    from wordspot.commands import console

    rows = []
    with console.progress_bar() as bar:
        task = bar.add_task("judging recordings", total=len(chosen.audio))
        for audio in chosen.audio:
            rows.append(judge.judge(audio))
            bar.update(task, advance=1)
    return np.stack(rows)


def print_recording_measures(measures: dict[str, Any]) -> None:
    """The figures as tables, and the main ones as the last line."""
    from wordspot.commands import console

    labels = measures["labels"]
    console.print_table("Confusion (rows: truth, columns: answers)", ["", *labels], [
        [label, *row] for label, row in zip(labels, measures["confusion"], strict=True)
    ])  # fmt: skip
    if measures["per_generator"]:
        columns = ["", "label", "recordings", "right", "equal error rate", "95 % interval"]
        console.print_table("Per generator, in percent; EER against all recordings of other labels", columns, [
            [row["generator"], row["label"], row["n"], _percent(row["accuracy"]), _percent(row["eer"]), _span(row, "eer")]
            for row in measures["per_generator"]
        ])  # fmt: skip
    if len(labels) > 2:
        columns = ["", "recordings", "right", "equal error rate", "95 % interval"]
        console.print_table("Per label, in percent; EER against the rest", columns, [
            [label, row["n"], _percent(row["recall"]), _percent(row["eer"]), _span(row, "eer")]
            for label, row in measures["per_label"].items()
        ])  # fmt: skip
    if speakers := measures["per_speaker"]:
        few = f", the {_MOST_SPEAKERS} lowest of {len(speakers)}" if len(speakers) > _MOST_SPEAKERS else ""
        console.print_table(f"Per speaker, in percent{few}", ["", "recordings", "right"], [
            [row["speaker"], row["n"], _percent(row["accuracy"])] for row in speakers[:_MOST_SPEAKERS]
        ])  # fmt: skip
    if len(labels) == 2:
        _say_threshold(measures)
    console.say(headline(measures))


def headline(measures: dict[str, Any]) -> str:
    """The main figures in one line."""
    from wordspot.evaluation.scores import Resampling

    accuracy = f"{_percent(measures['accuracy'])} % ({_span(measures, 'accuracy')}, N={measures['n']})"
    if measures.get("eer") is None:
        return f"Accuracy on {measures['split']}: {accuracy}"
    return (
        f"EER on {measures['split']}: {_percent(measures['eer'])} % ({_span(measures, 'eer')}, "
        f"{Resampling(**measures['interval']).describe()}), AUC {measures['auc']:.3f}, accuracy {accuracy}"
    )


def _say_threshold(measures: dict[str, Any]) -> None:
    from wordspot.commands import console
    from wordspot.evaluation.bootstrap import MIN_SPEAKERS

    target, interval = measures["labels"][0], measures["interval"]
    rates = (
        f"{_percent(measures['miss_rate'])} % missed ({_span(measures, 'miss_rate')}), "
        f"{_percent(measures['false_alarm_rate'])} % false alarms ({_span(measures, 'false_alarm_rate')})"
    )
    console.say(f"{target} is what scores {measures['threshold']:.4g} or more: {rates}")
    if interval and interval["over"] == "recordings" and interval["n_speakers"]:
        console.note(
            f"a class has fewer than {MIN_SPEAKERS} speakers here: the interval of the EER is over recordings, and tells "
            "nothing of other speakers"
        )


def _count_trained_on(
    model: Path, loaded: ManifestData, chosen: RecordingSet, *, is_file: bool
) -> dict[str, int | None]:
    """How many of the recordings a run was trained on, and how many others are by speakers it was trained on."""
    from wordspot.commands import console
    from wordspot.training.log import trained_on

    names = ("recordings_trained_on", "other_recordings_of_speakers_trained_on")
    if is_file:
        return dict.fromkeys(names)
    hashes, speakers = trained_on(model)
    digests = {(line[2], line[1]): line[-1] for line in loaded.listing}
    seen = [row for row in chosen.rows if digests.get((row.path, row.label)) in hashes]
    known = sum(row.speaker in speakers for row in chosen.rows if row not in seen)
    if seen or known:
        console.note(
            f"{len(seen)} of these {len(chosen.rows)} recordings were trained on, and {known} more are by speakers who were: "
            "the figures flatter the model"
        )
    return dict(zip(names, (len(seen), known), strict=True))


def _list_recordings(chosen: RecordingSet, posteriors: NDArray[np.float64]) -> list[dict[str, Any]]:
    return [
        {"path": row.path, "label": row.label, "speaker": row.speaker, "generator": row.generator, "posteriors": values}
        for row, values in zip(chosen.rows, posteriors.tolist(), strict=True)
    ]


def _write_report(
    path: Path, measures: dict[str, Any], chosen: RecordingSet, posteriors: NDArray[np.float64], judge: Judge
) -> None:
    from wordspot.reports.recordings import Shown, write_recording_report

    shown = [
        Shown(row.path, row.speaker or "", row.generator or "", audio)
        for row, audio in zip(chosen.rows, chosen.audio, strict=True)
    ]
    rate = judge.config.features.sample_rate
    write_recording_report(path, measures, chosen.truth, posteriors, shown, judge.over_time, rate)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _span(measures: dict[str, Any], name: str) -> str:
    low, high = measures[f"{name}_low"], measures[f"{name}_high"]
    return "–" if low is None else f"{_percent(low)} to {_percent(high)}"
