"""Targets that are sound: files through the reader, and bytes on standard input."""

from __future__ import annotations

import contextlib
import io
import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.mutate import mutate_bytes
from fuzzing.runner import Check, Mutate, Target
from fuzzing.seeds import made_models, sound_seeds, tone, with_ogg_checksums
from wordspot.errors import WordspotError

_SUFFIXES = (".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff", ".au", ".raw", ".caf", ".w64", "")


def sounds(kind: str, folder: Path) -> tuple[Mutate, Check]:
    """Sound files through the reader, whole and block by block, with and without the check that follows every page."""
    from wordspot.audio.files import read_audio, read_blocks, read_info

    seeds = sound_seeds(kind)

    def mutate(rng: random.Random) -> bytes:
        mutant = mutate_bytes(seeds, rng)
        if kind == "ogg" and rng.random() < 0.7:
            mutant = with_ogg_checksums(mutant)
        number = rng.randrange(len(_SUFFIXES)) if rng.random() < 0.05 else _SUFFIXES.index(f".{kind}")
        return bytes([number]) + mutant

    def check(mutant: bytes) -> str:
        path = folder / f"take{_SUFFIXES[mutant[0]]}"
        path.write_bytes(mutant[1:])
        try:
            with contextlib.suppress(WordspotError):  # the decoder then reads what the thorough check would reject
                audio, _ = read_audio(path, 16_000, channel=None, thorough=False)
                _check_audio(audio)
            read_info(path)
            audio, rate = read_audio(path, channel=0)
            _check_audio(audio)
            rate_again, blocks = read_blocks(path, 20.0, channel=0)
            together = np.concatenate(list(blocks))
            assert rate == rate_again, "two readers give two rates"
            assert np.array_equal(audio, together), "blocks differ from the whole"
        finally:
            path.unlink()
        return "read"

    return mutate, check


def _check_audio(audio: Any) -> None:
    assert audio.dtype == np.float32, audio.dtype
    assert audio.ndim == 1, audio.shape
    assert audio.size, "no samples"
    assert np.isfinite(audio).all(), "not finite"


def raw(folder: Path) -> tuple[Mutate, Check]:
    """Bytes on standard input: samples, and files of every kind where samples are expected."""
    from wordspot.runtime.listener import listen
    from wordspot.runtime.model import open_model

    models = made_models()
    model = open_model(models[0] if models else None)
    samples = (tone(seconds=0.5) * 32767).astype("<i2").tobytes()
    word = np.repeat(np.array([0, 23_000, 0], "<i2"), 20_000).tobytes()  # for the small model: constant sound is a word
    seeds = [samples, word, *(sound_seeds(kind)[0] for kind, _ in _KINDS)]

    def check(mutant: bytes) -> str:
        notices: list[str] = []
        heard = list(listen(model, io.BytesIO(mutant), sample_rate=16_000, on_notice=notices.append))
        assert all(0 <= one.score <= 1 for one in heard)
        assert all("\n" not in notice for notice in notices), notices
        return "heard" if heard else "nothing heard"

    return partial(mutate_bytes, seeds), check


_KINDS = (
    ("wav", "WAV of every encoding, with the headers of recorders and pipes, RF64 and W64"), ("flac", "FLAC"),
    ("ogg", "Ogg Vorbis and Opus, most with mended checksums"), ("mp3", "MP3 with and without tags"),
    ("aiff", "AIFF, AU and CAF"),
)  # fmt: skip
SOUND_TARGETS = (
    *(Target(kind, about, partial(sounds, kind)) for kind, about in _KINDS),
    Target("raw", "samples on standard input, and files where samples are expected", raw),
)
