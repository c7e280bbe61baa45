"""Wake words of other projects beside exported files, on the same recordings in the same run.

    pip install 'wordspot[bench]'
    python benchmarks/peers.py --negatives DIR [--takes DIR] [MODEL.onnx ...] [--json OUT]

microWakeWord (pymicro-wakeword) and openWakeWord (pyopen-wakeword) run the models in their packages with the thresholds that
they come with. `--takes` holds a folder for each phrase, named as it (``hey_jarvis``): recordings by people, each played between
two seconds of quiet. Models whose phrase has no folder are measured on the negatives alone. The recordings of `--negatives`
follow each other as one stream; each detection in it is a false accept. Nobody knows what the models of others were trained on.

The time is that of the processor, of a single core, without reading files; detections less than two seconds apart are one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from results import write_result
from wordspot.audio.files import read_audio
from wordspot.audio.folder import find_clips
from wordspot.audio.samples import to_int16
from wordspot.commands import console
from wordspot.intervals import EventRate, Proportion
from wordspot.labels import normalize_word
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import open_model

RATE, CHUNK = 16_000, 1280  # 80 ms: what openWakeWord takes at once
APART_S, QUIET_S, LONGEST_S = 2.0, 2.0, 600.0
OPEN_THRESHOLD = 0.5  # what pyopen-wakeword's command uses
TITLE = "Wake words on the same recordings"
HEADINGS = ("system", "phrase", "people: found", "false accepts / h", "95 % at most", "ms a second of sound")

Samples = NDArray[np.int16]
#: int16 [samples] → whether each chunk of 80 ms ends with a detection.
Spotter = Callable[[Samples], Iterator[bool]]


@dataclass(frozen=True)
class Peer:
    """A system with one phrase; `start` gives a spotter without a past."""

    system: str
    phrase: str
    start: Callable[[], Spotter]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("models", type=Path, nargs="*", help="files that `wordspot export` or `wordspot new` wrote")
    parser.add_argument("--negatives", type=Path, nargs="+", required=True, help="folders of sound without any of the phrases")
    parser.add_argument("--takes", type=Path, help="a folder for each phrase")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    peers = [*map(ours, args.models), *micro_wake_words(), *open_wake_words()]
    negatives = [path for folder in args.negatives for path, _ in find_clips([folder])]
    takes = {} if args.takes is None else takes_by_phrase(args.takes)
    rows, measured = [], []
    for peer in peers:
        one = measure(peer, negatives, takes.get(normalize_word(peer.phrase), []))
        measured.append(one)
        rows.append(row_of(peer, one))
    console.print_table(TITLE, HEADINGS, rows)
    if args.json is not None:
        write_result(args.json, measured, HEADINGS, rows)


def ours(path: Path) -> Peer:
    model = open_model(path)

    def start() -> Spotter:
        detector = Detector(model, sample_rate=RATE)

        def spot(audio: Samples) -> Iterator[bool]:
            yield from (bool(detector.feed(chunk)) for chunk in chunks(audio))

        return spot

    return Peer(path.name, model.card.labels[-1], start)


def micro_wake_words() -> Iterator[Peer]:
    from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures, Model

    for model in Model:

        def start(model: Any = model) -> Spotter:
            word, front_end = MicroWakeWord.from_builtin(model), MicroWakeWordFeatures()

            def spot(audio: Samples) -> Iterator[bool]:
                for chunk in chunks(audio):
                    yield sum(map(word.process_streaming, front_end.process_streaming(chunk.tobytes()))) > 0

            return spot

        yield Peer("microWakeWord", model.value, start)


def open_wake_words() -> Iterator[Peer]:
    from pyopen_wakeword import Model, OpenWakeWord, OpenWakeWordFeatures

    for model in Model:

        def start(model: Any = model) -> Spotter:
            word, front_end = OpenWakeWord.from_builtin(model), OpenWakeWordFeatures.from_builtin()

            def spot(audio: Samples) -> Iterator[bool]:
                for chunk in chunks(audio):
                    embeddings = front_end.process_streaming(chunk.tobytes())
                    scores = [score for one in embeddings for score in word.process_streaming(one)]
                    yield max(scores, default=0.0) > OPEN_THRESHOLD

            return spot

        yield Peer("openWakeWord", model.value, start)


def chunks(audio: Samples) -> Iterator[Samples]:
    """Whole chunks; the rest is less than 80 ms."""
    return (audio[start : start + CHUNK] for start in range(0, len(audio) - CHUNK + 1, CHUNK))


def takes_by_phrase(folder: Path) -> dict[str, list[Path]]:
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    return {normalize_word(path.name): [clip for clip, _ in find_clips([path])] for path in folders}


def measure(peer: Peer, negatives: list[Path], takes: list[Path]) -> dict[str, Any]:
    spot, n_accepts, seconds, used = peer.start(), 0, 0.0, 0.0
    for audio in joined(negatives):
        began = time.process_time()
        n_accepts += count(list(spot(audio)))
        used += time.process_time() - began
        seconds += len(audio) / RATE
    quiet = quiet_samples()
    found = sum(any(peer.start()(np.concatenate([quiet, read(path), quiet]))) for path in takes)
    rate = EventRate(n_accepts, seconds / 3600)
    return {
        "system": peer.system,
        "phrase": peer.phrase,
        "n_takes": len(takes),
        **Proportion(found, len(takes)).to_json("found"),
        "n_false_accepts": n_accepts,
        "hours": rate.hours,
        **rate.to_json("false_accepts_per_hour"),
        "processor_ms_per_second": 1000 * used / max(seconds, 1e-9),
    }


def joined(paths: list[Path]) -> Iterator[Samples]:
    """The recordings one after the other, in pieces of at least ten minutes."""
    parts, length = [], 0
    for path in paths:
        parts.append(read(path))
        length += len(parts[-1])
        if length > LONGEST_S * RATE:
            yield np.concatenate(parts)
            parts, length = [], 0
    if parts:
        yield np.concatenate(parts)


def count(detected: list[bool]) -> int:
    """Detections, of which those that follow another within `APART_S` do not count."""
    n, last = 0, -(10**9)
    for place in np.flatnonzero(detected):
        n += place - last > APART_S * RATE / CHUNK
        last = place
    return int(n)


def read(path: Path) -> Samples:
    return to_int16(read_audio(path, RATE)[0])


def quiet_samples() -> Samples:
    """Faint noise: no microphone delivers zeros."""
    return np.random.default_rng(0).integers(-3, 4, int(QUIET_S * RATE), np.int16)


def row_of(peer: Peer, one: dict[str, Any]) -> tuple[str, ...]:
    people = f"{100 * one['found']:.1f} % of {one['n_takes']}" if one["n_takes"] else "no recordings"
    rate, most = one["false_accepts_per_hour"], one["false_accepts_per_hour_high"]
    cost = f"{one['processor_ms_per_second']:.2f}"
    return peer.system, peer.phrase.replace("_", " "), people, f"{rate:.2f}", f"{most:.2f}", cost


if __name__ == "__main__":
    main()
