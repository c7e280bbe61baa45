"""Encode the clips and the training sentences with Whisper base: frames of 20 ms, float16 [frames, 512].

Needs faster-whisper, and the model converted for it (`--model`). Whisper encodes half a minute at a time, so clips are encoded
23 at once, 1.3 s apart, and sentences as many as fit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cache import RATE, arguments, read_pieces
from wordspot.audio.samples import Samples, to_float32

#: Samples and frames of Whisper's half minute; values in a frame.
N_SAMPLES, N_FRAMES, WIDTH = 480_000, 1500, 512
#: Samples in a frame.
FRAME = 320
#: Clips in a half minute, frames from one to the next, and frames of one.
SLOTS, PITCH, CLIP_FRAMES = 23, 65, 50
_PAUSE = 25  # frames between sentences
Encoder = Callable[[Samples], NDArray[np.floating]]


def whisper_encoder(model: str) -> Encoder:
    """float32 [480000] → [1500, 512], on one core."""
    from faster_whisper import WhisperModel

    whisper = WhisperModel(model, device="cpu", compute_type="float32", cpu_threads=1, num_workers=1)
    return lambda audio: np.array(whisper.encode(whisper.feature_extractor(audio)[:, : 2 * N_FRAMES]))[0]


def encode_together(clips: NDArray[np.int16], encode: Encoder) -> NDArray[np.floating]:
    """At most 23 clips, int16 [clips, 16000], in the first slots of one half minute → [clips, 50, 512]."""
    audio = np.zeros(N_SAMPLES, np.float32)
    for slot, clip in enumerate(clips):
        audio[slot * PITCH * FRAME :][:RATE] = to_float32(clip)
    frames = encode(audio)
    return np.stack([frames[slot * PITCH :][:CLIP_FRAMES] for slot in range(len(clips))])


def encode_clips(cache: Path, encode: Encoder) -> None:
    """Writes teacher_clips.npy, float16 [clips, 50, 512], and slots.npy, int64 [clips]: each clip's place in its half minute."""
    clips = np.load(cache / "clips.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(cache / "teacher_clips.npy", "w+", np.float16, (len(clips), CLIP_FRAMES, WIDTH))
    order = np.random.default_rng(0).permutation(len(clips))
    slots = np.zeros(len(clips), np.int64)
    slots[order] = np.arange(len(clips)) % SLOTS
    np.save(cache / "slots.npy", slots)
    for start in range(0, len(order), SLOTS):
        rows = order[start : start + SLOTS]
        out[rows] = encode_together(clips[rows], encode)
    print(f"{len(clips)} clips encoded")


def encode_sentences(cache: Path, encode: Encoder, max_seconds: float) -> None:
    """Encodes training sentences in random order until `max_seconds` have passed.

    Writes teacher_sentences.npy, float16 [frames, 512]; teacher_sentences_starts.npy, int64 [sentences + 1]: sentence i is
    frames [starts[i], starts[i + 1]); and teacher_sentences_at.npy, int64 [sentences]: its first frame in its half minute, -1
    if it was not encoded.
    """
    audio, pieces = np.load(cache / "sentences.npy", mmap_mode="r"), read_pieces(cache, "sentences")
    sizes = [min((piece.stop - piece.start) // FRAME, N_FRAMES) for piece in pieces]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    out = np.lib.format.open_memmap(cache / "teacher_sentences.npy", "w+", np.float16, (int(starts[-1]), WIDTH))
    places = np.full(len(pieces), -1)

    def flush(numbers: list[int]) -> None:
        window = np.zeros(N_SAMPLES, np.float32)
        for number in numbers:
            first, n = pieces[number].start, sizes[number] * FRAME
            window[places[number] * FRAME :][:n] = to_float32(audio[first : first + n])
        frames = encode(window)
        for number in numbers:
            out[starts[number] : starts[number + 1]] = frames[places[number] :][: sizes[number]]

    begun, batch, at = time.monotonic(), list[int](), 0
    training = [number for number, piece in enumerate(pieces) if piece.split == "training"]
    for number in np.random.default_rng(0).permutation(training).tolist():
        if time.monotonic() - begun > max_seconds:
            break
        if at + sizes[number] > N_FRAMES:
            flush(batch)
            batch, at = [], 0
        places[number] = at
        batch.append(number)
        at += sizes[number] + _PAUSE
    flush(batch)
    np.save(cache / "teacher_sentences_starts.npy", starts)
    np.save(cache / "teacher_sentences_at.npy", places)
    print(f"{int((places >= 0).sum())} sentences encoded")


def main() -> None:
    parser = arguments(__doc__, data=False)
    parser.add_argument("--model", required=True, help="Whisper base, converted for faster-whisper: its folder or name")
    parser.add_argument("--sentence-seconds", type=float, default=330, help="time for sentences")
    args = parser.parse_args()
    encode = whisper_encoder(args.model)
    encode_clips(args.cache, encode)
    encode_sentences(args.cache, encode, args.sentence_seconds)


if __name__ == "__main__":
    main()
