"""What chance does to training clips: whole batches as tensors on one device, all chance from a passed generator.

Each transformation is a pure function of a batch and its drawn numbers; `Augmenter` draws them. Chance ends at samples
(and at the two masks over features): the front ends behind it are deterministic.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from wordspot.config import AugmentConfig, FeatureConfig
from wordspot.training.channel import BANDS, compand, equalise

_CLIPS_AT_ONCE = 4
_LOWEST_HZ, _LEAST_BAND = (
    300.0,
    0.4,
)  # of a narrow band: its lower edge at most, its upper one at least, of half the rate


def time_shift(audio: Tensor, shifts: Tensor) -> Tensor:
    """Move each clip later by its shift, zeros filling in.

    Args:
        audio: float32 [batch, samples].
        shifts: int64 [batch], in samples; negative moves a clip earlier.
    """
    n = audio.shape[1]
    shifts = shifts.clamp(-n, n)  # a clip moved by its whole length is gone
    reach = int(shifts.abs().max()) if len(shifts) else 0
    padded = torch.nn.functional.pad(audio, (reach, reach))
    starts = reach - shifts + torch.arange(len(audio), device=audio.device) * padded.shape[1]
    return padded.reshape(-1).unfold(0, n, 1)[starts]


def change_speed(audio: Tensor, factors: Tensor) -> Tensor:
    """Play each clip `factor` times as fast around its middle, pitch and all, by Catmull-Rom interpolation.

    Args:
        audio: float32 [batch, samples].
        factors: float32 [batch]; 1.1 is ten percent faster. What a slower clip lacks room for is cut at both ends.
    """
    if len(audio) > _CLIPS_AT_ONCE and audio.device.type == "cpu":  # so few at once stay in the cache: half the time
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
    """Convolve each clip with its room's impulse response and keep its level and length.

    Args:
        audio: float32 [batch, samples].
        impulses: float32 [batch, taps].
    """
    n_fft = 1 << (audio.shape[1] + impulses.shape[1] - 2).bit_length()
    spectrum = torch.fft.rfft(audio, n_fft) * torch.fft.rfft(impulses, n_fft)
    wet = torch.fft.irfft(spectrum, n_fft)[:, : audio.shape[1]]
    return wet * (_rms(audio) / _rms(wet).clamp(min=1e-9))


def room_impulses(rt60_s: Tensor, level: Tensor, sample_rate: int, generator: Generator) -> Tensor:
    """Synthetic rooms: the direct sound, then noise that falls by 60 dB in `rt60_s`.

    Args:
        rt60_s: float32 [batch], seconds.
        level: float32 [batch], energy of all reflections relative to the direct sound's.

    Returns:
        float32 [batch, taps], as long as the longest reverberation.
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
    """The noise volume [batch] at which a clip stands `snr_db` [batch] above its noise, by their RMS over the clip."""
    return (_rms(audio) / _rms(noise).clamp(min=1e-9)).squeeze(1) * 10 ** (-snr_db / 20)


def mask_features(features: Tensor, n_masks: int, widest: int, axis: int, generator: Generator) -> Tensor:
    """Blank `n_masks` stretches of up to `widest` along `axis` (1: time, 2: frequency) with the clip's mean (SpecAugment)."""
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


class Augmenter:
    """Draws and applies what `AugmentConfig` allows. The defaults are the classic's own rules."""

    def __init__(self, config: AugmentConfig, features: FeatureConfig) -> None:
        self.config, self.sample_rate = config, features.sample_rate

    def change_speed(self, audio: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """Play each clip faster or slower: audio as before [batch, samples], its factors [batch] (1: as it was).

        Before `augment`, since where a word begins and ends moves with it: `stretch_bounds`.
        """
        if self.config.speed <= 0:
            return audio, audio.new_ones(len(audio))
        factors = 1 + self.config.speed * (2 * self._uniform(audio, generator) - 1)
        return change_speed(audio, factors), factors

    def augment(
        self, audio: Tensor, is_silence: Tensor, noise: Tensor | None, generator: Generator, n_scenes: int = 0
    ) -> Tensor:
        """A training batch as the network shall hear it.

        Args:
            audio: float32 [batch, samples]; zeros where `is_silence`.
            is_silence: bool [batch].
            noise: float32 [batch, samples], a stretch of background for each clip, or None where there is none.
            generator: the source of all chance, on the batch's device.
            n_scenes: so many clips at the beginning are cut from scenes: they stay where they are, and noise is never off.
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
        return self._through_channel(audio, generator).clamp(-1, 1)

    def mask(self, features: Tensor, generator: Generator) -> Tensor:
        """Blank stretches of time and bands of frequency in features [batch, frames, features]."""
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
            least = loudness[:n_scenes] * self.config.background_volume  # also where hardly a word is heard
            spoken[:n_scenes] = torch.maximum(spoken[:n_scenes], least)
        else:
            spoken = loudness * self.config.background_volume
        return torch.where(is_silence, loudness, torch.where(chosen, spoken, torch.zeros_like(spoken)))

    def _add_rooms(self, audio: Tensor, generator: Generator) -> Tensor:
        """In some of the clips: a reverberation time up to `room_ms`, reflections 12 dB below to 6 dB above the voice."""
        chosen = self._uniform(audio, generator) < self.config.room_frequency
        rt60_s = self.config.room_ms / 1000 * (0.1 + 0.9 * self._uniform(audio, generator))
        level = 10 ** ((18 * self._uniform(audio, generator) - 12) / 10)
        picked = chosen.nonzero().squeeze(1)
        if not len(picked):
            return audio
        impulses = room_impulses(rt60_s[picked], level[picked], self.sample_rate, generator)
        return audio.index_copy(0, picked, reverberate(audio[picked], impulses))

    def _through_channel(self, audio: Tensor, generator: Generator) -> Tensor:
        """Colour, a narrow band and a telephone's bits, in some of the clips."""
        config = self.config
        if config.equaliser_db > 0 or config.band_frequency > 0:
            gains = torch.rand(len(audio), BANDS, generator=generator, device=audio.device)
            narrow = self._uniform(audio, generator) < config.band_frequency
            low, high = (self._uniform(audio, generator) for _ in range(2))
            low_hz = torch.where(narrow, _LOWEST_HZ * low, -self.sample_rate)
            high_hz = torch.where(
                narrow, self.sample_rate / 2 * (_LEAST_BAND + (1 - _LEAST_BAND) * high), self.sample_rate
            )
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
