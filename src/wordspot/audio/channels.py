"""Choose one of several channels, by the same rule for files, microphones, standard input and the server.

The first channel is used. If it is silent while another is not, the loudest is used instead, with a note. A caller that
names a channel always gets that one, with a note if it is silent while another is not. Channels are never summed, since two
microphones of opposite polarity would cancel each other.

"Silent" means 40 dB below the loudest channel, so that a channel with the crosstalk of a lossy codec counts too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import AudioError
from wordspot.progress import OnNote, ignore_note

_SILENT, _AUDIBLE = 1e-4, 1e-2  # peaks: -80 dBFS, -40 dBFS
_FAINT = 1e-2  # relative to the loudest channel
_SILENT_SECONDS = 0.5  # of a live stream, after which another channel is tried


def is_silent_beside(used: float, loudest: float) -> bool:
    """Whether a channel with the peak `used` is silent while another, with the peak `loudest`, is not."""
    return loudest >= _AUDIBLE and used < max(_SILENT, _FAINT * loudest)


def check_channel(channel: int | None, n_channels: int, what: str) -> None:
    """Raises AudioError for a channel that does not exist. `what` names the source in the message."""
    if channel is not None and not 0 <= channel < n_channels:
        raise AudioError(f"there is no channel {channel}, {what} has {n_channels}; channels count from 0")


def peaks_of(block: NDArray[Any]) -> NDArray[np.float64]:
    """The peak of each channel of float or integer [samples, channels]; those of integers are scaled to 1."""
    if not len(block):
        return np.zeros(block.shape[1])
    scale = 1.0 if block.dtype.kind == "f" else -1.0 / np.iinfo(block.dtype).min
    with np.errstate(invalid="ignore"):  # NaN, which the reader reports
        high, low = block.max(axis=0).astype(np.float64), block.min(axis=0).astype(np.float64)
    return np.asarray(np.maximum(high, -low) * scale)


def loudest_channel(blocks: Iterable[NDArray[Any]], n_channels: int) -> int:
    """The channel that the rule chooses for an entire recording. Reading stops as soon as the first is not silent."""
    peaks = np.zeros(n_channels)
    for block in blocks:
        peaks = np.maximum(peaks, peaks_of(block))
        if peaks[0] >= _AUDIBLE:
            return 0
    loudest = int(peaks.argmax())
    return loudest if is_silent_beside(peaks[0], peaks[loudest]) else 0


class ChannelPicker:
    """Picks one channel of a live stream, which cannot be looked at in advance.

    Args:
        n_channels: of the stream.
        sample_rate: in Hz.
        channel: the one to use (default: by the rule). A stream switches to another channel if its own has been silent for
            half a second and another one is not.
        on_note: called when the channel changes, or once if the named one is silent while another is not.
        what: name of the source, for messages.

    Raises:
        AudioError: there is no such channel.
    """

    def __init__(
        self,
        n_channels: int,
        sample_rate: int,
        channel: int | None = None,
        on_note: OnNote | None = None,
        what: str = "the stream",
    ) -> None:
        check_channel(channel, n_channels, what)
        self.channel, self._is_fixed = channel or 0, channel is not None
        self._note, self._what, self._noted = on_note or ignore_note, what, {self.channel}
        self._rate, self._n_silent = sample_rate, 0

    def feed(self, block: NDArray[Any]) -> NDArray[Any]:
        """One channel of the next block: [samples, channels] → [samples], of the same type."""
        if block.shape[1] > 1 and len(block):
            self._look(block)
        picked: NDArray[Any] = block[:, self.channel].copy()
        return picked

    def _look(self, block: NDArray[Any]) -> None:
        peaks = peaks_of(block)
        loudest = int(peaks.argmax())
        if not is_silent_beside(peaks[self.channel], max(peaks[loudest], _AUDIBLE)):
            self._n_silent = 0
            return
        self._n_silent += len(block)
        if self._n_silent < _SILENT_SECONDS * self._rate or not is_silent_beside(peaks[self.channel], peaks[loudest]):
            return
        text = f"channel {self.channel} of {self._what} is silent, but channel {loudest} is not"
        is_new = loudest not in self._noted
        self._noted.add(loudest)
        if not self._is_fixed:
            self.channel, self._n_silent = loudest, 0
            text += f"; channel {loudest} is used from here on"
        if is_new:
            self._note(text)
