"""Detect words live, from a microphone, a file or raw samples: the verb `listen`."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.audio.gain import Gain, LevelWatch, check_gain
from wordspot.errors import ConfigError
from wordspot.runtime.actions import Recorder, Runner
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.gate import Gate, Judgement
from wordspot.runtime.model import Source, as_model, check_detects
from wordspot.runtime.sources import AudioSource, Block, OnNotice, SourceSettings, open_source

_WORD_MS = 1000.0  # a score of a trigger is about a hop; what is saved of a detection must hold the word

#: Called with the peak of each block of audio, 0 to 1.
OnLevel = Callable[[float], None]


@dataclass(frozen=True)
class LiveDetection(Detection):
    """A detection of `listen`, and what followed from it.

    Attributes:
        judgement: the gate's verdict on the voice; None without a gate.
        saved: the file with its sound; None if none was written.
    """

    judgement: Judgement | None = None
    saved: Path | None = None

    @property
    def is_ignored(self) -> bool:
        """Whether the gate rejects the voice. Nothing was saved and no program was run then."""
        return self.judgement is not None and not self.judgement.is_target

    def to_json(self) -> dict[str, Any]:
        """The detection as a JSON object."""
        value = super().to_json()
        if self.judgement:
            value["ignored"] = self.is_ignored
            value["gate"] = {"label": self.judgement.label, "score": round(self.judgement.score, 6)}
        if self.saved:
            value["saved"] = str(self.saved)
        return value


def listen(
    model: Source = None,
    source: AudioSource = None,
    *,
    microphone: str | None = None,
    sample_rate: int | None = None,
    sample_format: str | None = None,
    n_channels: int | None = None,
    channel: int | None = None,
    gain: Gain = None,
    fast: bool = False,
    threshold: float | None = None,
    gate: Source = None,
    save: Path | str | None = None,
    command: str | None = None,
    on_notice: OnNotice | None = None,
    on_level: OnLevel | None = None,
) -> Iterator[LiveDetection]:
    """Detect words live. Everything is opened and checked at once; listening starts with the first detection asked for.

    Args:
        model: an exported file; None uses the model that comes with wordspot.
        source: a sound file, played at its own speed; a stream of bytes, which are raw samples or a sound file (``-`` is
            standard input, and pipes are streams too); None opens a microphone.
        microphone: its name, a part of it, or its number (default: the system's default microphone).
        sample_rate, sample_format, n_channels: of raw samples: Hz (default: the model's); ``s16le`` (default), ``s32le``,
            ``f32le`` or ``u8``; 1 by default.
        channel: which channel to use, counted from 0 (default: the first, or another if that is silent).
        gain: dB by which quiet audio is raised, or ``"auto"``.
        fast: process a file as fast as possible.
        threshold: what a score must exceed, 0 to 1, for every word (default: as the model says).
        gate: a model of the task `recordings`; a detection whose voice is not of its first class is ignored.
        save: a folder for the sound of each detection, with a second before it, as WAV.
        command: a program to run for each detection, as `Runner` runs it.
        on_notice: called with messages for the user: which microphone is open, lost audio, a program that failed.
        on_level: called with the peak of each block.

    Returns:
        The detections, as they are made. The iterator ends with the source, and closes the microphone when it is closed.

    Raises:
        NotFoundError, CardError: a model that cannot be used.
        ConfigError: arguments that contradict each other, a threshold outside 0 to 1, a program that does not exist.
        AudioError: a file that cannot be read, or a sample rate outside 1 kHz to 1 MHz.
        MicrophoneError, MissingExtraError: no such microphone, it cannot be opened or was lost; it needs `sounddevice`.
    """
    notice = on_notice or _ignore
    settings = SourceSettings(microphone, sample_rate, sample_format, n_channels, channel, fast)
    runner = Runner(command) if command else None
    opened = as_model(model)
    check_detects(opened)
    card = opened.card
    check_gain(gain)
    decoder = card.decoder.with_threshold(threshold)
    rate, blocks = open_source(source, settings, card.sample_rate, notice)
    detector = Detector(opened, decoder, rate, gain=gain)
    opened_gate = None if gate is None else _open_gate(gate, rate, notice)
    clip_ms = _WORD_MS if card.task.predicts_steps else 1000 * card.clip_seconds
    recorder = Recorder(Path(save), rate, clip_ms) if save is not None else None
    return _Listener(detector, opened_gate, recorder, runner, notice, LevelWatch(rate, notice, gain)).run(blocks, on_level)


class _Listener:
    """Feeds blocks to a detector, and acts on each detection."""

    def __init__(
        self,
        detector: Detector,
        gate: Gate | None,
        recorder: Recorder | None,
        runner: Runner | None,
        notice: OnNotice,
        watch: LevelWatch,
    ) -> None:
        self.detector, self.gate, self.recorder, self.runner, self.notice = detector, gate, recorder, runner, notice
        self.watch = watch

    def run(self, blocks: Iterator[Block], on_level: OnLevel | None) -> Iterator[LiveDetection]:
        with contextlib.closing(blocks):  # type: ignore[type-var]
            for block in blocks:
                self.watch.feed(block)
                if self.recorder:
                    self.recorder.feed(block)
                if self.gate:
                    self.gate.feed(block)
                for detection in self.detector.feed(block):
                    yield self._act_on(detection)
                if on_level and len(block):
                    on_level(_peak(block))
        for detection in self.detector.flush():
            yield self._act_on(detection)
        self._tell(self.runner.finish() if self.runner else [])

    def _act_on(self, detection: Detection) -> LiveDetection:
        """Judge the voice; unless it is ignored, save the sound and run the program."""
        judgement = self.gate.judge(detection) if self.gate else None
        found = LiveDetection(**dataclasses.asdict(detection), judgement=judgement)
        if found.is_ignored:
            return found
        saved = self._save(detection)
        self._tell(self.runner.start(detection) if self.runner else [])
        return dataclasses.replace(found, saved=saved)

    def _save(self, detection: Detection) -> Path | None:
        """Save the sound. If that fails, because the disk is full for example, listening goes on."""
        try:
            return self.recorder.write(detection) if self.recorder else None
        except OSError as error:
            self._tell([f"not saved: {error}"])
            return None

    def _tell(self, lines: list[str]) -> None:
        for line in lines:
            self.notice(line)


def _open_gate(model: Source, rate: int, notice: OnNotice) -> Gate:
    try:
        gate = Gate(model, rate)
    except ConfigError as error:
        raise ConfigError(f"`gate`: {model if isinstance(model, (str, Path)) else 'the model'}: {error}") from error
    target, *others = gate.card.labels
    notice(f"the gate accepts {target} and ignores {', '.join(others)}")
    return gate


def _peak(block: Block) -> float:
    scale = 32768 if block.dtype.kind == "i" else 1
    return max(float(block.max()), -float(block.min())) / scale


def _ignore(_: str) -> None:
    """The callback of callers that do not watch."""
