"""Sound files in and out: the only place that knows file formats. Above it, sound is float32 mono at a known rate.

WAV of every PCM width and of floats, FLAC, Ogg (Vorbis, Opus) and MP3 are read by libsndfile (`soundfile`), rates are
changed by the SoX resampler (`soxr`). Nothing is ever decimated in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from wordspot.errors import AudioError, ConfigError, NotFoundError
from wordspot.files import atomic_path

Samples = NDArray[np.float32]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64")
#: Longest recording decoded as a whole: six hours at 16 kHz. A header that promises more is refused, not allocated.
MAX_SAMPLES = 6 * 3600 * 16_000
MAX_CHANNELS = 64
_BLOCK = 1 << 16
_PEAK_LIMIT = 1e4  # a float file this far outside [-1, 1] is damaged, or raw numbers of another scale


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says, before anything is decoded."""

    sample_rate: int
    n_channels: int
    n_samples: int
    format: str

    @property
    def seconds(self) -> float:
        return self.n_samples / self.sample_rate


def read_info(path: Path) -> AudioInfo:
    """The header of a sound file.

    Raises:
        NotFoundError: no such file.
        AudioError: empty, or no sound file that can be read.
    """
    with _open(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, f"{file.format} {file.subtype}")


def read_audio(path: Path, sample_rate: int | None = None, *, channel: int | None = None) -> tuple[Samples, int]:
    """Decode a whole sound file.

    Args:
        path: the file.
        sample_rate: resample to this rate in Hz; None keeps the file's own.
        channel: take this channel (0: the first, as the classic tutorial does); None takes the mean of all.

    Returns:
        audio: float32 [samples], mono, in [-1, 1] but for float files that go beyond, and its rate in Hz.

    Raises:
        NotFoundError: no such file.
        AudioError: damaged, empty, truncated, holding NaN or infinity, or absurdly long.
    """
    with _open(path) as file:
        if file.channels > MAX_CHANNELS or file.frames > MAX_SAMPLES or file.frames * file.channels > 4 * MAX_SAMPLES:
            raise AudioError(
                f"{path}: expected at most {MAX_SAMPLES} samples in at most {MAX_CHANNELS} channels, "
                f"its header says {file.frames} in {file.channels}; cut the recording into parts"
            )
        audio, rate = _decode(file, path, channel), int(file.samplerate)
    if audio.size == 0:
        raise AudioError(f"{path}: expected a recording, but it holds no samples; record it again or remove it")
    _check_samples(audio, path)
    if sample_rate is not None and rate != sample_rate:
        audio, rate = resample(audio, rate, sample_rate), sample_rate
    return audio, rate


def resample(audio: Samples, from_rate: int, to_rate: int) -> Samples:
    """`audio` float32 [samples] at `from_rate` Hz → float32 [about samples · to_rate / from_rate] at `to_rate` Hz."""
    if from_rate == to_rate:
        return audio
    return np.asarray(soxr.resample(audio, from_rate, to_rate, quality="HQ"), dtype=np.float32)


def write_audio(path: Path, audio: Samples, sample_rate: int) -> None:
    """Write float32 [samples] as 16-bit WAV, FLAC or Ogg Vorbis by the file's suffix, atomically.

    Raises:
        ConfigError: a suffix that names none of these.
    """
    formats = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
    if path.suffix.lower() not in formats:
        raise ConfigError(f"{path}: expected a name that ends in {', '.join(formats)}")
    container, subtype = formats[path.suffix.lower()]
    with atomic_path(path) as temporary:
        try:
            soundfile.write(temporary, to_int16(audio), sample_rate, format=container, subtype=subtype)
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path}: could not be written ({_reason(error)})") from error


def to_int16(audio: Samples) -> NDArray[np.int16]:
    """float32 in [-1, 1] → int16, rounded and saturated; the inverse of dividing by 32768."""
    return np.clip(np.rint(audio * np.float32(32768)), -32768, 32767).astype(np.int16)


def to_float(audio: NDArray[np.int16]) -> Samples:
    """int16 → float32 in [-1, 1)."""
    return audio.astype(np.float32) * np.float32(1 / 32768)


def is_audio_name(name: str) -> bool:
    """Whether a file of this name is taken for a recording: by its suffix, and not hidden."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _open(path: Path) -> soundfile.SoundFile:
    if not path.is_file():
        raise NotFoundError(f"{path}: expected a sound file, but there is no such file")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: expected a recording, but the file is empty (0 bytes)")
    try:
        return soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw wants a rate, which no file can give
        raise AudioError(f"{path}: expected WAV, FLAC, Ogg or MP3, but it cannot be read ({_reason(error)})") from error


def _decode(file: soundfile.SoundFile, path: Path, channel: int | None) -> Samples:
    """Decode block by block, so that a header that promises too much costs no memory, down to mono."""
    promised, blocks = file.frames, []
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            blocks.append(_to_mono(block, channel, path))
            if len(blocks) * _BLOCK > MAX_SAMPLES + _BLOCK:
                raise AudioError(f"{path}: expected at most {MAX_SAMPLES} samples; cut the recording into parts")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path}: damaged, it does not decode ({_reason(error)}); convert it again or remove it"
        ) from error
    audio = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if file.format not in ("MP3", "MPEG") and len(audio) < promised:
        raise AudioError(f"{path}: truncated, its header promises {promised} samples, it holds {len(audio)}")
    if file.format in ("WAV", "WAVEX"):
        _check_wav_length(path)
    return audio


def _to_mono(block: Samples, channel: int | None, path: Path) -> Samples:
    if channel is None:
        return block[:, 0].copy() if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
    if channel >= block.shape[1]:
        raise AudioError(f"{path}: channel {channel} was asked for, it has {block.shape[1]}; count from 0")
    return block[:, channel].copy()


def _check_wav_length(path: Path) -> None:
    """Refuse a WAV whose data chunk promises more bytes than the file has: libsndfile shortens it without a word.

    A size of 0 or 0xFFFFFFFF stands for "unknown" in files written to a pipe, which are read to their end.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF":
            return
        position = 12
        while len(chunk := file.read(8)) == 8:
            name, length = chunk[:4], int.from_bytes(chunk[4:], "little")
            position += 8
            if name == b"data":
                if length < 0x7FFFFFF0 and position + length > size:
                    raise AudioError(
                        f"{path}: truncated, its header promises {length} bytes of sound, it holds {size - position}"
                    )
                return
            position += length + length % 2
            if position >= size:
                return
            file.seek(position)


def _check_samples(audio: Samples, path: Path) -> None:
    bad = np.count_nonzero(~np.isfinite(audio))
    if bad:
        raise AudioError(
            f"{path}: expected finite samples, but {bad} of {audio.size} are NaN or infinite; record it again"
        )
    peak = float(np.abs(audio).max())
    if peak > _PEAK_LIMIT:
        raise AudioError(f"{path}: expected samples within [-1, 1], but they reach {peak:.3g}; scale the recording")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return " ".join(text.split()).rstrip(".")
