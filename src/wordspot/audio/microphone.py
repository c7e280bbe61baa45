"""Audio from a microphone, block by block, through sounddevice (the extra "listen").

Blocks wait in a queue of bounded length. A computer that is briefly busy loses nothing; one that is too slow loses audio
(which is counted) instead of falling further and further behind.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wordspot.errors import MissingExtraError, WordspotError, missing_extra

_QUEUE_SECONDS = 10.0
_LOST_SECONDS = 3.0  # without a block: an unplugged device often reports nothing


class MicrophoneError(WordspotError, OSError):
    """A microphone that does not exist, cannot be opened, or was lost."""


@dataclass(frozen=True)
class MicrophoneInfo:
    """A recording device, as one of the operating system's sound systems presents it.

    Attributes:
        index: its number.
        name: its name in the system.
        system: the sound system, such as ALSA.
        n_channels: how many it has.
        sample_rate: its own, in Hz.
        is_default: whether the system uses it by default.
    """

    index: int
    name: str
    system: str
    n_channels: int
    sample_rate: int
    is_default: bool


def list_microphones() -> list[MicrophoneInfo]:
    """List the devices that record.

    Raises:
        MissingExtraError: sounddevice, or the PortAudio library below it, is not installed.
    """
    sounddevice = _import_sounddevice()
    default = _default_index(sounddevice)
    systems = [system["name"] for system in sounddevice.query_hostapis()]
    return [
        MicrophoneInfo(
            index=index,
            name=device["name"],
            system=systems[device["hostapi"]],
            n_channels=device["max_input_channels"],
            sample_rate=round(device["default_samplerate"]),
            is_default=index == default,
        )
        for index, device in enumerate(sounddevice.query_devices())
        if device["max_input_channels"] > 0
    ]


def find_microphone(name: str | None) -> MicrophoneInfo:
    """Find the microphone with this name, part of a name (case is ignored) or number; None: the system's default.

    If several sound systems present the same device, as on Windows, that of the default microphone decides.

    Raises:
        MissingExtraError: sounddevice is not installed.
        MicrophoneError: none matches, or several do; the message lists them.
    """
    found = list_microphones()
    if not found:
        raise MicrophoneError("this system has no microphone; plug one in, or use a file or - for standard input")
    default = next((device for device in found if device.is_default), found[0])
    if name is None:
        return default
    fitting = [device for device in found if name in (device.name, str(device.index))]
    fitting = fitting or [device for device in found if name.lower() in device.name.lower()]
    if len(fitting) > 1:
        fitting = [device for device in fitting if device.system == default.system] or fitting
    if len(fitting) != 1:
        listed = ", ".join(f"{device.index}: {device.name} ({device.system})" for device in fitting or found)
        what = "several microphones match" if fitting else "no microphone matches; there are"
        raise MicrophoneError(f"{name!r}: {what} {listed}")
    return fitting[0]


class Microphone:
    """An open microphone: a context that yields blocks of int16 [samples], mono.

    Args:
        name: as in `find_microphone`.
        sample_rate: preferred rate in Hz; if the device does not support it, its own is used.
        block_ms: length of a block.
        lost_seconds: time without a block after which the device counts as lost.

    A device that does not record in mono is opened with all its channels, and the first is used. `sample_rate` is the rate
    of the blocks. `n_lost` counts the blocks that were lost because they were not read in time.

    Raises:
        MissingExtraError: sounddevice is not installed.
        MicrophoneError: no such microphone, or it cannot be opened.
    """

    def __init__(
        self,
        name: str | None = None,
        sample_rate: int = 16_000,
        block_ms: float = 20.0,
        *,
        lost_seconds: float = _LOST_SECONDS,
    ) -> None:
        self.info = find_microphone(name)
        self._sounddevice = _import_sounddevice()
        self.sample_rate, n_channels = self._possible_format(sample_rate)
        self.n_lost, self._lost_seconds = 0, lost_seconds
        self._blocks: queue.Queue[NDArray[np.int16] | None] = queue.Queue(max(int(_QUEUE_SECONDS * 1000 / block_ms), 1))
        try:
            self._stream = self._sounddevice.InputStream(
                samplerate=self.sample_rate,
                blocksize=round(self.sample_rate * block_ms / 1000),
                device=self.info.index,
                channels=n_channels,
                dtype="int16",
                callback=self._take,
                finished_callback=self._finished,
            )
        except self._sounddevice.PortAudioError as error:
            raise MicrophoneError(self._cannot_open(error)) from error

    def __enter__(self) -> Self:
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._stream.close()
            raise MicrophoneError(self._cannot_open(error)) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """The audio from now on, without end.

        Raises:
            MicrophoneError: the device was lost.
        """
        while True:
            try:
                block = self._blocks.get(timeout=self._lost_seconds)
            except queue.Empty:
                block = None
            if block is None:
                raise MicrophoneError(f"the microphone {self.info.name} no longer delivers audio; plug it in and start again")
            yield block

    def _take(self, data: NDArray[np.int16], n_frames: int, time: Any, status: Any) -> None:
        """Called by PortAudio on its own thread: must neither wait nor fail."""
        if status.input_overflow:
            self.n_lost += 1
        try:
            self._blocks.put_nowait(data[:, 0].copy())
        except queue.Full:
            self.n_lost += 1

    def _finished(self) -> None:
        """Called when the stream ends, which it does by itself only if the device is lost."""
        with contextlib.suppress(queue.Full):  # then the loss shows when the queue is empty
            self._blocks.put_nowait(None)

    def _possible_format(self, wanted: int) -> tuple[int, int]:
        """A rate and a number of channels that the device supports: preferably the `wanted` rate, in mono."""
        for channels in (1, self.info.n_channels):
            for rate in (wanted, self.info.sample_rate):
                with contextlib.suppress(self._sounddevice.PortAudioError):
                    self._sounddevice.check_input_settings(self.info.index, channels=channels, dtype="int16", samplerate=rate)
                    return rate, channels
        return self.info.sample_rate, 1

    def _cannot_open(self, error: Exception) -> str:
        return (
            f"the microphone {self.info.name} cannot be opened ({' '.join(str(error).split())}); another program may be "
            "using it, or this one may lack the permission. `wordspot listen --list-microphones` lists others"
        )


def _import_sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise missing_extra(error, "a microphone") from error
    except OSError as error:  # what sounddevice raises if PortAudio itself is missing
        raise MissingExtraError(
            "a microphone needs the PortAudio library, which is not installed; install it with your system's packages "
            "(Debian, Ubuntu: apt install libportaudio2)"
        ) from error


def _default_index(sounddevice: Any) -> int:
    """The default device's number; -1 if the system has none."""
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return -1
