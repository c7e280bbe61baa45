"""A stand-in for the module `sounddevice`."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np


class PortAudioError(Exception):
    pass


def device(name: str, n_in: int, rate: float = 48_000.0, system: int = 0) -> dict[str, Any]:
    return {"name": name, "max_input_channels": n_in, "default_samplerate": rate, "hostapi": system}


class FakeStream:
    """Records how it was opened; the test calls its callback as PortAudio's thread would."""

    def __init__(self, fake: FakeSoundDevice, **settings: Any) -> None:
        if settings["device"] in fake.busy:
            raise PortAudioError("Error opening InputStream:\n Device unavailable [PaErrorCode -9985]")
        self.fake, self.settings, self.closed = fake, settings, False
        fake.streams.append(self)

    def start(self) -> None:
        if self.fake.fails_to_start:
            raise PortAudioError("Error starting stream")
        self.fake.on_start(self)

    def close(self) -> None:
        self.closed = True
        self.settings["finished_callback"]()

    def give(self, *values: float, overflow: bool = False, channel: int = 0) -> None:
        data = np.zeros((len(values), self.settings["channels"]), self.settings["dtype"])
        data[:, channel] = values
        self.settings["callback"](data, len(data), None, types.SimpleNamespace(input_overflow=overflow))
        data[:] = 99  # PortAudio uses the memory again


class FakeSoundDevice(types.ModuleType):
    PortAudioError = PortAudioError

    def __init__(self, devices: list[dict[str, Any]], default: int = 0) -> None:
        super().__init__("sounddevice")
        self.devices, self.default_input = devices, default
        self.streams: list[FakeStream] = []
        self.busy: set[int] = set()
        self.refused_rates: set[int] = set()
        self.only_channels = 0  # 0: any number
        self.only_rate = 0
        self.only_dtype = ""
        self.fails_to_start = False
        self.on_start: Callable[[FakeStream], None] = lambda stream: None

    def query_devices(self, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        if self.default_input < 0:
            raise PortAudioError("Error querying device -1")
        return {**self.devices[self.default_input], "index": self.default_input}

    def query_hostapis(self) -> Any:
        return ({"name": "ALSA"}, {"name": "JACK"})

    def check_input_settings(self, device: int, channels: int, dtype: str, samplerate: int) -> None:
        if self.only_dtype and dtype != self.only_dtype:
            raise PortAudioError("Sample format not supported [PaErrorCode -9994]")
        if self.only_rate and samplerate != self.only_rate:
            raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
        if self.only_channels and channels != self.only_channels:
            raise PortAudioError("Invalid number of channels")
        if samplerate in self.refused_rates:
            raise PortAudioError("Invalid sample rate")

    def InputStream(self, **settings: Any) -> FakeStream:  # noqa: N802 - its name there
        return FakeStream(self, **settings)
