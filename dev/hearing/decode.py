"""Decode all recordings once, as int16 arrays at 16 kHz with their indexes, split by speaker and source."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from cache import RATE, Clip, Piece, arguments, write_rows
from hearing_streams import SPEAKERS, rank, recordings, set_of_source, set_of_speakers, source_of
from wordspot.audio.files import read_audio
from wordspot.audio.samples import to_int16
from wordspot.audio.speech import speech_bounds
from wordspot.data.folders import list_recordings
from wordspot.data.split import which_set

_WAKE_SETS = ("validation", "testing", "training", "training", "training")


def decode_clips(folder: Path, cache: Path, name: str, set_of: Callable[[str], str]) -> None:
    """The first second of each recording of a word: NAME.npy, NAME_bounds.npy (int32 [clips, 2], where speech is), NAME.json."""
    listing = list_recordings(folder)
    audio = np.lib.format.open_memmap(cache / f"{name}.npy", "w+", np.int16, (len(listing.clips), RATE))
    bounds = np.zeros((len(listing.clips), 2), np.int32)
    index = []
    for row, clip in enumerate(listing.clips):
        samples = np.zeros(RATE, np.float32)
        decoded = read_audio(folder / clip.path, RATE, channel=0)[0][:RATE]
        samples[: len(decoded)] = decoded
        audio[row], bounds[row] = to_int16(samples), speech_bounds(samples, RATE)
        index.append(Clip(clip.path, clip.word, set_of(clip.path)))
    np.save(cache / f"{name}_bounds.npy", bounds)
    write_rows(cache / f"{name}.json", index)
    print(f"{name}: {len(index)} clips")


def decode_pieces(paths: Iterable[Path], root: Path, cache: Path, name: str, set_of: Callable[[Path], str]) -> None:
    """Recordings of any length, one after the other: NAME.npy and NAME.json."""
    parts, index, at = [np.zeros(0, np.int16)], [], 0
    for path in paths:
        samples = to_int16(read_audio(path, RATE, channel=0)[0])
        parts.append(samples)
        index.append(Piece(path.relative_to(root).as_posix(), at, at + len(samples), set_of(path)))
        at += len(samples)
    np.save(cache / f"{name}.npy", np.concatenate(parts))
    write_rows(cache / f"{name}.json", index)
    print(f"{name}: {len(index)} recordings, {at / RATE / 3600:.2f} h")


def decode_all(data: Path, cache: Path) -> None:
    """Decode every folder. The sets of speakers and sources are those of `benchmarks/hearing.py`."""
    cache.mkdir(parents=True, exist_ok=True)
    decode_clips(data / "speech_commands", cache, "clips", lambda path: which_set(path, 10, 10))
    arabic = set_of_speakers(
        (path.name.split("_nohash_")[0] for path in recordings(data / "arabic_commands")), *SPEAKERS["arabic_commands"]
    )
    decode_clips(data / "arabic_commands", cache, "arabic", lambda path: arabic[Path(path).name.split("_nohash_")[0]])

    sentences = recordings(data / "english_speech")
    readers = set_of_speakers((path.parts[-3] for path in sentences), *SPEAKERS["english_speech"])
    decode_pieces(sentences, data, cache, "sentences", lambda path: readers[path.parts[-3]])
    sounds = recordings(data / "environment")
    decode_pieces(sounds, data, cache, "sounds", lambda path: set_of_source(source_of(path)))
    wake_words = recordings(data / "wake_words")
    decode_pieces(wake_words, data, cache, "wake", lambda path: _WAKE_SETS[rank(path.name) % len(_WAKE_SETS)])
    noise = recordings(data / "speech_commands" / "_background_noise_")
    decode_pieces(noise, data, cache, "background", lambda path: "by time")  # 80 % training, 10 % validation, 10 % testing
    rooms = recordings(data / "rooms" / "house-impulses")
    decode_pieces(rooms, data, cache, "rooms", lambda path: "training")


def main() -> None:
    args = arguments(__doc__).parse_args()
    decode_all(args.data, args.cache)


if __name__ == "__main__":
    main()
