"""The stream of TensorFlow's speech_commands example: words at regular intervals over noise. `soundscape` is more realistic."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from wordspot.audio.effects import add_ramped
from wordspot.audio.samples import Samples
from wordspot.audio.speech import speech_bounds
from wordspot.data.scenes.material import Scene, StreamMaterial, check_percent, draw_word, stream_samples
from wordspot.data.truth import SpokenWord
from wordspot.errors import ConfigError

_RAMP_SAMPLES = 500
_NOISE_EVERY_MS, _NOISE_MS, _NOISE_RAMP_MS = 1000, 1500, 250


def classic_stream(
    material: StreamMaterial,
    seconds: float,
    rng: Generator,
    *,
    gap_ms: float = 2000.0,
    unknown_percent: float = 30.0,
    noise_volume: float = 0.1,
) -> Scene:
    """The stream of TensorFlow's speech_commands example: one word per slot of a clip and a gap, over changing noise.

    A piece of noise of 1.5 s begins every second, with ramps of 250 ms, at a volume up to `noise_volume`. Each slot contains
    one word that begins within the slot's first `gap_ms`, at full volume with ramps of 500 samples. It is an unknown word
    with a probability of `unknown_percent`, otherwise one of the wanted words, all equally likely. The sum is clipped.

    Raises:
        ConfigError: a setting out of range, or a length that is too short for a word or too long.
        DataError: unknown words are asked for, but the set has none.
    """
    _check_classic(material, gap_ms, unknown_percent, noise_volume)
    n_samples = stream_samples(seconds, material.sample_rate)
    gap = int(material.sample_rate * gap_ms / 1000)
    slot = material.clip_samples + gap
    if n_samples < slot:
        raise ConfigError(f"a stream must hold a clip and a gap, {slot / material.sample_rate:g} s, got {seconds:g} s")
    audio = np.zeros(n_samples, np.float32)
    if material.noise and noise_volume > 0:
        _add_noise(audio, material, noise_volume, rng)
    words = []
    for start in range(0, n_samples - slot + 1, slot):
        label, recording = draw_word(material, unknown_percent, rng)
        clip = material.read_clip(recording)
        begin = start + int(rng.uniform(0, gap))
        add_ramped(audio, clip, begin, _RAMP_SAMPLES)
        stop = begin + speech_bounds(clip, material.sample_rate)[1]
        unit = 1000 / material.sample_rate
        words.append(SpokenWord(label, begin * unit, stop * unit, recording.path))
    return Scene(np.clip(audio, -1, 1, out=audio), material.sample_rate, tuple(words))


def _add_noise(audio: Samples, material: StreamMaterial, volume: float, rng: Generator) -> None:
    every, length, ramp = (material.sample_rate * ms // 1000 for ms in (_NOISE_EVERY_MS, _NOISE_MS, _NOISE_RAMP_MS))
    for start in range(0, len(audio), every):
        piece = material.cut_noise(length, rng) * np.float32(rng.uniform(0, volume))
        add_ramped(audio, piece, start, ramp)


def _check_classic(material: StreamMaterial, gap_ms: float, unknown_percent: float, noise_volume: float) -> None:
    if not 0 < gap_ms <= 1e6:
        raise ConfigError(f"the gap must be more than 0 and at most 1000 s, got {gap_ms / 1000:g} s")
    check_percent(material, unknown_percent)
    if not 0 <= noise_volume <= 1:
        raise ConfigError(f"`noise_volume` must lie between 0 and 1, got {noise_volume:g}")
