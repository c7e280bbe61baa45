"""Make the training speech once: each clip and sentence as recorded, at another speed, and in rooms.

Writes clips_fast.npy, clips_room.npy and another of each (int16 [clips, 16000]; rows of other sets are zeros) with their bounds
and maps, and train_sentences.npy with the places of all words. A map is float32 [clips, 2]: sample s of the version is sample
(s + offset) * speed of the clip.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.random import Generator

from cache import RATE, VERSIONS, Sentence, arguments, read_clips, read_pieces, write_rows
from rooms import Rooms
from wordspot.audio.effects import change_speed
from wordspot.audio.samples import Samples, to_float32, to_int16

SPEEDS = (0.87, 1.15)
_IN_ROOM = 0.6  # part of the changed sentences


def make_versions(cache: Path, rooms: Rooms, rng: Generator, first: int = 0) -> None:
    """The changed versions of every training clip from row `first` on; zeros before."""
    clips, bounds = np.load(cache / "clips.npy", mmap_mode="r"), np.load(cache / "clips_bounds.npy")
    rows = [row for row, clip in enumerate(read_clips(cache, "clips")) if clip.split == "training" and row >= first]
    for version in VERSIONS[1:]:
        out = np.lib.format.open_memmap(cache / f"clips{version}.npy", "w+", np.int16, clips.shape)
        new_bounds, maps = np.zeros_like(bounds), np.zeros((len(clips), 2), np.float32)
        for row in rows:
            speed = rng.uniform(*SPEEDS)
            audio, first, stop, offset = _one_second(to_float32(clips[row]), bounds[row], speed)
            out[row] = to_int16(rooms.place(audio) if version.startswith("_room") else audio)
            new_bounds[row], maps[row] = np.clip([first, stop], 0, RATE), (speed, offset)
        np.save(cache / f"clips{version}_bounds.npy", new_bounds)
        np.save(cache / f"clips{version}_maps.npy", maps)


def _one_second(clip: Samples, bounds: np.ndarray, speed: float) -> tuple[Samples, float, float, int]:
    """The clip at another speed, cut to a second around its speech: audio, first and stop of speech, samples cut before."""
    audio, (first, stop), offset = change_speed(clip, speed), bounds / speed, 0
    if len(audio) > RATE:
        offset = int(np.clip((first + stop) / 2 - RATE / 2, 0, len(audio) - RATE))
        audio = audio[offset : offset + RATE]
    return np.pad(audio, (0, RATE - len(audio))), first - offset, stop - offset, offset


def read_words(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Each utterance's words with their start and end in milliseconds, from words.csv."""
    words: dict[str, list[tuple[str, float, float]]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            words.setdefault(row["utterance"], []).append((row["word"].lower(), float(row["start_ms"]), float(row["end_ms"])))
    return words


def make_sentences(data: Path, cache: Path, rooms: Rooms, rng: Generator) -> None:
    """The training speakers' sentences twice: as recorded, and at another speed, most of them in a room."""
    words = read_words(data / "english_speech" / "words.csv")
    audio = np.load(cache / "sentences.npy", mmap_mode="r")
    parts, index, at = [np.zeros(0, np.int16)], [], 0
    for changed in (False, True):
        for number, piece in enumerate(read_pieces(cache, "sentences")):
            if piece.split != "training":
                continue
            samples, speed = to_float32(audio[piece.start : piece.stop]), 1.0
            if changed:
                speed = rng.uniform(*SPEEDS)
                samples = change_speed(samples, speed)
                if rng.uniform() < _IN_ROOM:
                    samples = rooms.place(samples)
            per_ms = RATE / 1000 / speed
            places = [(w, int(at + a * per_ms), int(at + b * per_ms)) for w, a, b in words.get(Path(piece.path).stem, [])]
            parts.append(to_int16(samples))
            index.append(Sentence(at, at + len(samples), places, number, speed))
            at += len(samples)
    np.save(cache / "train_sentences.npy", np.concatenate(parts))
    write_rows(cache / "train_sentences.json", index)
    print(f"sentences: {at / RATE / 3600:.2f} h")


def main() -> None:
    args = arguments(__doc__).parse_args()
    rng = np.random.default_rng(1)
    rooms = Rooms(args.cache, rng)
    make_versions(args.cache, rooms, rng)
    make_sentences(args.data, args.cache, rooms, rng)


if __name__ == "__main__":
    main()
