"""``wordspot evaluate``: a run with torch, an exported file without."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from wordspot.config import RunConfig
    from wordspot.data.cache import DecodedClips
    from wordspot.data.clips import ClipSet
    from wordspot.data.folders import Listing
    from wordspot.data.trigger import TriggerData
    from wordspot.training.checkpoint import Checkpoint
    from wordspot.training.run_folder import RunFolder

HELP = "measure a trained model on a folder of recordings"
EXAMPLE = "wordspot evaluate runs/four recordings --report report.html"
_NO_NOISE = "there is no background noise for this set; its silence clips are digital zeros"
_CLIPS_AT_ONCE = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="RUN|FILE.onnx", type=Path, help="the folder of a run, or an exported file (needs no torch)"
    )
    parser.add_argument(
        "data",
        metavar="DIR|CSV",
        type=Path,
        help="one folder of recordings per word, or for whole recordings their list",
    )
    parser.add_argument(
        "--split", choices=("training", "validation", "testing", "all"), default="testing",
        help="which set; 'all' judges a foreign folder: every clip once (default: testing)",
    )  # fmt: skip
    parser.add_argument("--checkpoint", metavar="STEP", type=int, help="this checkpoint, not the best on validation")
    parser.add_argument("--report", metavar="HTML", type=Path, help="write a page with figures and the worst clips")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.commands.evaluate_recordings import print_recording_measures

    measures = evaluate(args.model, args.data, args.split, args.checkpoint, args.device, args.report)
    if args.json:
        console.print_json(measures)
    elif "accuracy_of_zeros" in measures:
        print_trigger_measures(measures)
    else:
        print_all = print_recording_measures if measures.get("task") == "recordings" else print_measures
        print_all(measures)
        if args.report:
            console.say(f"report: {args.report}")


def evaluate(
    model: Path, data: Path, split: str, step: int | None, device: str, report: Path | None = None
) -> dict[str, Any]:
    """Measure a run's checkpoint, or an exported file, on one set of a folder; with `report`, write the page as well."""
    if model.suffix.lower() == ".onnx" and not model.is_dir():
        return evaluate_file(model, data, split, step, report)
    from wordspot.commands import console
    from wordspot.commands.evaluate_recordings import evaluate_recordings
    from wordspot.data.folders import list_recordings
    from wordspot.evaluation.clips import measure_clips
    from wordspot.features import make_front_end
    from wordspot.labels import labels_of
    from wordspot.models import make_model
    from wordspot.tasks import TASKS
    from wordspot.training.batches import Batches
    from wordspot.training.device import resolve_device
    from wordspot.training.run_folder import RunFolder
    from wordspot.training.tasks.words import predict, speakers_of
    from wordspot.training.weights import load_weights

    checkpoint = RunFolder(model).load(step)
    config = checkpoint.config
    if TASKS[config.task].predicts_recordings:
        return evaluate_recordings(model, data, split, report, step, device)
    where = resolve_device(device)
    if TASKS[config.task].predicts_steps:
        return evaluate_trigger(model, checkpoint, data, split, where, report)
    decoded = decode(list_recordings(data), config)
    clips = _choose_clips(decoded, config, split)
    batches = Batches(config, decoded, {split: clips}, where)
    if not batches.has_noise(split):
        console.note(_NO_NOISE)
    labels = labels_of(config.words)
    network = make_model(config.model, config.features.n_frames, config.features.n_features, len(labels)).to(where)
    load_weights(network, checkpoint)
    posteriors = predict(network, make_front_end(config.features).to(where), batches, split)
    n_seen, n_known = _count_trained_on(RunFolder(model), decoded, clips)
    if n_seen or n_known:
        console.note(
            f"{n_seen} of these {len(clips)} clips were trained on, and {n_known} more are by speakers who were: the figures "
            "flatter the model"
        )
    measures = {
        "model": str(model), "step": checkpoint.step, "data": str(data), "split": split,
        **measure_clips(labels, clips.labels, posteriors, speakers_of(decoded, clips)).to_json(),
        "clips_trained_on": n_seen, "other_clips_of_speakers_trained_on": n_known, "left_out": list(decoded.problems),
    }  # fmt: skip
    if report:
        log = RunFolder(model).read_log()
        _write_report(
            report, measures, posteriors, clips, decoded, config, log, lambda at: batches.clip(split, at).numpy()
        )
    return measures


def evaluate_trigger(
    model: Path, checkpoint: Checkpoint, data: Path, split: str, device: torch.device, report: Path | None
) -> dict[str, Any]:
    """Measure a run of the task trigger on the scenes of one set of a folder."""
    from wordspot.errors import ConfigError
    from wordspot.features import make_front_end
    from wordspot.models import make_model
    from wordspot.training.tasks.trigger import TriggerTask
    from wordspot.training.weights import load_weights

    if split not in ("validation", "testing") or report:
        raise ConfigError(
            "a trigger is measured on the scenes of --split validation or testing, without --report; `wordspot export` "
            "and `wordspot test-stream --report` give a page"
        )
    config = checkpoint.config
    task = TriggerTask(config, load_trigger_sources(data, config), device)
    network = make_model(
        config.model, config.features.n_frames, config.features.n_features, len(task.labels)
    ).to(device)  # fmt: skip
    load_weights(network, checkpoint)
    task.prepare(network)
    measures = task.measure(network, make_front_end(config.features).to(device), split)
    return {"model": str(model), "step": checkpoint.step, "data": str(data), "split": split, **measures}


def load_trigger_sources(data: Path, config: RunConfig) -> TriggerData:
    """Read the folders of the task trigger with a progress bar; recordings that cannot be used are listed and left out."""
    from wordspot.commands import console
    from wordspot.data.trigger import load_trigger_data

    with console.show_progress() as progress:
        sources = load_trigger_data(
            data, config.trigger, config.data, config.features.sample_rate,
            progress, scene_ms=config.features.clip_ms,
            word=config.words[0],
        )  # fmt: skip
    for problem in sources.problems:
        console.note(f"left out: {problem}")
    return sources


def print_trigger_measures(measures: dict[str, Any]) -> None:
    """The figures of a trigger: those of streams, and single answers beside what all zeros would score."""
    from wordspot.commands import console, test_stream

    test_stream.print_measures(measures)
    console.say(
        f"single answers right: {100 * measures['accuracy']:.2f} %, where all zeros would score "
        f"{100 * measures['accuracy_of_zeros']:.2f} %"
    )


def evaluate_file(model: Path, data: Path, split: str, step: int | None, report: Path | None = None) -> dict[str, Any]:
    """Measure an exported file on one set of a folder: the clips, silence among them, that `evaluate` takes for its run."""
    import numpy as np

    from wordspot.audio.samples import to_float32
    from wordspot.commands import console
    from wordspot.commands.evaluate_recordings import evaluate_recordings
    from wordspot.data.folders import list_recordings
    from wordspot.data.silence import Silence
    from wordspot.errors import CardError, ConfigError
    from wordspot.evaluation.clips import measure_clips
    from wordspot.labels import labels_of
    from wordspot.overrides import from_json
    from wordspot.runtime.detector import Classifier
    from wordspot.runtime.modelfile.card import read_card

    if read_card(model).task.predicts_recordings:
        return evaluate_recordings(model, data, split, report, step)
    if step is not None:
        raise ConfigError(f"--checkpoint is for the folder of a run; {model} holds one state of its network")
    classifier = Classifier(model)
    if classifier.card.task.predicts_steps:
        raise ConfigError(
            f"{model} says when one word is said: make scenes with `wordspot make-scenes` and measure it with "
            "`wordspot test-stream`"
        )
    config, labels = from_json(classifier.card.config), classifier.card.labels
    of_card = (labels, classifier.card.sample_rate, classifier.card.clip_samples)
    if of_card != (labels_of(config.words), config.features.sample_rate, config.features.clip_samples):
        raise CardError(f"{model}: expected the labels, rate and clip of its own configuration; export it again")
    decoded = decode(list_recordings(data), config)
    clips = _choose_clips(decoded, config, split)
    is_made = clips.rows < 0
    silence, order = Silence(config, decoded, split, int(is_made.sum())), np.cumsum(is_made) - 1
    if not silence.has_noise:
        console.note(_NO_NOISE)

    def clip(at: int) -> NDArray[np.float32]:
        return silence.clip(int(order[at])) if is_made[at] else to_float32(decoded.clips[clips.rows[at]])

    starts = range(0, len(clips), _CLIPS_AT_ONCE)
    batches = (np.stack([clip(at) for at in range(i, min(i + _CLIPS_AT_ONCE, len(clips)))]) for i in starts)
    posteriors = np.concatenate([classifier.classify(batch) for batch in batches]).astype(np.float64)
    if split in ("training", "all"):
        console.note("an exported file does not say which recordings it was trained on: such clips flatter it")
    speakers = [decoded.listing.clips[row].speaker if row >= 0 else None for row in clips.rows]
    measures = {
        "model": str(model), "step": None, "data": str(data), "split": split,
        **measure_clips(labels, clips.labels, posteriors, speakers).to_json(),
        "clips_trained_on": None, "other_clips_of_speakers_trained_on": None, "left_out": list(decoded.problems),
    }  # fmt: skip
    if report:
        _write_report(report, measures, posteriors, clips, decoded, config, [], clip)
    return measures


def _choose_clips(decoded: DecodedClips, config: RunConfig, split: str) -> ClipSet:
    """The clips of a set; of ``all``, every clip of the folder once."""
    from wordspot.data.clips import build_sets, build_whole
    from wordspot.errors import DataError

    if split == "all":
        clips = build_whole(decoded.listing, config.words)
    else:
        clips = build_sets(decoded.listing, config.words, config.data)[split]
    if not len(clips):
        raise DataError(f"{decoded.listing.root}: expected clips in the {split} set, but it is empty; try --split all")
    return clips


def _count_trained_on(run: RunFolder, decoded: DecodedClips, clips: ClipSet) -> tuple[int, int]:
    """How many of the clips the model was trained on, and how many others are by speakers it was trained on."""
    from wordspot.training.log import trained_on

    hashes, speakers = trained_on(run.path)
    rows = [int(row) for row in clips.rows if row >= 0]
    seen = [row for row in rows if decoded.hashes[row] in hashes]
    known = [row for row in rows if decoded.listing.clips[row].speaker in speakers]
    return len(seen), len(set(known) - set(seen))


def decode(listing: Listing, config: RunConfig) -> DecodedClips:
    """Decode a folder with a progress bar; recordings that cannot be read are listed and left out."""
    from wordspot.commands import console
    from wordspot.data.cache import decode_folder

    with console.show_progress() as progress:
        decoded = decode_folder(
            listing, config.features.sample_rate, config.features.clip_samples,
            progress,
        )  # fmt: skip
    for problem in decoded.problems:
        console.note(f"left out: {problem}")
    if decoded.problems:
        console.note(f"{len(decoded.problems)} recordings could not be read and are left out")
    for warning in decoded.warnings:
        console.note(warning)
    return decoded


def print_measures(measures: dict[str, Any]) -> None:
    """The figures as tables."""
    from wordspot.commands import console

    def percent(value: float | None) -> str:
        return "–" if value is None else f"{100 * value:.1f}"

    labels = measures["labels"]
    console.print_table("Confusion (rows: truth, columns: answers)", ["", *labels], [
        [label, *row] for label, row in zip(labels, measures["confusion"], strict=True)
    ])  # fmt: skip
    console.print_table("Per label, in percent", ["", "clips", "precision", "recall", "equal error rate"], [
        [label, row["n"], percent(row["precision"]), percent(row["recall"]), percent(row["equal_error_rate"])]
        for label, row in measures["per_label"].items()
    ])  # fmt: skip
    speakers = measures["speakers"]
    if speakers["n"]:
        low, middle, _ = (percent(value) for value in speakers["quartiles"])
        console.say(
            f"{speakers['n']} speakers: a quarter of them below {low} %, half below {middle} %, lowest "
            f"{percent(speakers['lowest'])} %"
        )
    console.say(f"calibration error {percent(measures['calibration']['error'])} %")
    console.say(
        f"Accuracy on {measures['split']}: {percent(measures['accuracy'])} % (N={measures['n']}, 95 % interval "
        f"{percent(measures['accuracy_low'])} to {percent(measures['accuracy_high'])}); keywords alone "
        f"{percent(measures['keyword_accuracy'])} %"
    )


def _write_report(
    path: Path,
    measures: dict[str, Any],
    posteriors: NDArray[np.float64],
    clips: ClipSet,
    decoded: DecodedClips,
    config: RunConfig,
    log: list[dict[str, Any]],
    clip: Callable[[int], NDArray[np.float32]],
) -> None:
    """`clip` gives the sound of the clip at a position of the set."""
    from wordspot.reports.clips import ConfusedClip, most_confused, write_report

    labels = measures["labels"]
    confused = [
        ConfusedClip(
            decoded.listing.clips[clips.rows[position]].path if clips.rows[position] >= 0 else "background noise",
            labels[clips.labels[position]],
            labels[posteriors[position].argmax()],
            float(posteriors[position].max()),
            clip(position),
        )
        for position in most_confused(clips.labels, posteriors)
    ]
    write_report(path, measures, clips.labels, posteriors, log, confused, config.features.sample_rate)
