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

from numpy.typing import NDArray

from wordspot.audio.channels import ChannelPicker, check_channel
from wordspot.errors import MissingExtraError, WordspotError, missing_extra
from wordspot.progress import OnNote

_QUEUE_SECONDS = 10.0
_RATES = (48_000, 44_100, 16_000, 32_000, 96_000, 8_000, 192_000)
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
    sounddevice = import_sounddevice()
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
    """An open microphone: a context that yields blocks of int16 or float32 [samples], mono.

    Args:
        name: as in `find_microphone`.
        sample_rate: preferred rate in Hz; if the device does not support it, another one is used.
        block_ms: length of a block.
        channel: which channel to use, counted from 0; None: by the rule of `audio.channels`.
        on_note: called if the channel that is used is silent while another is not.
        lost_seconds: after so long without a block, the device counts as lost.

    A device is opened in mono with 16 bits if it can be, else with as many channels, in the format and at the rate that it
    supports. `sample_rate` is the rate of the blocks. `n_lost` counts the blocks that were lost because they were
    not read in time.

    Raises:
        MissingExtraError: sounddevice is not installed.
        MicrophoneError: no such microphone, or it cannot be opened.
        AudioError: it has no such channel.
    """

    def __init__(
        self,
        name: str | None = None,
        sample_rate: int = 16_000,
        block_ms: float = 20.0,
        *,
        channel: int | None = None,
        on_note: OnNote | None = None,
        lost_seconds: float = _LOST_SECONDS,
    ) -> None:
        self.info = find_microphone(name)
        check_channel(channel, self.info.n_channels, f"the microphone {self.info.name}")
        self._sounddevice = import_sounddevice()
        self.n_lost, self._lost_seconds, self._block_ms = 0, lost_seconds, block_ms
        self._blocks: queue.Queue[NDArray[Any] | None] = queue.Queue(max(int(_QUEUE_SECONDS * 1000 / block_ms), 1))
        self._stream, self.sample_rate, n_channels = self._open(sample_rate, channel)
        self._picker = ChannelPicker(n_channels, self.sample_rate, channel, on_note, f"the microphone {self.info.name}")

    def __enter__(self) -> Self:
        try:
            self._stream.start()
        except self._sounddevice.PortAudioError as error:
            self._stream.close()
            raise MicrophoneError(self._cannot_open(error)) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()

    def blocks(self) -> Iterator[NDArray[Any]]:
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
            yield self._picker.feed(block)

    def _take(self, data: NDArray[Any], n_frames: int, time: Any, status: Any) -> None:
        """Called by PortAudio on its own thread: must neither wait nor fail."""
        if status.input_overflow:
            self.n_lost += 1
        try:
            self._blocks.put_nowait(data.copy())
        except queue.Full:
            self.n_lost += 1

    def _finished(self) -> None:
        """Called when the stream ends, which it does by itself only if the device is lost."""
        with contextlib.suppress(queue.Full):  # then the loss shows when the queue is empty
            self._blocks.put_nowait(None)

    def _open(self, wanted: int, channel: int | None) -> tuple[Any, int, int]:
        """The stream, its rate and its number of channels, in the first format that the device supports."""
        failure: Exception | None = None
        for n_channels, dtype, rate in _formats(self.info, wanted, channel):
            settings = {"device": self.info.index, "channels": n_channels, "dtype": dtype, "samplerate": rate}
            try:
                self._sounddevice.check_input_settings(**settings)
                stream = self._sounddevice.InputStream(
                    **settings,
                    blocksize=round(rate * self._block_ms / 1000),
                    callback=self._take,
                    finished_callback=self._finished,
                )
            except self._sounddevice.PortAudioError as error:
                failure = failure if failure and not _is_about_format(failure) else error
            else:
                return stream, rate, n_channels
        assert failure is not None
        raise MicrophoneError(self._cannot_open(failure)) from failure

    def _cannot_open(self, error: Exception) -> str:
        reason = " ".join(str(error).split())
        if _is_about_format(error):
            return (
                f"the microphone {self.info.name} cannot be opened: it supports none of the formats that were tried, of 1 to "
                f"{self.info.n_channels} channels and the usual rates ({reason}); "
                "`wordspot listen --list-microphones` lists others"
            )
        return (
            f"the microphone {self.info.name} cannot be opened ({reason}); another program may be "
            "using it, or this one may lack the permission. `wordspot listen --list-microphones` lists others"
        )


def _formats(info: MicrophoneInfo, wanted: int, channel: int | None) -> Iterator[tuple[int, str, int]]:
    """Numbers of channels, types and rates to try, the best first."""
    least = 1 if channel is None else channel + 1
    numbers = [n for n in dict.fromkeys((1, info.n_channels, 2, 4, 6, 8)) if least <= n <= info.n_channels]
    rates = dict.fromkeys((wanted, info.sample_rate, *_RATES))
    for n_channels in numbers or [info.n_channels]:
        for dtype in ("int16", "float32"):
            for rate in rates:
                yield n_channels, dtype, rate


def _is_about_format(error: Exception) -> bool:
    """Whether PortAudio rejects the number of channels, the type or the rate, rather than the device."""
    text = str(error).lower()
    return any(name in text for name in ("number of channels", "sample rate", "sample format", "-9998", "-9997", "-9994"))


def import_sounddevice(what: str = "a microphone") -> Any:
    """The module `sounddevice`.

    Args:
        what: what needs it, for the message.

    Raises:
        MissingExtraError: it, or the PortAudio library below it, is not installed.
    """
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise missing_extra(error, what) from error
    except OSError as error:  # what sounddevice raises if PortAudio itself is missing
        raise MissingExtraError(
            f"{what} needs the PortAudio library, which is not installed; install it with your system's packages "
            "(Debian, Ubuntu: apt install libportaudio2)"
        ) from error


def _default_index(sounddevice: Any) -> int:
    """The default device's number; -1 if the system has none."""
    try:
        return int(sounddevice.query_devices(kind="input")["index"])
    except (sounddevice.PortAudioError, ValueError):
        return -1
