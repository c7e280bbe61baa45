"""Raw samples that arrive as bytes, block by block: from standard input, a WebSocket or Wyoming. Needs numpy only.

Bytes do not say what they are. If they begin like a sound file, they are not taken for samples: the header of a WAV is
obeyed, and other kinds are rejected by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot.audio.channels import ChannelPicker
from wordspot.audio.kinds import MP3, WAV, kind_of, may_become_known
from wordspot.audio.mpeg import is_mpeg
from wordspot.audio.samples import check_rate
from wordspot.errors import AudioError, ConfigError
from wordspot.progress import OnNote, ignore_note

#: Names of sample formats, as ffmpeg has them → how numpy reads them.
FORMATS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "u8": "u1"}
MAX_CHANNELS = 64
_MAX_HEADER = 1 << 16
_LOUD_POWER, _LOUD_MEAN, _ALIKE = 0.09, 0.5, 0.3  # of noise at full scale; neighbours in sound are more alike
_NO_LENGTH = 0x7FFFF000  # as in `audio.truncation`
_WAV_FORMATS = {(1, 8): "u8", (1, 16): "s16le", (1, 24): "s24le", (1, 32): "s32le", (3, 32): "f32le", (3, 64): "f64le"}
_WIDTHS = {"s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8, "u8": 1}


class RawDecoder:
    """Turns the bytes of one stream into mono samples.

    Args:
        sample_rate: in Hz, if the bytes do not begin with the header of a WAV.
        form: the format of the samples, a name of `FORMATS`.
        n_channels: how many channels are interleaved.
        channel: the one to use, counted from 0; None: by the rule of `audio.channels`.
        on_note: called with what a user should know: a header was found, a channel is silent.
        what: the stream, for messages.
        advice: what to do about bytes of another kind, for messages.

    Attributes:
        sample_rate: in Hz; that of the header if there is one.
        is_ready: whether enough bytes have come to know what they are.
        has_header: whether they began with the header of a WAV.

    Raises:
        ConfigError: no such format.
        AudioError: an impossible sample rate, number of channels or channel.
    """

    def __init__(
        self,
        sample_rate: int,
        form: str = "s16le",
        n_channels: int = 1,
        *,
        channel: int | None = None,
        on_note: OnNote | None = None,
        what: str = "the stream",
        advice: str = "send raw samples",
    ) -> None:
        if form not in FORMATS:
            raise ConfigError(f"`sample_format` must be one of {', '.join(FORMATS)}, got {form!r}")
        self._channel, self._note, self._what, self._advice = channel, on_note or ignore_note, what, advice
        self._waiting, self._n_left, self._n_doubtful = b"", -1, 0
        self._is_paired, self._n_pairs, self._odd = [True] * 3, 0, np.zeros(0, np.int16)
        self.is_ready = self.has_header = False
        self._set(sample_rate, form, n_channels)

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of all channels."""
        return _WIDTHS[self._form] * self._n_channels

    def feed(self, data: bytes) -> NDArray[Any]:
        """The samples that `data` completes: int16 or float32 [n], mono. What is incomplete waits for the next call.

        Raises:
            AudioError: the bytes are a file of a kind that is not read here.
        """
        self._waiting += data
        if not self.is_ready:
            self._look()
        if not self.is_ready:
            return np.zeros(0, np.int16)
        return self._decode()

    def is_whole(self, data: bytes) -> bool:
        """Whether `data`, a message, holds whole samples, or belongs to a file."""
        return self.has_header or len(data) % self.frame_bytes == 0 or (not self.is_ready and kind_of(data) is not None)

    def end(self) -> NDArray[Any]:
        """End the stream: the samples of one so short that nothing was known about it yet."""
        self.is_ready = True
        samples = self._decode()
        if self._waiting:
            self._note("the stream ended in the middle of a sample; its last byte was dropped")
        self._waiting = b""
        return samples

    def _set(self, sample_rate: int, form: str, n_channels: int) -> None:
        check_rate(sample_rate)
        if not 1 <= n_channels <= MAX_CHANNELS:
            raise AudioError(f"the number of channels must lie between 1 and {MAX_CHANNELS}, got {n_channels}")
        self.sample_rate, self._form, self._n_channels = sample_rate, form, n_channels
        self._picker = ChannelPicker(n_channels, sample_rate, self._channel, self._note, self._what)

    def _look(self) -> None:
        """Find out what the bytes are."""
        is_mp3 = is_mpeg(self._waiting)
        if may_become_known(self._waiting) or is_mp3 is None:
            return
        kind = MP3 if is_mp3 else kind_of(self._waiting)
        if kind is None:
            self.is_ready = True
        elif kind == WAV:
            self.has_header = True
            self._read_header()
        else:
            raise AudioError(f"{self._what} is {kind.name}, not raw samples; {self._advice}")

    def _read_header(self) -> None:
        """Read the header of a WAV, if all of it is there."""
        position, form = 12, b""
        while len(head := self._waiting[position : position + 8]) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            position += 8
            if name == b"data":
                self._obey(form)
                self._n_left = length if 0 < length < _NO_LENGTH else -1
                self._waiting, self.is_ready = self._waiting[position:], True
                return
            if name == b"fmt ":
                form = self._waiting[position : position + 40]
            position += length + length % 2
        if position > _MAX_HEADER:
            raise AudioError(f"{self._what} is a WAV without samples in its first {_MAX_HEADER} bytes; {self._advice}")

    def _obey(self, form: bytes) -> None:
        code, n_channels = int.from_bytes(form[:2], "little"), int.from_bytes(form[2:4], "little")
        rate, bits = int.from_bytes(form[4:8], "little"), int.from_bytes(form[14:16], "little")
        if code == 0xFFFE:  # extensible: the code is the beginning of a GUID
            code = int.from_bytes(form[24:26], "little")
        name = _WAV_FORMATS.get((code, bits))
        if name is None:
            raise AudioError(f"{self._what} is a WAV of a kind that is not read live (code {code}, {bits} bits); {self._advice}")
        self._set(rate, name, n_channels)
        self._note(f"{self._what} is a WAV; its header says {rate} Hz, {n_channels} channel(s), {name}")

    def _decode(self) -> NDArray[Any]:
        used = len(self._waiting) // self.frame_bytes * self.frame_bytes
        data, self._waiting = self._waiting[:used], self._waiting[used:]
        if self._n_left >= 0:  # of a WAV: other chunks follow
            data = data[: self._n_left // self.frame_bytes * self.frame_bytes]
            self._n_left -= len(data)
            if self._n_left < self.frame_bytes:
                self._waiting = b""
        samples = self._picker.feed(_as_samples(data, self._form).reshape(-1, self._n_channels))
        if not self.has_header and self._n_doubtful >= 0 and len(samples):
            self._doubt(samples)
        return samples

    def _doubt(self, samples: NDArray[Any]) -> None:
        """Note, once, that a second of samples looks like something else: noise at full scale, or samples in pairs."""
        if any(self._is_paired):
            self._doubt_pairs(samples)
        if self._n_doubtful < 0:
            return
        scale = 32768 if samples.dtype.kind == "i" else 1
        audio = samples.astype(np.float64) / scale
        power = float(np.mean(audio * audio))
        is_alike = abs(float(np.mean(audio[1:] * audio[:-1]))) > _ALIKE * power if len(audio) > 1 else True
        if not power > _LOUD_POWER or (is_alike and abs(float(np.mean(audio))) < _LOUD_MEAN):
            self._n_doubtful = 0
            return
        self._n_doubtful += len(samples)
        if self._n_doubtful >= self.sample_rate:
            self._note_doubt("is like noise at full scale")

    def _doubt_pairs(self, samples: NDArray[Any]) -> None:
        """Stereo taken for mono has equal or half-zero pairs; 32 bits taken for 16 from a source of 16 bits, half-zero ones."""
        if self._n_channels > 1:
            return
        joined = np.concatenate([self._odd, samples])
        pairs, self._odd = joined[: len(joined) // 2 * 2].reshape(-1, 2), joined[len(joined) // 2 * 2 :]
        heard = pairs[1:][(pairs[1:] != pairs[:-1]).any(axis=1)]  # not silence, nor a constant
        is_odd = [not heard[:, 0].any(), not heard[:, 1].any(), bool((heard[:, 0] == heard[:, 1]).all())]
        self._is_paired = [so_far and now for so_far, now in zip(self._is_paired, is_odd, strict=True)]
        self._n_pairs += len(heard)
        if any(self._is_paired) and self._n_pairs * 2 >= self.sample_rate:
            self._note_doubt("repeats every sample" if self._is_paired[2] else "has only zeros in every second sample")

    def _note_doubt(self, text: str) -> None:
        self._n_doubtful = -1
        self._note(f"{self._what} {text}; are its samples {self._form} with {self._n_channels} channel(s)?")


def _as_samples(data: bytes, form: str) -> NDArray[Any]:
    """Bytes as int16, or as float32 in [-1, 1]."""
    if form == "s24le":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) * np.float32(2**-31)
    samples = np.frombuffer(data, "<f8" if form == "f64le" else FORMATS[form])
    if form == "s16le":
        return samples.astype(np.int16, copy=False)
    if form == "s32le":
        return samples.astype(np.float32) * np.float32(2**-31)
    if form == "u8":
        return (samples.astype(np.float32) - 128) / np.float32(128)
    return samples.astype(np.float32)
