"""``wordspot label``."""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wordspot.runtime.detector import Classifier
    from wordspot.runtime.modelfile.card import Card

HELP = "say which word each clip holds"
EXAMPLE = "wordspot label words.onnx left.wav recordings/right"
MODEL_HELP = "if the first name ends in .onnx, it is the model; else the one that comes with wordspot is taken"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="+", metavar="FILE|DIR", type=Path,
        help=f"clips, and folders of clips at any depth; {MODEL_HELP}",
    )  # fmt: skip
    parser.add_argument("--top", type=int, default=3, metavar="N", help="labels shown a clip (default: 3)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--csv", action="store_true", help="print a line per label: file,rank,label,score")


def run(args: argparse.Namespace) -> int:
    from wordspot.audio.folder import find_clips
    from wordspot.commands import console
    from wordspot.errors import ConfigError, WordspotError
    from wordspot.runtime.detector import Classifier

    if args.top < 1:
        raise ConfigError(f"--top must be at least 1, got {args.top}")
    model, paths = split_model(args.paths)
    clips = find_clips(paths)
    alone = len(clips) == 1 and not paths[0].is_dir()
    classifier = Classifier(model)
    refuse_recordings(model, classifier.card)
    if classifier.card.task.predicts_steps:
        raise ConfigError(
            f"{model}: expected a model that tells words apart, but it says when {classifier.card.labels[-1]!r} is "
            "spoken; take `wordspot detect`"
        )
    if args.csv:
        _write_csv("file", "rank", "label", "score")
    answers, n_failed = [], 0
    for path, name in clips:
        try:
            top = _label(classifier, path, args.top)
        except (WordspotError, OSError) as error:
            if alone:
                raise
            console.note(f"left out: {error}")
            n_failed += 1
            continue
        if args.json:
            answers.append({"file": name, "labels": top})
        elif args.csv:
            for rank, answer in enumerate(top, 1):
                _write_csv(name, rank, answer["label"], f"{answer['score']:.5f}")
        else:
            console.say("\n".join([] if alone else ["", name]) + ("" if alone else "\n") + _as_text(top))
    if args.json:
        console.print_json(answers)
    if n_failed:
        console.note(f"{n_failed} of {len(clips)} files could not be labelled")
    return 1 if n_failed else 0


def split_model(paths: list[Path]) -> tuple[Path | None, list[Path]]:
    """The model (None: the one that comes with wordspot), and the paths after it.

    Raises:
        ConfigError: a model and nothing more.
    """
    from wordspot.errors import ConfigError

    if paths and paths[0].suffix.lower() == ".onnx":
        if len(paths) == 1:
            raise ConfigError(f"expected recordings after the model {paths[0]}; name files or folders")
        return paths[0], paths[1:]
    return None, paths


def refuse_recordings(model: Path | None, card: Card) -> None:
    """Raises ConfigError for a model that tells what whole recordings are: it hears no words."""
    from wordspot.errors import ConfigError

    if card.task.predicts_recordings:
        raise ConfigError(
            f"{model}: expected a model that hears words, but it tells what a whole recording is "
            f"({', '.join(card.labels[:6])}); take `wordspot classify`"
        )


def _label(classifier: Classifier, path: Path, top: int) -> list[dict[str, Any]]:
    """The best labels of a file with their scores. A clip is cropped or padded at its end, as in training."""
    from wordspot.audio.files import read_audio
    from wordspot.commands import console
    from wordspot.errors import AudioError

    card = classifier.card
    audio, rate = read_audio(path, card.sample_rate, channel=0)
    if len(audio) >= 2 * card.clip_samples:
        raise AudioError(
            f"{path}: expected a clip of {card.clip_samples / rate:g} s, got {len(audio) / rate:.1f} s; "
            "`wordspot detect` finds words in long recordings"
        )
    if len(audio) > card.clip_samples:
        console.note(f"{path}: only its first {card.clip_samples / rate:g} s of {len(audio) / rate:.2f} s are judged")
    posteriors = classifier.classify(audio[: card.clip_samples])[0]
    order = posteriors.argsort(kind="stable")[::-1][:top]
    return [{"label": card.labels[position], "score": round(float(posteriors[position]), 6)} for position in order]


def _as_text(top: list[dict[str, Any]]) -> str:
    return "\n".join(f"{answer['label']} (score = {answer['score']:.5f})" for answer in top)


def _write_csv(*values: Any) -> None:
    csv.writer(sys.stdout, lineterminator="\n").writerow(values)
