"""A teacher for a phrase: a linear layer on the frames of a large speech recogniser, learned from the project's clips.

Whisper encodes half a minute at a time, so clips are encoded `SLOTS` at once, with a pause between them. Its frames depend on
where in the half minute a clip stands, so the mean of each place is taken off, of few clips only a part of it. A clip is judged
by a layer that has not learned from its speaker. No layer learns from recordings of people: they are all of the phrase, so that
a person's voice would be enough.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples
from wordspot.errors import AudioError, WordspotError
from wordspot.progress import OnProgress, Progress
from wordspot.wakeword.project import CLIP_MS

if TYPE_CHECKING:
    from torch import Tensor

#: The stage of the progress in which the teacher encodes clips.
ENCODING = "asking the teacher"
#: Whisper's sample rate in Hz, and the samples in one of its frames and in its half minute.
RATE, FRAME_SAMPLES, N_SAMPLES = 16_000, 320, 480_000
_PITCH_S = CLIP_MS / 1000 + 0.3
#: Clips in a half minute.
SLOTS = int(N_SAMPLES / RATE / _PITCH_S)
_PITCH, _CLIP_FRAMES = int(_PITCH_S * RATE / FRAME_SAMPLES), int(CLIP_MS / 1000 * RATE / FRAME_SAMPLES)
_FEW = 8  # clips in a place: of so many, half of the mean is taken off
_IMPOSSIBLE = -100.0  # the log posteriors of a clip where no layer could learn from others
_FOLDS, _RATE, _DECAY, _DROPOUT = 5, 2e-3, 0.05, 0.3

#: float32 [480000] → float32 [1500, 512].
Encoder = Callable[[NDArray[np.float32]], NDArray[np.float32]]
#: Gives a sound, float32 [samples] at `RATE`; None if it cannot be read.
Sound = Callable[[], Samples | None]


def open_encoder(folder: Path) -> Encoder:
    """The encoder of Whisper base in a folder that `wordspot.data.teacher` found; it runs on the CPU.

    Raises:
        ImportError: faster-whisper is not installed.
        WordspotError: it cannot load the files, which are damaged.
    """
    from faster_whisper import WhisperModel

    try:
        whisper: Any = WhisperModel(str(folder), device="cpu", compute_type="float32", local_files_only=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise WordspotError(
            f"{folder}: faster-whisper cannot load the teacher ({error}); run: wordspot download teacher --force --out {folder}"
        ) from error
    n_frames = 2 * N_SAMPLES // FRAME_SAMPLES
    return lambda audio: np.asarray(whisper.encode(whisper.feature_extractor(audio)[:, :n_frames]), np.float32)[0]


def encode_clips(
    clips: Sequence[Path], encode: Encoder, rng: np.random.Generator, progress: OnProgress
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """`encode_sounds` of sound files, of longer ones of the beginning."""
    return encode_sounds([functools.partial(read_sound, clip) for clip in clips], encode, rng, progress)


def encode_sounds(
    sounds: Sequence[Sound], encode: Encoder, rng: np.random.Generator, progress: OnProgress
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The mean and the maximum of the frames of each sound, standardised.

    Args:
        sounds: each gives at most a clip.
        encode: see `open_encoder`.
        rng: deals the sounds to places in half minutes.
        progress: called after each half minute.

    Returns:
        float32 [n, 1024], and which of the sounds these are: int64 [n]. What cannot be read is left out.
    """
    readable, pooled, slots = list[int](), list[NDArray[np.float32]](), list[int]()
    order = rng.permutation(len(sounds))
    for start in range(0, len(sounds), SLOTS):
        read = {int(row): sound for row in order[start : start + SLOTS] if (sound := sounds[row]()) is not None}
        readable += read
        slots += range(len(read))
        if read:
            pooled.append(_encode_together(list(read.values()), encode))
        progress(Progress(ENCODING, min(start + SLOTS, len(sounds)), len(sounds)))
    if not pooled:
        return np.zeros((0, 1024), np.float32), np.zeros(0, np.int64)
    places = np.argsort(readable)
    values = _standardised(np.concatenate(pooled), np.array(slots))
    return values[places], np.array(readable, np.int64)[places]


def _standardised(pooled: NDArray[np.float32], slots: NDArray[np.int64]) -> NDArray[np.float32]:
    """Without the mean of each place in the half minute, and with the same variance in each column: float32 [clips, 1024]."""
    middle = pooled.mean(axis=0)
    for slot in set(slots):
        rows = slots == slot
        share = rows.sum() / (rows.sum() + _FEW)
        pooled[rows] -= (share * (pooled[rows].mean(axis=0) - middle)).astype(np.float32)
    standard: NDArray[np.float32] = (pooled - pooled.mean(axis=0)) / (pooled.std(axis=0) + 1e-3)
    return standard


def read_sound(clip: Path) -> Samples | None:
    """The beginning of a sound file; None if it cannot be read, which training says."""
    try:
        return read_audio(clip, RATE)[0][: _CLIP_FRAMES * FRAME_SAMPLES]
    except AudioError:
        return None


def _encode_together(clips: Sequence[Samples], encode: Encoder) -> NDArray[np.float32]:
    """At most `SLOTS` clips in one half minute: float32 [clips, 1024]."""
    audio = np.zeros(N_SAMPLES, np.float32)
    for slot, sound in enumerate(clips):
        audio[slot * _PITCH * FRAME_SAMPLES :][: len(sound)] = sound
    frames = encode(audio)
    own = np.stack([frames[slot * _PITCH :][:_CLIP_FRAMES] for slot in range(len(clips))])
    return np.concatenate([own.mean(axis=1), own.max(axis=1)], axis=1)


@dataclass(frozen=True)
class Fit:
    """How a layer is fitted: steps, and clips in a batch."""

    steps: int
    batch: int


USUAL_FIT = Fit(steps=400, batch=64)


def cross_fit(
    values: NDArray[np.float32],
    classes: NDArray[np.int64],
    speakers: Sequence[str],
    weights: NDArray[np.floating],
    seed: int,
    fit: Fit = USUAL_FIT,
) -> NDArray[np.float32]:
    """The log posteriors of clips, each by a layer that has not learned from its speaker: float32 [clips, classes].

    Args:
        values: float32 [clips, n], see `encode_sounds`.
        classes: int64 [clips], from 0.
        speakers: of each clip.
        weights: float [clips], how often the layers are trained on it; 0: never.
        seed: of the layers' weights and batches.
        fit: how the layers are fitted.
    """
    import torch

    fold_of = {name: place % _FOLDS for place, name in enumerate(sorted(set(speakers)))}
    folds = np.array([fold_of[name] for name in speakers])
    x, y = torch.from_numpy(values), torch.from_numpy(classes)
    result = np.full((len(classes), classes.max() + 1), _IMPOSSIBLE, np.float32)
    for fold in range(_FOLDS):
        own = folds == fold
        learned = torch.tensor(np.where(own, 0, weights), dtype=torch.float32)
        if own.any() and learned.any():
            result[own] = _log_posteriors(x, y, learned, result.shape[1], torch.Generator().manual_seed(seed), fit)[own]
    return result


def _log_posteriors(x: Tensor, y: Tensor, weights: Tensor, n_classes: int, generator: Any, fit: Fit) -> NDArray[np.float32]:
    """The log posteriors of all clips by a layer that is fitted to clips drawn with these weights: float32 [clips, classes]."""
    import torch
    from torch.nn import functional

    weight = torch.zeros(n_classes, x.shape[1], requires_grad=True)
    bias = torch.zeros(n_classes, requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, fit.steps)
    for _ in range(fit.steps):
        rows = torch.multinomial(weights, fit.batch, replacement=True, generator=generator)
        kept = torch.rand((fit.batch, x.shape[1]), generator=generator) >= _DROPOUT
        logits = functional.linear(x[rows] * kept / (1 - _DROPOUT), weight, bias)
        loss = functional.cross_entropy(logits, y[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        result: NDArray[np.float32] = torch.log_softmax(functional.linear(x, weight, bias), dim=1).numpy()
    return result
