"""The classic mel filterbank written as loops, a second implementation to test against."""

from __future__ import annotations

import math

from numpy.typing import NDArray


def mel(hz: float) -> float:
    return 1127 * math.log(1 + hz / 700)


def mel_channels_by_loops(power: NDArray, rate: float, n_mels: int, low: float, high: float) -> list[float]:
    """The classic's mel channels of one power spectrum, bin by bin as its specification words them."""
    hz_per_bin = 0.5 * rate / (len(power) - 1)
    spacing = (mel(high) - mel(low)) / (n_mels + 1)
    centre = [mel(low) + spacing * (i + 1) for i in range(n_mels + 1)]
    channels = [0.0] * n_mels
    for position in range(int(1.5 + low / hz_per_bin), int(high / hz_per_bin) + 1):
        here = mel(position * hz_per_bin)
        c = -1
        while c + 1 <= n_mels and centre[c + 1] < here:
            c += 1
        if c == n_mels:  # only rounding takes a bin past the upper edge
            continue
        below = mel(low) if c == -1 else centre[c]
        w = (centre[c + 1] - here) / (centre[c + 1] - below)
        magnitude = math.sqrt(power[position])
        if c >= 0:
            channels[c] += w * magnitude
        if c + 1 < n_mels:
            channels[c + 1] += (1 - w) * magnitude
    return channels
