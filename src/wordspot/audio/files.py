"""Read and write sound files. Above this module, audio is mono float32 at a known rate.

libsndfile (`soundfile`) reads WAV of every PCM width and of floats, FLAC, Ogg (Vorbis, Opus) and MP3.

One rule for channels, wherever a file is read: the first channel, unless the caller names another or asks for the mean of
all. A file whose channel is silent while another is not is rejected, not processed as silence.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from wordspot.audio.resample import resample
from wordspot.audio.samples import LOUDEST, MAX_RATE, MIN_RATE, Samples, to_int16
from wordspot.audio.truncation import open_whole
from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.files import atomic_path

#: Longest recording that is decoded as a whole: six hours at 16 kHz. A header with more is rejected before allocation.
MAX_SAMPLES = 6 * 3600 * 16_000
MAX_CHANNELS = 64
_BLOCK = 1 << 16
_NO_COUNT = 2**63 - 1  # libsndfile's number of samples for a FLAC whose header has none
_WRITTEN = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
_SILENT, _AUDIBLE = 1e-4, 1e-2  # peaks: -80 dBFS, -40 dBFS


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says, before anything is decoded.

    Attributes:
        sample_rate: in Hz.
        n_channels: of the file.
        n_samples: per channel; 0 if the header has no count, as that of a FLAC written to a pipe.
        format: container and encoding.
    """

    sample_rate: int
    n_channels: int
    n_samples: int
    format: str

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.n_samples / self.sample_rate


def read_info(path: Path, *, thorough: bool = True) -> AudioInfo:
    """Read the header of a sound file.

    Args:
        path: the file.
        thorough: as in `read_audio`.

    Raises:
        NotFoundError: no such file.
        AudioError: empty, truncated, or not a sound file that can be read.
    """
    with _open(path, thorough) as file:
        return AudioInfo(file.samplerate, file.channels, _promised(file), f"{file.format} {file.subtype}")


def read_audio(
    path: Path, sample_rate: int | None = None, *, channel: int | None = 0, thorough: bool = True
) -> tuple[Samples, int]:
    """Decode an entire sound file.

    Args:
        path: the file.
        sample_rate: resample to this rate in Hz; None keeps the file's own.
        channel: which channel to return, counted from 0; None returns the mean of all.
        thorough: check every page of an Ogg and every frame of an MP3 first, because libsndfile does not report that such
            a file is truncated. This takes time; turn it off for files that have been checked before.

    Returns:
        audio: mono float32 [samples], in [-1, 1] except for files of floats that exceed it.
        sample_rate: in Hz.

    Raises:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, too long, not finite, or with a silent channel beside one that is not.
    """
    blocks = []
    with _open(path, thorough) as file:
        _check_header(file, path, most_samples=MAX_SAMPLES)
        rate = int(file.samplerate)
        for block in _decode(file, path, _BLOCK, channel):
            blocks.append(block)
            if len(blocks) * _BLOCK > MAX_SAMPLES + _BLOCK:
                raise AudioError(f"{path}: longer than {MAX_SAMPLES} samples; cut the recording into parts")
    audio = np.concatenate(blocks)
    if sample_rate is None or rate == sample_rate:
        return audio, rate
    if audio.size * sample_rate > MAX_SAMPLES * rate:
        raise AudioError(f"{path}: longer than {MAX_SAMPLES} samples at {sample_rate} Hz; cut the recording into parts")
    return resample(audio, rate, sample_rate), sample_rate


def read_blocks(
    path: Path, block_ms: float = 1000.0, *, channel: int | None = 0, thorough: bool = True
) -> tuple[int, Iterator[Samples]]:
    """Decode a sound file block by block, so that a recording of any length needs little memory.

    Args:
        path: the file.
        block_ms: length of a block.
        channel: as in `read_audio`.
        thorough: as in `read_audio`.

    Returns:
        sample_rate: in Hz.
        blocks: float32 [samples], which together are what `read_audio` returns.

    Raises, when called or while the blocks are read:
        NotFoundError: no such file.
        AudioError: as `read_audio`.
    """
    file = _open(path, thorough)
    try:
        _check_header(file, path)
    except AudioError:
        file.close()
        raise
    rate = int(file.samplerate)
    return rate, _decode(file, path, max(int(rate * block_ms / 1000), 1), channel)


def write_audio(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write float32 [samples] as 16-bit WAV, FLAC or Ogg Vorbis, by the file's suffix, atomically.

    Raises:
        ConfigError: another suffix.
        AudioError: NaN or infinity among the samples.
        OSError: the disk is full, or another reason why not all of it could be written.
    """
    check_out_name(path)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: the samples to write are NaN or infinite")
    container, subtype = _WRITTEN[path.suffix.lower()]
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(_native(temporary), "w", sample_rate, 1, subtype, format=container) as file:
                for start in range(0, len(audio), _BLOCK):  # a long Vorbis in one piece overflows libsndfile's stack
                    file.write(to_int16(audio[start : start + _BLOCK]))
            written = soundfile.info(_native(temporary)).frames if len(audio) else 0
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path}: could not be written ({_reason(error)}); is the disk full?") from error
        if written != len(audio):  # FLAC and Vorbis report no error if the end does not fit on the disk
            raise OSError(f"{path}: not all of its {len(audio)} samples could be written; is the disk full?")


def check_out_name(path: Path) -> None:
    """Raises ConfigError for a name whose suffix `write_audio` does not know."""
    if path.suffix.lower() not in _WRITTEN:
        raise ConfigError(f"{path}: expected a name that ends in {', '.join(_WRITTEN)}")


def encode_wav(audio: Samples, sample_rate: int) -> bytes:
    """Encode float32 [samples] as a 16-bit WAV file, in memory."""
    buffer = io.BytesIO()
    soundfile.write(buffer, to_int16(audio), sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is only read forward: soundfile seeks after each block, and an MP3 then loses its next frames."""

    def __init__(self, source: Path | BinaryIO) -> None:
        self._source = source
        try:
            super().__init__(_native(source) if isinstance(source, Path) else source)
        except BaseException:
            self._close_source()
            raise

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        super().close()
        self._close_source()

    def _close_source(self) -> None:
        if not isinstance(self._source, Path):  # soundfile closes only what it opened itself
            self._source.close()


def _open(path: Path, thorough: bool) -> soundfile.SoundFile:
    if path.is_dir():
        raise NotFoundError(f"{path}: expected a sound file, but it is a folder")
    if not path.exists():
        raise NotFoundError(f"{path}: expected a sound file, but there is no such file")
    if not path.is_file():
        raise AudioError(f"{path}: a pipe or a device, not a file; write it to a file first")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: expected a recording, but the file is empty (0 bytes)")
    try:
        return _Forward(open_whole(path, thorough=thorough))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file would need a given rate
        raise AudioError(f"{path}: expected WAV, FLAC, Ogg or MP3, but it cannot be read ({_reason(error)})") from error
    except OSError as error:
        raise AudioError(f"{path}: cannot be opened ({error.strerror}); check who may read it") from error


def _native(path: Path) -> bytes | str:
    """A file's name for soundfile, which cannot encode all that a name may hold: any bytes, except on Windows."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def _promised(file: soundfile.SoundFile) -> int:
    return 0 if file.frames == _NO_COUNT else int(file.frames)


def _check_header(file: soundfile.SoundFile, path: Path, most_samples: int | None = None) -> None:
    """Reject what would take too much time or memory, before anything is decoded."""
    n_samples, n_channels = _promised(file), file.channels
    is_long = most_samples is not None and max(n_samples, n_samples * n_channels // 4) > most_samples
    if n_channels > MAX_CHANNELS or is_long:
        length = "" if most_samples is None else f"{most_samples} samples in at most "
        raise AudioError(
            f"{path}: expected at most {length}{MAX_CHANNELS} channels, its header says {n_samples} samples in "
            f"{n_channels}; cut the recording into parts"
        )
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise AudioError(
            f"{path}: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, its header says {file.samplerate}; "
            "convert it again or remove it"
        )


def _decode(file: soundfile.SoundFile, path: Path, size: int, channel: int | None) -> Iterator[Samples]:
    """Blocks of `size` samples, mono and checked. A header with too many samples costs no memory."""
    n_samples, promised, levels = 0, _promised(file), _Levels(file.channels)
    with file:
        while True:
            try:
                block = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(
                    f"{path}: damaged, it does not decode ({_reason(error)}); convert it again or remove it"
                ) from error
            if not len(block):
                break
            n_samples += len(block)
            mono = _to_mono(block, channel, path)
            _check_samples(mono, path)
            levels.feed(block, mono)
            yield mono
    if n_samples == 0:
        raise AudioError(f"{path}: expected a recording, but it holds no samples; record it again or remove it")
    if file.format != "MP3" and n_samples < promised:  # the count of an MP3 may be an estimate; its frames are checked
        raise AudioError(f"{path}: truncated, its header promises {promised} samples, it holds {n_samples}")
    levels.check(channel, path)


def _to_mono(block: Samples, channel: int | None, path: Path) -> Samples:
    """One channel of float32 [samples, channels], or the mean of all: the only place where channels are chosen."""
    n_channels = block.shape[1]
    if channel is None:
        with np.errstate(invalid="ignore", over="ignore"):  # `_check_samples` reports what is not finite
            return block[:, 0].copy() if n_channels == 1 else block.mean(axis=1, dtype=np.float32)
    if not 0 <= channel < n_channels:
        raise AudioError(f"{path}: there is no channel {channel}, the file has {n_channels}; channels count from 0")
    return block[:, channel].copy()


class _Levels:
    """The peak of each channel and of what is used of them."""

    def __init__(self, n_channels: int) -> None:
        self._peaks, self._used = np.zeros(n_channels, np.float32), 0.0

    def feed(self, block: Samples, mono: Samples) -> None:
        if len(self._peaks) > 1:
            self._peaks = np.maximum(self._peaks, np.abs(block).max(axis=0))
            self._used = max(self._used, float(np.abs(mono).max()))

    def check(self, channel: int | None, path: Path) -> None:
        """Raises AudioError if what is used is silent while a channel is not."""
        loudest = int(self._peaks.argmax())
        if self._used >= _SILENT or self._peaks[loudest] < _AUDIBLE:
            return
        what = "the mean of its channels" if channel is None else f"channel {channel}"
        raise AudioError(f"{path}: {what} is silent, but channel {loudest} is not; use that channel, or convert the file to mono")


def _check_samples(audio: Samples, path: Path) -> None:
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise AudioError(f"{path}: {bad} of {audio.size} samples are NaN or infinite; record it again")
    peak = float(np.abs(audio).max())
    if peak > LOUDEST:
        raise AudioError(f"{path}: expected samples within [-1, 1], but they reach {peak:.3g}; scale the recording")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")
