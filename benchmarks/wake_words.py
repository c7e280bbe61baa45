"""How well wake words find people, and what else wakes them: every model at its own threshold and at several rates.

    python benchmarks/wake_words.py MODEL.onnx... --data DATA [--takes DATA/wake_words/athena] [--split testing] [--json FILE]

Each model has one word. Takes are recordings of people who say it; without `--takes`, the folder of DATA/wake_words that is
named like the word. Sounds that must not wake it: sentences of the speakers that `wordspot new --speech DATA/english_speech`
keeps from training (`--split` validation, testing or both), the sources of DATA/environment that `hearing_streams.py` holds
out, Arabic words, words of Speech Commands except the folder named like that of the takes, and the other folders of
DATA/wake_words. Thresholds at a rate are the lowest from which on there are no more false accepts: chosen on the same hours, so
they overestimate the model slightly; its own threshold does not.

The network that `new` starts from was trained on sentences of some of these speakers, and the one before it on some of the takes,
as unknown words. `--unheard` leaves both out.

`--link DIR` writes links to the sounds that are not held out, for `wordspot new --backgrounds DIR`, and ends.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hearing_streams import RATE, SPEAKERS, rank, recordings, set_of_source, set_of_speakers, source_of
from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_float32
from wordspot.commands import console
from wordspot.config import DataConfig, DecoderConfig
from wordspot.data.speech import load_speech
from wordspot.evaluation.bench import Bench, ScoredStream
from wordspot.evaluation.compare import lowest_threshold
from wordspot.formats import percent
from wordspot.runtime.detector import Scorer
from wordspot.runtime.model import Model, open_model

RATES = (0.5, 1.0, 2.0, 5.0)
BEFORE_S, AFTER_S, PAUSE_S, QUIET = 2.0, 1.0, 0.5, 10 ** (-70 / 20)
N_COMMANDS = 1200
UNHEARD_OF_5 = 2  # takes that the network before the body was not trained on, see dev/hearing/decode.py
HEADINGS = ("model", "threshold", "chosen on", "found", "false accepts", "sentences", "sounds", "Arabic", "commands", "other")


def score(model: Model, audio: Iterable[np.ndarray], pause_s: tuple[float, float]) -> ScoredStream:
    """The scores of recordings, one after the other between stretches of quiet."""
    rng, parts = np.random.default_rng(0), []
    for one in audio:
        before, after = ((QUIET * rng.standard_normal(int(RATE * seconds))).astype(np.float32) for seconds in pause_s)
        parts += [before, one, after]
    whole = np.concatenate(parts)
    scorer = Scorer(model, self_test=False)
    scores = [scorer.feed(whole), scorer.flush()]
    rows, ends = (np.concatenate(both) for both in zip(*scores, strict=True))
    return ScoredStream(rows, ends, (), 1000 * len(whole) / RATE)


def negatives(model: Model, data: Path, takes: Path, splits: tuple[str, ...], *, unheard: bool = False) -> dict[str, Bench]:
    """What must not wake the model, by name, in the order of `HEADINGS`."""
    rng = np.random.default_rng(0)
    not_negative = ("_background_noise_", takes.name)
    commands = [path for path in recordings(data / "speech_commands") if path.parent.name not in not_negative]
    others = [path for path in recordings(data / "wake_words") if takes not in path.parents]
    found: dict[str, tuple[Iterable[np.ndarray], float]] = {
        "sentences": (spoken(data / "english_speech", model.card.labels[2:], splits, unheard=unheard), PAUSE_S),
        "sounds": (read_all(held_out_sounds(data)), 0.0),
        "Arabic": (read_all(recordings(data / "arabic_commands")[::3]), 0.0),
        "commands": (read_all(commands[place] for place in rng.permutation(len(commands))[:N_COMMANDS]), 0.0),
        "other": (read_all(others), 0.0),
    }
    return {name: bench_of(model, [score(model, audio, (0.0, pause))]) for name, (audio, pause) in found.items()}


def spoken(folder: Path, phrases: Iterable[str], splits: tuple[str, ...], *, unheard: bool) -> Iterator[np.ndarray]:
    """Sentences of some speakers without the phrases."""
    sets = set_of_speakers((path.name for path in folder.iterdir() if path.is_dir()), *SPEAKERS["english_speech"])
    for split in splits:
        speech = load_speech(folder, RATE, DataConfig(), split=split)
        for number, text in enumerate(speech.texts):
            heard = sets[speech.speakers[number]] == "training"
            if not (unheard and heard) and not any(f" {phrase} " in f" {' '.join(text)} " for phrase in phrases):
                yield to_float32(speech.samples(number))


def held_out_sounds(data: Path) -> list[Path]:
    return [path for path in recordings(data / "environment") if set_of_source(source_of(path)) != "training"]


def read_all(paths: Iterable[Path]) -> Iterator[np.ndarray]:
    return (read_audio(path, RATE)[0] for path in paths)


def bench_of(model: Model, streams: list[ScoredStream]) -> Bench:
    return Bench(tuple(streams), model.card.labels, 1000 * model.card.clip_seconds, 0.0)


def takes_of(folder: Path, *, unheard: bool) -> list[Path]:
    return [path for path in recordings(folder) if not unheard or rank(path.name) % 5 < UNHEARD_OF_5]


def measure(path: Path, data: Path, folder: Path | None, splits: tuple[str, ...], *, unheard: bool = False) -> dict[str, Any]:
    """Takes found and false accepts at the model's own threshold and at `RATES`, over sentences and over all."""
    model = open_model(path)
    folder = folder or data / "wake_words" / model.card.labels[-1].replace(" ", "_")
    own = model.card.decoder
    takes = bench_of(model, [score(model, read_all([take]), (BEFORE_S, AFTER_S)) for take in takes_of(folder, unheard=unheard)])
    sets = negatives(model, data, folder, splits, unheard=unheard)
    everything = bench_of(model, [stream for bench in sets.values() for stream in bench.streams])
    points: list[tuple[str, DecoderConfig | None]] = [("its own", own)]
    for name, bench in (("sentences", sets["sentences"]), ("all", everything)):
        for rate in RATES:
            threshold = lowest_threshold(bench, own, rate)
            points.append((f"{rate:g} an hour of {name}", None if threshold is None else own.with_threshold(threshold)))
    rows = []
    for name, decoder in points:
        if decoder is None:
            rows.append({"chosen_on": name, "threshold": None})
            continue
        n_found = sum(bool(found) for found in takes.decode(decoder))
        accepts = {one: int(bench.count(decoder)[:, 1].sum()) for one, bench in sets.items()}
        rows.append({"chosen_on": name, "threshold": decoder.threshold_of(model.card.labels[-1]), "n_found": n_found, **accepts})
    hours = {name: bench.hours for name, bench in sets.items()}
    return {"model": str(path), "n_takes": len(takes.streams), "hours": hours, "points": rows}


def cells(model: Path, point: dict[str, Any], n_takes: int) -> tuple[str, ...]:
    if point["threshold"] is None:
        return (model.stem, "none", point["chosen_on"], *[""] * 7)
    accepts = [point[name] for name in HEADINGS[5:]]
    found = f"{percent(point['n_found'] / n_takes)} of {n_takes}"
    return (model.stem, f"{point['threshold']:.3f}", point["chosen_on"], found, str(sum(accepts)), *map(str, accepts))


def link_sounds(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for path in recordings(data / "environment"):
        if set_of_source(source_of(path)) == "training":
            link = out / f"{path.parent.name}-{path.name}"
            if not link.exists():
                link.symlink_to(path.resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="*", metavar="MODEL.onnx")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--takes", type=Path)
    parser.add_argument("--split", choices=("validation", "testing", "both"), default="both", help="of the sentences' speakers")
    parser.add_argument("--unheard", action="store_true", help="only takes and speakers that no earlier network was trained on")
    parser.add_argument("--link", type=Path, help="write links to the sounds for training here, and end")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.data, args.takes = args.data.resolve(), args.takes and args.takes.resolve()
    if args.link is not None:
        link_sounds(args.data, args.link)
        return
    if not args.models:
        parser.error("name models")
    splits = ("validation", "testing") if args.split == "both" else (args.split,)
    results = [measure(path, args.data, args.takes, splits, unheard=args.unheard) for path in args.models]
    rows = [cells(path, point, one["n_takes"]) for path, one in zip(args.models, results, strict=True) for point in one["points"]]
    hours = ", ".join(f"{name} {one:.2f} h" for name, one in results[0]["hours"].items())
    console.print_table(f"Wake words; {hours}", HEADINGS, rows)
    if args.json is not None:
        write_result(args.json, results, HEADINGS, rows)


if __name__ == "__main__":
    main()
