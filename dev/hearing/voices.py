"""Make a cache that holds further clips beside those of people: by synthetic voices, cut out of sentences, joined.

For the body (the default), some of the training clips of people are kept. A network that learns a phrase from voices alone
must hear the same sounds in people. So the body learns what the teacher hears in voices too, whose frames hardly tell voices
from people.

For the words (`--words`), all clips are kept, the further ones are training clips of the word that their folder names, and
`teacher_labels.py` must run on the new cache.

    python dev/hearing/voices.py --cache CACHE --model WHISPER --out CACHE-VOICES FOLDER...

FOLDER: recordings in folders of what they say, as `wordspot speak`, `wordspot new` and `readers.py` write them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bank import make_versions
from cache import RATE, VERSIONS, Clip, arguments, read_clips, write_rows
from hearing_streams import recordings
from rooms import Rooms
from teacher import SLOTS, Encoder, encode_together, whisper_encoder
from teacher_frames import Reduction
from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples, to_int16
from wordspot.audio.speech import speech_bounds

_N_PEOPLE = 9000  # clips
_GROUP = 100  # clips by voices that are drawn as one word
_BEFORE = (800, 4000)  # samples of a longer recording kept before its speech
_SHARED = (
    "train_sentences.npy", "train_sentences.json", "rooms.npy", "rooms.json", "arabic.npy", "arabic.json",
    "arabic_bounds.npy", "wake.npy", "wake.json",
)  # fmt: skip
_FOR_BODY = ("pca_sentences.npy", "teacher_sentences_starts.npy", "teacher_sentences_at.npy", "mislabelled.json")
_FOR_WORDS = ("sentences.npy", "sentences.json", "sounds.npy", "sounds.json", "background.npy", "background.json")  # of babble


def one_second(path: Path, rng: Generator) -> Samples:
    """A recording, or the second of it in which speech begins: float32 [16000]."""
    audio = read_audio(path, RATE, channel=0)[0]
    if len(audio) > RATE:
        start = speech_bounds(audio, RATE)[0] - int(rng.integers(*_BEFORE))
        audio = audio[min(max(start, 0), len(audio) - RATE) :][:RATE]
    return np.pad(audio, (0, RATE - len(audio)))


def decode_voices(paths: Iterable[Path], rng: Generator) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Clips, int16 [clips, 16000], and where their speech is, int32 [clips, 2]."""
    clips = [one_second(path, rng) for path in paths]
    return np.stack([to_int16(clip) for clip in clips]), np.array([speech_bounds(clip, RATE) for clip in clips], np.int32)


def encode_all(clips: NDArray[np.int16], encode: Encoder) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """The teacher's frames [clips, 50, 512], and the places in their half minutes [clips]."""
    parts = [encode_together(clips[start : start + SLOTS], encode) for start in range(0, len(clips), SLOTS)]
    return np.concatenate(parts).astype(np.float16), np.arange(len(clips)) % SLOTS


def make_cache(cache: Path, out: Path, paths: list[Path], encode: Encoder, *, for_words: bool = False) -> None:
    """Write to `out` what `train.py body` reads, or for words what `teacher_labels.py` and `train.py words` do."""
    rng = np.random.default_rng(3)
    out.mkdir(parents=True)
    for name in (*_SHARED, *(_FOR_WORDS if for_words else _FOR_BODY)):
        (out / name).symlink_to((cache / name).resolve())
    shutil.copyfile(cache / "noise.npy", out / "noise.npy")  # `noise_bank.py --babble` adds to it
    index = read_clips(cache, "clips")
    people = [row for row, clip in enumerate(index) if for_words or clip.split == "training"]
    rows = np.array(people) if for_words else np.sort(rng.permutation(people)[:_N_PEOPLE])
    paths = [paths[place] for place in rng.permutation(len(paths))]
    clips, bounds = decode_voices(paths, rng)
    if for_words:
        new = [Clip("/".join(path.parts[-3:]), path.parent.name, "training") for path in paths]
    else:
        new = [Clip(path.name, f"voices {place // _GROUP:02d}", "training") for place, path in enumerate(paths)]
    write_rows(out / "clips.json", [*(index[row] for row in rows), *new])
    for name, made in (("clips", clips), ("clips_bounds", bounds)):
        np.save(out / f"{name}.npy", np.concatenate([np.load(cache / f"{name}.npy", mmap_mode="r")[rows], made]))
    make_versions(out, Rooms(out, rng), rng, first=len(rows))
    for version in VERSIONS[1:]:  # those of people exist already
        for kind in ("", "_bounds", "_maps"):
            name = f"clips{version}{kind}.npy"
            target = np.load(out / name, mmap_mode="r+")
            target[: len(rows)] = np.load(cache / name, mmap_mode="r")[rows]
            target.flush()
    frames, slots = encode_all(clips, encode)
    if for_words:
        _append(cache, out, {"teacher_clips": frames, "slots": slots})
    else:
        known = np.load(cache / "pca_clips.npy", mmap_mode="r")[rows]
        of_new = Reduction(cache).of_clips(frames, slots).astype(np.float16)
        np.save(out / "pca_clips.npy", np.concatenate([known, of_new]))
    print(json.dumps({"people": len(rows), "further clips": len(paths)}))


def _append(cache: Path, out: Path, new: dict[str, NDArray[Any]]) -> None:
    for name, rows in new.items():
        np.save(out / f"{name}.npy", np.concatenate([np.load(cache / f"{name}.npy", mmap_mode="r"), rows]))


def main() -> None:
    parser = arguments(__doc__, data=False)
    parser.add_argument("--model", required=True, help="Whisper base, converted for faster-whisper: its folder or name")
    parser.add_argument("--out", type=Path, required=True, help="the new cache")
    parser.add_argument("--words", action="store_true", help="for the words instead of the body")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    args = parser.parse_args()
    found = [path for folder in args.folders for path in recordings(folder) if path.parent.name != "_background_noise_"]
    make_cache(args.cache, args.out, found, whisper_encoder(args.model), for_words=args.words)


if __name__ == "__main__":
    main()
