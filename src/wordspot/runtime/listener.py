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
from wordspot.runtime.actions import Runner
from wordspot.runtime.decoder import Detection
from wordspot.runtime.detector import Detector
from wordspot.runtime.gate import Gate, Judgement
from wordspot.runtime.keep import Keeper
from wordspot.runtime.kept_files import SAVE_MB, KeptFolder
from wordspot.runtime.model import Source, as_model, check_detects
from wordspot.runtime.sources import AudioSource, Block, OnNotice, SourceSettings, open_source

#: Called with the peak of each block of audio, 0 to 1.
OnLevel = Callable[[float], None]


@dataclass(frozen=True)
class LiveDetection(Detection):
    """A detection of `listen`, and what followed from it.

    Attributes:
        judgement: the gate's verdict on the voice; None without a gate.
        saved: the file with its sound, which is written half a second after the word; None if it is not kept.
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
            verdict = self.judgement
            value["gate"] = {"label": verdict.label, "score": round(verdict.score, 6), "certain": verdict.is_certain}
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
    save_mb: float = SAVE_MB,
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
        save: a folder for the sound of each detection, from two seconds before to half a second after it, as WAV; and, in its
            subfolder ``nearly``, of what nearly was one, as `runtime.keep` says.
        save_mb: the most megabytes that these files may take; the oldest are removed.
        command: a program to run for each detection, as `Runner` runs it.
        on_notice: called with messages for the user: which microphone is open, lost audio, a program that failed.
        on_level: called with the peak of each block.

    Returns:
        The detections, as they are made. The iterator ends with the source, and closes the microphone when it is closed.

    Raises:
        NotFoundError, CardError: a model that cannot be used.
        ConfigError: arguments that contradict each other, a threshold outside 0 to 1, a program that does not exist, a folder
            that cannot be written to.
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
    folder = None if save is None else KeptFolder(Path(save), save_mb)
    decoder = card.decoder.with_threshold(threshold)
    rate, blocks = open_source(source, settings, card.sample_rate, notice)
    detector = Detector(opened, decoder, rate, gain=gain)
    opened_gate = None if gate is None else _open_gate(gate, rate, notice)
    keeper = Keeper(folder, card, decoder, rate, on_note=notice) if folder else None
    return _Listener(detector, opened_gate, keeper, runner, notice, LevelWatch(rate, notice, gain)).run(blocks, on_level)


class _Listener:
    """Feeds blocks to a detector, and acts on each detection."""

    def __init__(
        self,
        detector: Detector,
        gate: Gate | None,
        keeper: Keeper | None,
        runner: Runner | None,
        notice: OnNotice,
        watch: LevelWatch,
    ) -> None:
        self.detector, self.gate, self.keeper, self.runner, self.notice = detector, gate, keeper, runner, notice
        self.watch = watch

    def run(self, blocks: Iterator[Block], on_level: OnLevel | None) -> Iterator[LiveDetection]:
        try:
            n_samples = 0
            with contextlib.closing(blocks):  # type: ignore[type-var]
                for block in blocks:
                    n_samples += len(block)
                    yield from self._feed(block)
                    if on_level and len(block):
                        on_level(_peak(block))
            detections, scores, end_ms = self.detector.flush_scored()
            yield from map(self._act_on, detections)
            if self.keeper:
                self.keeper.finish(detections, scores, end_ms)
            self._note_short(n_samples)
        finally:
            if self.keeper:  # also if listening was interrupted
                self.keeper.finish()
        self._tell(self.runner.finish() if self.runner else [])

    def _feed(self, block: Block) -> Iterator[LiveDetection]:
        self.watch.feed(block)
        if self.gate:
            self.gate.feed(block)
        detections, scores, end_ms = self.detector.feed_scored(block)
        if self.keeper:
            self.keeper.feed(block, detections, scores, end_ms)
        yield from map(self._act_on, detections)

    def _act_on(self, detection: Detection) -> LiveDetection:
        """Judge the voice; unless it is ignored, keep the sound and run the program."""
        judgement = self.gate.judge(detection) if self.gate else None
        found = LiveDetection(**dataclasses.asdict(detection), judgement=judgement)
        if found.is_ignored:
            return found
        saved = self.keeper.keep(detection) if self.keeper else None
        self._tell(self.runner.start(detection) if self.runner else [])
        return dataclasses.replace(found, saved=saved)

    def _note_short(self, n_samples: int) -> None:
        """Tell the user why a source that has ended held nothing to detect."""
        seconds, needed = n_samples / self.detector.sample_rate, self.detector.card.clip_seconds
        if seconds < needed:
            self.notice(
                f"{seconds:.2f} s of audio, shorter than the {needed:g} s that one score needs; use `wordspot label` for clips"
            )

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
