"""Read and write sound files. Above this module, audio is mono float32 at a known rate.

libsndfile (`soundfile`) reads WAV of every PCM width and of floats, FLAC, Ogg (Vorbis, Opus) and MP3.

`audio.channels` has the rule for channels: the first, or another if that is silent, unless the caller names one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from wordspot.audio.channels import check_channel, is_silent_beside, loudest_channel, peaks_of
from wordspot.audio.mpeg import TOLERANCE_SECONDS, way_out
from wordspot.audio.opening import check_header, native_name, open_sound, promised, reason
from wordspot.audio.resample import resample
from wordspot.audio.samples import LOUDEST, Samples, to_int16
from wordspot.errors import AudioError, ConfigError
from wordspot.files import atomic_path
from wordspot.progress import OnNote, ignore_note

#: Longest recording that is decoded at once: six hours at 16 kHz. A header with more is rejected before allocation.
MAX_SAMPLES = 6 * 3600 * 16_000
_BLOCK = 1 << 16
_SEEKABLE = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC")
_SAMPLE_BY_SAMPLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_WRITTEN = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}


@dataclass(frozen=True)
class AudioInfo:
    """A file's header, read without decoding any audio.

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

    @property
    def can_seek(self) -> bool:
        """Whether decoding can start at any sample with the same result: PCM and FLAC, unlike MP3, Vorbis and Opus."""
        container, _, encoding = self.format.partition(" ")
        return container in _SEEKABLE and encoding.startswith(_SAMPLE_BY_SAMPLE)


def read_info(path: Path, *, thorough: bool = True) -> AudioInfo:
    """Read the header of a sound file.

    Args:
        path: the file.
        thorough: as in `read_audio`.

    Raises:
        NotFoundError: no such file.
        AudioError: empty, truncated, or not a sound file that can be read.
    """
    with open_sound(path, ignore_note, thorough=thorough) as file:
        return AudioInfo(file.samplerate, file.channels, promised(file), f"{file.format} {file.subtype}")


def read_audio(
    path: Path,
    sample_rate: int | None = None,
    *,
    channel: int | None = None,
    thorough: bool = True,
    on_note: OnNote | None = None,
) -> tuple[Samples, int]:
    """Decode an entire sound file.

    Args:
        path: the file.
        sample_rate: resample to this rate in Hz; None keeps the file's own.
        channel: which channel to return, counted from 0; None: the first, or the loudest if the first is silent.
        thorough: check every page of an Ogg and every frame of an MP3 first, because libsndfile does not report that such
            a file is truncated. This takes time; turn it off for files that have been checked before.
        on_note: called with warnings: a silent channel, a header that is slightly wrong.

    Returns:
        audio: mono float32 [samples], in [-1, 1] except for files of floats that exceed it.
        sample_rate: in Hz.

    Raises:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, too long, not finite, or without such a channel.
    """
    blocks, note = [], on_note or ignore_note
    with open_sound(path, note, thorough=thorough) as file:
        check_header(file, path, most_samples=MAX_SAMPLES)
        rate = int(file.samplerate)
        for block in _decode(file, path, _BLOCK, channel, note):
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
    path: Path,
    block_ms: float = 1000.0,
    *,
    channel: int | None = None,
    start: int = 0,
    thorough: bool = True,
    on_note: OnNote | None = None,
) -> tuple[int, Iterator[Samples]]:
    """Decode a sound file block by block, so that a recording of any length needs little memory.

    Args:
        path: the file.
        block_ms: length of a block.
        start: the first sample to return, of a file that `AudioInfo.can_seek`.
        channel: as in `read_audio`.
        thorough: as in `read_audio`.
        on_note: as in `read_audio`.

    Returns:
        sample_rate: in Hz.
        blocks: float32 [samples], which together are what `read_audio` returns.

    Raises, when called or while the blocks are read:
        NotFoundError: no such file.
        AudioError: as `read_audio`.
    """
    note = on_note or ignore_note
    file = open_sound(path, note, thorough=thorough)
    try:
        check_header(file, path)
    except AudioError:
        file.close()
        raise
    rate = int(file.samplerate)
    return rate, _decode(file, path, max(int(rate * block_ms / 1000), 1), channel, note, start)


def write_audio(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write float32 [samples] as 16-bit WAV, FLAC or Ogg Vorbis, by the file's suffix, atomically.

    Raises:
        ConfigError: another suffix.
        AudioError: NaN or infinity among the samples.
        OSError: not everything could be written, for example because the disk is full.
    """
    check_out_name(path)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: the samples to write are NaN or infinite")
    container, subtype = _WRITTEN[path.suffix.lower()]
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(native_name(temporary), "w", sample_rate, 1, subtype, format=container) as file:
                for start in range(0, len(audio), _BLOCK):  # a long Vorbis in one piece overflows libsndfile's stack
                    file.write(to_int16(audio[start : start + _BLOCK]))
            written = soundfile.info(native_name(temporary)).frames if len(audio) else 0
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path}: could not be written ({reason(error)}); is the disk full?") from error
        if written != len(audio):  # FLAC and Vorbis report no error if the end does not fit on the disk
            raise OSError(f"{path}: not all of its {len(audio)} samples could be written; is the disk full?")


def check_out_name(path: Path) -> None:
    """Raises ConfigError for a name whose suffix `write_audio` does not know."""
    if path.suffix.lower() not in _WRITTEN:
        raise ConfigError(f"{path}: the name must end in {', '.join(_WRITTEN)}")


def encode_wav(audio: Samples, sample_rate: int) -> bytes:
    """Encode float32 [samples] as a 16-bit WAV file, in memory."""
    buffer = io.BytesIO()
    soundfile.write(buffer, to_int16(audio), sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _decode(
    file: soundfile.SoundFile, path: Path, size: int, channel: int | None, note: OnNote, start: int = 0
) -> Iterator[Samples]:
    """Blocks of `size` samples, mono and checked. A header with too many samples costs no memory."""
    with file:
        used = _choose(file, path, channel, note)
        if start:
            _seek(file, path, start)
        n_samples, peaks = start, np.zeros(file.channels)
        for block in _blocks(file, path, size):
            n_samples += len(block)
            mono = block[:, used].copy()
            _check_samples(mono, path)
            if channel is not None and file.channels > 1:
                peaks = np.maximum(peaks, peaks_of(block))
            yield mono
        _check_count(file, path, n_samples, note)
    if is_silent_beside(peaks[used], float(peaks.max())):
        note(f"{path}: channel {used} is silent, but channel {int(peaks.argmax())} is not; is it the one you want?")


def _blocks(file: soundfile.SoundFile, path: Path, size: int) -> Iterator[Samples]:
    """float32 [samples, channels], until the end."""
    while True:
        try:
            block = file.read(size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{path}: damaged, it cannot be decoded ({reason(error)}); convert it again or remove it") from error
        if not len(block):
            return
        yield block


def _seek(file: soundfile.SoundFile, path: Path, start: int) -> None:
    try:
        file.seek(start)
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{path}: damaged, sample {start} cannot be reached ({reason(error)}); convert it again") from error


def _choose(file: soundfile.SoundFile, path: Path, channel: int | None, note: OnNote) -> int:
    """The channel to use. To find one that is not silent, the file is decoded a second time, as far as necessary."""
    if channel is not None:
        try:
            check_channel(channel, file.channels, "the file")
        except AudioError as error:
            raise AudioError(f"{path}: {error}") from error
        return channel
    if file.channels == 1:
        return 0
    with open_sound(path, ignore_note, thorough=False) as again:
        try:
            used = loudest_channel(_blocks(again, path, _BLOCK), again.channels)
        except AudioError:  # it is reported where it is decoded for use
            return 0
    if used:
        note(f"{path}: its first channel is silent, so channel {used} (counted from 0) is used")
    return used


def _check_count(file: soundfile.SoundFile, path: Path, n_samples: int, note: OnNote) -> None:
    if n_samples == 0:
        raise AudioError(f"{path}: the recording contains no samples; record it again or remove it")
    missing = promised(file) - n_samples
    if missing <= 0 or file.format == "MP3":  # the count of an MP3 may be an estimate; its frames are checked
        return
    if missing >= TOLERANCE_SECONDS * file.samplerate:
        raise AudioError(
            f"{path}: truncated, its header promises {promised(file)} samples, but it has {n_samples}; {way_out(path)}"
        )
    note(f"{path}: its header promises {missing} samples more than it has; everything in the file is read")


def _check_samples(audio: Samples, path: Path) -> None:
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise AudioError(f"{path}: {bad} of {audio.size} samples are NaN or infinite; record it again")
    peak = float(np.abs(audio).max())
    if peak > LOUDEST:
        raise AudioError(f"{path}: samples reach {peak:.3g}; expected at most 1. Scale the recording")
