"""Random augmentation of entire batches of training clips on one device; all randomness comes from a passed generator.

Each transformation is a pure function of a batch and of its random numbers; `Augmenter` draws these. All of them change
samples, except for colour and masks, which change features: the front ends are deterministic. Equaliser, colour, narrow band
and mu-law simulate microphones, telephone lines and codecs, so that the network cannot recognise a class by one of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor

from wordspot.config import AugmentConfig, FeatureConfig

#: Gains of a random equaliser.
BANDS = 12
#: Gains of a random colour.
COLOURS = 7

_CLIPS_AT_ONCE = _SCENES_AT_ONCE = 4  # so few stay in the processor's cache, which halves the time
_LOWEST_HZ = 300.0  # the highest lower edge of a narrow band
_LEAST_BAND = 0.4  # its lowest upper edge, as a part of half the sample rate
_EDGE_HZ = 100.0  # the width over which a band's edge falls
_MU, _LEVELS = 255.0, 127.0  # of G.711: seven bits beside the sign


def time_shift(audio: Tensor, shifts: Tensor) -> Tensor:
    """Delay each clip by its shift and fill with zeros.

    Args:
        audio: float32 [batch, samples].
        shifts: int64 [batch], in samples; negative moves a clip earlier.
    """
    n = audio.shape[1]
    shifts = shifts.clamp(-n, n)  # a clip moved by its entire length is gone
    reach = int(shifts.abs().max()) if len(shifts) else 0
    padded = torch.nn.functional.pad(audio, (reach, reach))
    starts = reach - shifts + torch.arange(len(audio), device=audio.device) * padded.shape[1]
    return padded.reshape(-1).unfold(0, n, 1)[starts]


def change_speed(audio: Tensor, factors: Tensor) -> Tensor:
    """Play each clip `factor` times as fast around its middle (pitch included), by Catmull-Rom interpolation.

    Args:
        audio: float32 [batch, samples].
        factors: float32 [batch]; 1.1 is ten percent faster. A slower clip is cut at both ends to its length.
    """
    if len(audio) > _CLIPS_AT_ONCE and audio.device.type == "cpu":
        parts = zip(torch.split(audio, _CLIPS_AT_ONCE), torch.split(factors, _CLIPS_AT_ONCE), strict=True)
        return torch.cat([change_speed(*part) for part in parts])
    n = audio.shape[1]
    position = torch.arange(n, device=audio.device)
    moved = (position - (n - 1) / 2) * (factors[:, None] - 1)  # small beside the position, so float32 keeps it exact
    base = moved.floor()
    t = moved - base
    index = position + base.long() + 2  # two zeros stand before and after the clip
    outside = (index < 1) | (index > n + 1)
    padded = torch.nn.functional.pad(audio, (2, 3))
    index = index.clamp(1, n + 1)
    before, left, right, after = (padded.gather(1, index + offset) for offset in (-1, 0, 1, 2))
    slope_left, slope_right = (right - before) / 2, (after - left) / 2
    cubic = 2 * (left - right) + slope_left + slope_right
    square = 3 * (right - left) - 2 * slope_left - slope_right
    value = ((cubic * t + square) * t + slope_left) * t + left
    return value.masked_fill(outside, 0.0)


def stretch_bounds(bounds: Tensor, factors: Tensor, n_samples: int) -> Tensor:
    """Where speech lies after `change_speed`: bounds int64 [batch, (first, stop)], within the clip's `n_samples`."""
    middle = n_samples / 2
    moved = middle + (bounds - middle) / factors[:, None]
    return moved.round().long().clamp(0, n_samples)


def reverberate(audio: Tensor, impulses: Tensor) -> Tensor:
    """Convolve each clip with an impulse response, keeping its RMS and length.

    Args:
        audio: float32 [batch, samples].
        impulses: float32 [batch, taps].
    """
    n_fft = 1 << (audio.shape[1] + impulses.shape[1] - 2).bit_length()
    spectrum = torch.fft.rfft(audio, n_fft) * torch.fft.rfft(impulses, n_fft)
    wet = torch.fft.irfft(spectrum, n_fft)[:, : audio.shape[1]]
    result: Tensor = wet * (_rms(audio) / _rms(wet).clamp(min=1e-9))
    return result


def room_impulses(rt60_s: Tensor, level: Tensor, sample_rate: int, generator: Generator) -> Tensor:
    """Synthetic room impulse responses: the direct sound, then noise that decays by 60 dB in `rt60_s`.

    Args:
        rt60_s: float32 [batch], seconds.
        level: float32 [batch], energy of all reflections relative to that of the direct sound.
        sample_rate: in Hz.
        generator: draws the noise.

    Returns:
        float32 [batch, taps], as many taps as the longest reverberation has.
    """
    n = max(int(float(rt60_s.max()) * sample_rate), 2)
    time = torch.arange(n, device=rt60_s.device) / sample_rate
    noise = torch.randn(len(rt60_s), n, generator=generator, device=rt60_s.device)
    tail = noise * torch.exp(-math.log(1000) * time / rt60_s[:, None])
    tail[:, : max(sample_rate // 500, 1)] = 0  # the first reflection comes 2 ms after the direct sound
    impulses = tail * (level / tail.square().sum(dim=1).clamp(min=1e-12)).sqrt()[:, None]
    impulses[:, 0] = 1
    return impulses


def mix_noise(audio: Tensor, noise: Tensor, volume: Tensor) -> Tensor:
    """``clip(audio + noise * volume, -1, 1)``; audio, noise [batch, samples], volume [batch]."""
    return torch.addcmul(audio, noise, volume[:, None]).clamp_(-1, 1)


def volume_for_snr(audio: Tensor, noise: Tensor, snr_db: Tensor) -> Tensor:
    """The noise volume [batch] for a signal-to-noise ratio of `snr_db` [batch], by the RMS over the clip."""
    return (_rms(audio) / _rms(noise).clamp(min=1e-9)).squeeze(1) * 10 ** (-snr_db / 20)


def mask_features(features: Tensor, n_masks: int, widest: int, axis: int, generator: Generator) -> Tensor:
    """Set `n_masks` intervals of up to `widest` along `axis` (1: time, 2: frequency) to the clip's mean (SpecAugment)."""
    size = features.shape[axis]
    position = torch.arange(size, device=features.device)
    blank = torch.zeros(len(features), size, dtype=torch.bool, device=features.device)
    for _ in range(n_masks):
        width = torch.randint(0, min(widest, size) + 1, (len(features), 1), generator=generator, device=features.device)
        place = torch.rand(len(features), 1, generator=generator, device=features.device)
        start = (place * (size - width + 1)).long()
        blank |= (position >= start) & (position < start + width)
    shape = (len(features), size, 1) if axis == 1 else (len(features), 1, size)
    return torch.where(blank.reshape(shape), features.mean(dim=(1, 2), keepdim=True), features)


def equalise(audio: Tensor, gains_db: Tensor, low_hz: Tensor, high_hz: Tensor, sample_rate: int) -> Tensor:
    """Filter each clip by a smooth response through its gains, and remove what is below `low_hz` or above `high_hz`.

    Args:
        audio: float32 [batch, samples].
        gains_db: float32 [batch, bands], at frequencies evenly from 0 to half the sample rate.
        low_hz, high_hz: float32 [batch]; a `high_hz` above half the sample rate removes nothing.
    """
    n = audio.shape[1]
    spectrum = torch.fft.rfft(audio, 2 * n)  # twice as long, against circular convolution
    hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[1], device=audio.device)
    response_db = torch.nn.functional.interpolate(gains_db[:, None], size=spectrum.shape[1], mode="linear", align_corners=True)[
        :, 0
    ]
    passed = torch.sigmoid((high_hz[:, None] - hertz) / _EDGE_HZ * 4) * torch.sigmoid((hertz - low_hz[:, None]) / _EDGE_HZ * 4)
    result: Tensor = torch.fft.irfft(spectrum * passed * 10 ** (response_db / 20), 2 * n)[:, :n]
    return result


def compand(audio: Tensor) -> Tensor:
    """Quantise each clip to the 8 bits of the mu-law of G.711, relative to its own peak."""
    peak = audio.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)
    squeezed = torch.log1p(_MU * (audio / peak).abs()) / math.log1p(_MU)
    coded = torch.round(squeezed * _LEVELS) / _LEVELS
    return audio.sign() * peak * torch.expm1(coded * math.log1p(_MU)) / _MU


class Augmenter:
    """Draws random numbers and applies the transformations of an `AugmentConfig`, whose defaults are the classic rules."""

    def __init__(self, config: AugmentConfig, features: FeatureConfig) -> None:
        self.config, self.sample_rate = config, features.sample_rate

    def change_speed(self, audio: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Play each clip faster or slower: audio [batch, samples], and its factors [batch] (1: unchanged).

        This comes before `augment`, since it moves where a word begins and ends: see `stretch_bounds`.
        """
        if self.config.speed <= 0:
            return audio, audio.new_ones(len(audio))
        factors = 1 + self.config.speed * (2 * self._uniform(audio, generator) - 1)
        return change_speed(audio, factors), factors

    def augment(self, audio: Tensor, is_silence: Tensor, noise: Tensor | None, generator: Generator, n_scenes: int = 0) -> Tensor:
        """A training batch, augmented except for its speed.

        Args:
            audio: float32 [batch, samples]; zeros where `is_silence`.
            is_silence: bool [batch].
            noise: float32 [batch, samples], background for each clip, or None if there is none.
            generator: the source of all randomness, on the batch's device.
            n_scenes: the first `n_scenes` clips are cut from scenes: they are not shifted, and noise is always added.
        """
        reach = int(self.config.time_shift_ms * self.sample_rate / 1000)
        if reach > 0:
            shifts = torch.randint(-reach, reach, (len(audio),), generator=generator, device=audio.device)
            shifts[:n_scenes] = 0
            audio = time_shift(audio, shifts)
        if self.config.room_frequency > 0:
            audio = self._add_rooms(audio, generator)
        if self.config.gain_db > 0:
            gain_db = self.config.gain_db * (2 * self._uniform(audio, generator) - 1)
            audio = audio * (10 ** (gain_db / 20))[:, None]
        if noise is not None:
            audio = mix_noise(audio, noise, self._volumes(audio, is_silence, noise, generator, n_scenes))
        return self.through_channel(audio, generator).clamp(-1, 1)

    def features(self, front_end: Any, audio: Tensor, generator: Generator) -> Tensor:
        """Features [batch, frames, features] of audio [batch, samples], with random colour, stretch and masks."""
        if self.config.colour_db <= 0 and self.config.warp <= 0:
            return self.mask(front_end(audio), generator)
        colours = self._colours(len(audio), generator, audio.device)
        if hasattr(front_end, "coloured"):
            size = _SCENES_AT_ONCE if audio.device.type == "cpu" else len(audio)
            changes = [audio, colours]
            if self.config.warp > 0:
                changes.append(self._stretches(len(audio), generator, audio.device))
            parts = zip(*(torch.split(one, size) for one in changes), strict=True)
            return self.mask(torch.cat([front_end.coloured(*part) for part in parts]), generator)
        everything = audio.new_full((len(audio),), float(self.sample_rate))
        return self.mask(front_end(equalise(audio, colours, -everything, everything, self.sample_rate)), generator)

    def _colours(self, n: int, generator: Generator, device: torch.device) -> Tensor:
        """Curves in dB at `COLOURS` frequencies: [n, COLOURS]. Their deviation is up to `colour_db`."""
        curves = torch.randn(n, COLOURS, generator=generator, device=device)
        return curves * self.config.colour_db * torch.rand(n, 1, generator=generator, device=device)

    def _stretches(self, n: int, generator: Generator, device: torch.device) -> Tensor:
        """Factors [n] from 1 - `warp` to 1 + `warp`, half of which are 1."""
        one, drawn = (torch.rand(n, generator=generator, device=device) for _ in range(2))
        return 1 + self.config.warp * torch.where(one < 0.5, 0.0, 2 * drawn - 1)

    def mask(self, features: Tensor, generator: Generator) -> Tensor:
        """Mask random times and frequency bands in features [batch, frames, features]."""
        for n_masks, widest, axis in (
            (self.config.time_masks, self.config.time_mask_frames, 1),
            (self.config.frequency_masks, self.config.frequency_mask_bands, 2),
        ):
            if n_masks > 0 and widest > 0:
                features = mask_features(features, n_masks, widest, axis, generator)
        return features

    def _volumes(self, audio: Tensor, is_silence: Tensor, noise: Tensor, generator: Generator, n_scenes: int) -> Tensor:
        """Silence: U(0, 1). Else, with probability `background_frequency`: U(0, `background_volume`) or by SNR. Else 0."""
        loudness = self._uniform(audio, generator)
        chosen = self._uniform(audio, generator) < self.config.background_frequency
        chosen[:n_scenes] = True
        if self.config.snr_db:
            low, high = self.config.snr_db
            spoken = volume_for_snr(audio, noise, low + (high - low) * loudness)
            least = loudness[:n_scenes] * self.config.background_volume  # also if hardly a word is audible
            spoken[:n_scenes] = torch.maximum(spoken[:n_scenes], least)
        else:
            spoken = loudness * self.config.background_volume
        return torch.where(is_silence, loudness, torch.where(chosen, spoken, torch.zeros_like(spoken)))

    def _add_rooms(self, audio: Tensor, generator: Generator) -> Tensor:
        """Add reverberation of up to `room_ms` to some clips, with reflections 12 dB below to 6 dB above the voice."""
        chosen = self._uniform(audio, generator) < self.config.room_frequency
        rt60_s = self.config.room_ms / 1000 * (0.1 + 0.9 * self._uniform(audio, generator))
        level = 10 ** ((18 * self._uniform(audio, generator) - 12) / 10)
        picked = chosen.nonzero().squeeze(1)
        if not len(picked):
            return audio
        impulses = room_impulses(rt60_s[picked], level[picked], self.sample_rate, generator)
        return audio.index_copy(0, picked, reverberate(audio[picked], impulses))

    def through_channel(self, audio: Tensor, generator: Generator) -> Tensor:
        """Apply an equaliser, a narrow band or a telephone's mu-law to some of the clips."""
        config = self.config
        if config.equaliser_db > 0 or config.band_frequency > 0:
            gains = torch.rand(len(audio), BANDS, generator=generator, device=audio.device)
            narrow = self._uniform(audio, generator) < config.band_frequency
            low, high = (self._uniform(audio, generator) for _ in range(2))
            low_hz = torch.where(narrow, _LOWEST_HZ * low, -self.sample_rate)
            high_hz = torch.where(narrow, self.sample_rate / 2 * (_LEAST_BAND + (1 - _LEAST_BAND) * high), self.sample_rate)
            audio = equalise(audio, config.equaliser_db * (2 * gains - 1), low_hz, high_hz, self.sample_rate)
        if config.codec_frequency > 0:
            coded = self._uniform(audio, generator) < config.codec_frequency
            audio = torch.where(coded[:, None], compand(audio), audio)
        return audio

    @staticmethod
    def _uniform(audio: Tensor, generator: Generator) -> Tensor:
        return torch.rand(len(audio), generator=generator, device=audio.device)


def _rms(audio: Tensor) -> Tensor:
    """[batch, samples] → [batch, 1]."""
    return audio.square().mean(dim=1, keepdim=True).sqrt()
