"""Make a cache for the body that holds clips by synthetic voices beside some of the training clips of people.

A network that learns a phrase from voices alone must hear the same sounds in people. So the body learns what the teacher
hears in voices too, whose frames hardly tell voices from people.

    python dev/hearing/voices.py --cache CACHE --model WHISPER --out CACHE-VOICES FOLDER...

FOLDER: recordings in folders of what they say, as `wordspot speak` and `wordspot new` write them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from bank import make_versions
from cache import N_COMPONENTS, RATE, VERSIONS, Clip, arguments, read_clips, write_rows
from hearing_streams import recordings
from rooms import Rooms
from teacher import CLIP_FRAMES, SLOTS, Encoder, encode_together, whisper_encoder
from teacher_frames import Reduction
from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples, to_int16
from wordspot.audio.speech import speech_bounds

_N_PEOPLE = 9000  # clips
_GROUP = 100  # clips by voices that are drawn as one word
_BEFORE = (800, 4000)  # samples of a longer recording kept before its speech
_SHARED = (
    "train_sentences.npy", "train_sentences.json", "pca_sentences.npy", "teacher_sentences_starts.npy", "noise.npy",
    "teacher_sentences_at.npy", "rooms.npy", "rooms.json", "arabic.npy", "arabic.json", "arabic_bounds.npy", "wake.npy",
    "wake.json", "mislabelled.json",
)  # fmt: skip


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


def components(clips: NDArray[np.int16], encode: Encoder, reduction: Reduction) -> NDArray[np.float16]:
    found = np.zeros((len(clips), CLIP_FRAMES, N_COMPONENTS), np.float16)
    for start in range(0, len(clips), SLOTS):
        frames = encode_together(clips[start : start + SLOTS], encode)
        found[start : start + SLOTS] = reduction.of_clips(frames, np.arange(len(frames)))
    return found


def make_cache(cache: Path, out: Path, voices: list[Path], encode: Encoder) -> None:
    """Write to `out` what `train.py body` reads."""
    rng = np.random.default_rng(3)
    out.mkdir(parents=True)
    for name in _SHARED:
        (out / name).symlink_to((cache / name).resolve())
    index = read_clips(cache, "clips")
    people = np.array([row for row, clip in enumerate(index) if clip.split == "training"])
    rows = np.sort(rng.permutation(people)[:_N_PEOPLE])
    voices = [voices[place] for place in rng.permutation(len(voices))]
    clips, bounds = decode_voices(voices, rng)
    groups = [Clip(path.name, f"voices {place // _GROUP:02d}", "training") for place, path in enumerate(voices)]
    write_rows(out / "clips.json", [*(index[row] for row in rows), *groups])
    for name, new in (("clips", clips), ("clips_bounds", bounds)):
        np.save(out / f"{name}.npy", np.concatenate([np.load(cache / f"{name}.npy", mmap_mode="r")[rows], new]))
    make_versions(out, Rooms(out, rng), rng, first=len(rows))
    for version in VERSIONS[1:]:  # those of people exist already
        for kind in ("", "_bounds", "_maps"):
            name = f"clips{version}{kind}.npy"
            made = np.load(out / name, mmap_mode="r+")
            made[: len(rows)] = np.load(cache / name, mmap_mode="r")[rows]
            made.flush()
    known = np.load(cache / "pca_clips.npy", mmap_mode="r")[rows]
    np.save(out / "pca_clips.npy", np.concatenate([known, components(clips, encode, Reduction(cache))]))
    print(json.dumps({"people": len(rows), "voices": len(voices)}))


def main() -> None:
    parser = arguments(__doc__, data=False)
    parser.add_argument("--model", required=True, help="Whisper base, converted for faster-whisper: its folder or name")
    parser.add_argument("--out", type=Path, required=True, help="the new cache")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    args = parser.parse_args()
    found = [path for folder in args.folders for path in recordings(folder) if path.parent.name != "_background_noise_"]
    make_cache(args.cache, args.out, found, whisper_encoder(args.model))


if __name__ == "__main__":
    main()
