"""A teacher for a phrase: a linear layer on the frames of a large speech recogniser, learned from the project's clips.

Whisper pads what it hears to half a minute, but its encoder takes shorter input, too. So each clip is encoded by itself, at the
same level, with a little silence around it: several in one half minute take more than twice as long, and their frames depend on
where they stand and beside what. A clip is judged by a layer that has not learned from its speaker. No layer learns from
recordings of people: they are all of the phrase, so that a person's voice would be enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.files import read_audio
from wordspot.audio.samples import Samples
from wordspot.cache_folder import cache_root
from wordspot.data.fetch import sha256_of
from wordspot.data.teacher import MODEL
from wordspot.errors import AudioError, WordspotError
from wordspot.progress import OnProgress, Progress, ignore
from wordspot.wakeword.kept import Kept, Values
from wordspot.wakeword.project import CLIP_MS

if TYPE_CHECKING:
    from torch import Tensor

#: The stage of the progress in which the teacher encodes clips.
ENCODING = "asking the teacher"
#: Whisper's sample rate in Hz, and the samples in one of its frames.
RATE, FRAME_SAMPLES = 16_000, 320
_FRAMES_AROUND, _CLIP_FRAMES = 5, int(CLIP_MS / 1000 * RATE / FRAME_SAMPLES)
_CLIP_SAMPLES, _MARGIN = _CLIP_FRAMES * FRAME_SAMPLES, _FRAMES_AROUND * FRAME_SAMPLES
#: Samples of a clip with the silence around it, and clips that are encoded together.
N_SAMPLES, BATCH = _CLIP_SAMPLES + 2 * _MARGIN, 16
_PEAK, _FAINT = 0.5, 1e-5
_IMPOSSIBLE = -100.0  # the log posteriors of a clip where no layer could learn from others
_FOLDS, _RATE, _DECAY, _DROPOUT = 5, 2e-3, 0.05, 0.3

#: float32 [clips, `N_SAMPLES`] → float32 [clips, frames, 512].
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
    n_spectra = 2 * N_SAMPLES // FRAME_SAMPLES  # the spectrum has two frames for one of the encoder

    def encode(clips: NDArray[np.float32]) -> NDArray[np.float32]:
        bands = [whisper.feature_extractor(clip, padding=0)[:, :n_spectra] for clip in clips]
        return np.asarray(whisper.encode(np.stack(bands)), np.float32)

    return encode


def open_kept(folder: Path) -> Kept:
    """What the teacher in a folder has given before."""
    return Kept(cache_root(), sha256_of(folder / MODEL, ignore))


def encode_sounds(
    sounds: Sequence[Sound], encode: Encoder, progress: OnProgress, kept: Kept | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The mean and the maximum of the frames of each sound, standardised.

    Args:
        sounds: each gives at most a clip; of a longer one the beginning is heard.
        encode: see `open_encoder`.
        progress: called after each batch.
        kept: what was encoded before, to which the rest is added.

    Returns:
        float32 [n, 1024], and which of the sounds these are: int64 [n]. What cannot be read is left out.
    """
    readable, pooled = list[int](), list[Values]()
    for start in range(0, len(sounds), BATCH):
        rows = range(start, min(start + BATCH, len(sounds)))
        read = {row: _placed(sound) for row in rows if (sound := sounds[row]()) is not None}
        readable += read
        pooled += _values_of(list(read.values()), encode, kept)
        progress(Progress(ENCODING, rows.stop, len(sounds)))
    if not pooled:
        return np.zeros((0, 1024), np.float32), np.zeros(0, np.int64)
    values = np.stack(pooled).astype(np.float32)
    standard: NDArray[np.float32] = (values - values.mean(axis=0)) / (values.std(axis=0) + 1e-3)
    return standard, np.array(readable, np.int64)


def _values_of(clips: Sequence[Samples], encode: Encoder, kept: Kept | None) -> list[Values]:
    """The values of each clip, of which only those are encoded that are not kept."""
    if kept is None:
        return list(_pooled(encode(np.stack(clips)))) if clips else []
    keys = [kept.key(clip) for clip in clips]
    found = kept.read(keys)
    new = {key: clip for key, clip in zip(keys, clips, strict=True) if key not in found}
    if new:
        made = dict(zip(new, _pooled(encode(np.stack(list(new.values())))), strict=True))
        kept.write(made)
        found |= made
    return [found[key] for key in keys]


def _placed(sound: Samples) -> Samples:
    """A sound with silence around it, its peak at half of full scale: float32 [`N_SAMPLES`]."""
    audio = np.zeros(N_SAMPLES, np.float32)
    heard = sound[:_CLIP_SAMPLES]
    audio[_MARGIN : _MARGIN + len(heard)] = heard
    return audio * np.float32(_PEAK / max(float(np.abs(audio).max()), _FAINT))


def _pooled(frames: NDArray[np.float32]) -> Values:
    """The mean and the maximum over the frames of each clip: [clips, frames, n] → float16 [clips, 2 n]."""
    own = frames[:, _FRAMES_AROUND : _FRAMES_AROUND + _CLIP_FRAMES]
    return np.concatenate([own.mean(axis=1), own.max(axis=1)], axis=1).astype(np.float16)


def read_sound(clip: Path) -> Samples | None:
    """A sound file; None if it cannot be read, which training says."""
    try:
        return read_audio(clip, RATE)[0]
    except AudioError:
        return None


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
