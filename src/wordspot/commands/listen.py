"""``wordspot listen``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.commands.detect import add_threshold, as_text
from wordspot.commands.label import MODEL_HELP, refuse_recordings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wordspot.runtime.actions import Recorder, Runner
    from wordspot.runtime.decoder import Detection
    from wordspot.runtime.detector import Detector
    from wordspot.runtime.gate import Gate, Judgement

    Block = NDArray[np.int16] | NDArray[np.float32]

HELP = "hear words live: from a microphone, standard input or a file"
EXAMPLE = "wordspot listen words.onnx --save heard"
BLOCK_MS = 20.0
_METER_SECONDS = 0.1
_METER_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="*", metavar="SOURCE",
        help="- for raw samples on standard input (16-bit little-endian, mono), or a sound file, played at its own speed; "
        f"nothing: a microphone. {MODEL_HELP}",
    )  # fmt: skip
    parser.add_argument("--microphone", metavar="NAME", help="its name, a part of it, or its number")
    parser.add_argument("--list-microphones", action="store_true", help="show the microphones and end")
    parser.add_argument("--rate", type=int, metavar="HZ", help="sample rate of standard input (default: the model's)")
    parser.add_argument("--fast", action="store_true", help="take a file as fast as it goes")
    add_threshold(parser)
    parser.add_argument(
        "--gate", type=Path, metavar="FILE.onnx",
        help="a model of whole recordings that judges the voice: a word by another voice than its first label's (a "
        "person's) is ignored; a loudspeaker that plays a person passes",
    )  # fmt: skip
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="keep the sound of each detection, with a second before it, as WAV"
    )
    parser.add_argument(
        "--exec", metavar="COMMAND", dest="command",
        help="run a program per detection, without a shell; WORDSPOT_LABEL, WORDSPOT_SCORE and WORDSPOT_TIME_MS in its "
        "environment say what was heard",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")


def run(args: argparse.Namespace) -> int:
    try:
        if args.list_microphones:
            _list_microphones(args.json)
        else:
            _listen(args)
    except KeyboardInterrupt:  # how listening usually ends: no message
        return 130
    return 0


def _listen(args: argparse.Namespace) -> None:
    from wordspot.runtime.actions import Recorder, Runner
    from wordspot.runtime.detector import Detector, open_model

    model_path, source = _split(args.paths)
    _check_source(args, source)
    runner = Runner(args.command) if args.command else None
    model = open_model(model_path)
    refuse_recordings(model_path, model.card)
    decoder = model.card.decoder.with_threshold(args.threshold)
    rate, blocks = _open_source(args, source, model.card.sample_rate)
    detector = Detector(model, decoder, rate)
    gate, recorder = _open_gate(args.gate, rate), None
    if args.save:
        is_trigger = model.card.task.predicts_steps
        clip_ms = _WORD_MS if is_trigger else 1000 * model.card.clip_samples / model.card.sample_rate
        recorder = Recorder(args.save, rate, clip_ms)
    listener = _Listener(detector, gate, recorder, runner, as_json_lines=args.json)
    try:
        for block in blocks:
            listener.feed(block)
        listener.finish()
    finally:
        listener.meter.clear()


def _open_gate(path: Path | None, rate: int) -> Gate | None:
    """The gate for a stream of that rate; None where none was asked for."""
    from wordspot.errors import ConfigError

    if path is None:
        return None
    from wordspot.commands import console
    from wordspot.runtime.gate import Gate

    try:
        gate = Gate(path, rate)
        target, *others = gate.card.labels
        console.note(f"the gate lets {target} pass and ignores {', '.join(others)}")
        return gate
    except ConfigError as error:
        raise ConfigError(f"--gate {path}: {error}") from error


#: A trigger's answers judge a hop each; what is kept of one must hold the word.
_WORD_MS = 1000.0


class _Listener:
    """Feeds a detector and tells what it heard."""

    def __init__(
        self,
        detector: Detector,
        gate: Gate | None,
        recorder: Recorder | None,
        runner: Runner | None,
        *,
        as_json_lines: bool,
    ) -> None:
        self.detector, self.gate, self.recorder, self.runner = detector, gate, recorder, runner
        self.as_json_lines = as_json_lines
        self.meter = _Meter()

    def feed(self, block: Block) -> None:
        if self.recorder:
            self.recorder.feed(block)
        if self.gate:
            self.gate.feed(block)
        for detection in self.detector.feed(block):
            self._tell(detection)
        self.meter.feed(block)

    def finish(self) -> None:
        """The source has ended."""
        for detection in self.detector.flush():
            self._tell(detection)
        self._note(self.runner.finish() if self.runner else [])

    def _tell(self, detection: Detection) -> None:
        """A line; the sound and the program, unless the gate ignores the voice."""
        self.meter.clear()
        judgement = self.gate.judge(detection) if self.gate else None
        is_ignored = judgement is not None and not judgement.is_target
        saved = None if is_ignored else self._save(detection)
        line = self._as_json(detection, judgement, saved) if self.as_json_lines else as_text(detection)
        if not self.as_json_lines and judgement and is_ignored:
            line += f"  ignored: {judgement.label} ({judgement.score:.2f})"
        elif not self.as_json_lines and saved:
            line += f"  {saved}"
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        self._note(self.runner.start(detection) if self.runner and not is_ignored else [])

    @staticmethod
    def _as_json(detection: Detection, judgement: Judgement | None, saved: Path | None) -> str:
        value = detection.to_json()
        if judgement:
            value["ignored"] = not judgement.is_target
            value["gate"] = {"label": judgement.label, "score": round(judgement.score, 6)}
        if saved:
            value["saved"] = str(saved)
        return json.dumps(value, ensure_ascii=False)

    def _save(self, detection: Detection) -> Path | None:
        """Keep the sound; where that fails (a full disk, say), listening goes on."""
        try:
            return self.recorder.write(detection) if self.recorder else None
        except OSError as error:
            self._note([f"--save: {error}"])
            return None

    def _note(self, lines: list[str]) -> None:
        from wordspot.commands import console

        for line in lines:
            self.meter.clear()
            console.note(line)


class _Meter:
    """How loud it is: a line on stderr that is drawn over and over; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._is_on, self._n_drawn, self._next, self._peak = sys.stderr.isatty(), 0, 0.0, 0.0

    def feed(self, block: Block) -> None:
        if not self._is_on or not len(block):
            return
        scale = 32768 if block.dtype.kind == "i" else 1
        self._peak = max(self._peak, max(float(block.max()), -float(block.min())) / scale)
        if time.monotonic() < self._next:
            return
        import math

        level = max(20 * math.log10(max(self._peak, 1e-6)), -60)
        filled = round(_METER_WIDTH * (1 + min(level, 0) / 60))
        line = f"[{'#' * filled:{_METER_WIDTH}}] {level:4.0f} dB "
        sys.stderr.write(f"\r{line}")
        sys.stderr.flush()
        self._n_drawn, self._next, self._peak = len(line), time.monotonic() + _METER_SECONDS, 0.0

    def clear(self) -> None:
        """Wipe the line, so that another can be written."""
        if self._n_drawn:
            sys.stderr.write(f"\r{' ' * self._n_drawn}\r")  # an older Windows would show a terminal's order to erase
            sys.stderr.flush()
            self._n_drawn = 0


def _split(texts: list[str]) -> tuple[Path | None, str | None]:
    """The model and the source; None each where it is not given."""
    from wordspot.errors import ConfigError

    rest = list(texts)
    model = Path(rest.pop(0)) if rest and rest[0].lower().endswith(".onnx") else None
    if len(rest) > 1:
        raise ConfigError(
            f"expected one source, - or a sound file, got {', '.join(rest)}; `wordspot detect` takes several"
        )
    return model, rest[0] if rest else None


def _check_source(args: argparse.Namespace, source: str | None) -> None:
    """Refuse flags that another source would need."""
    from wordspot.errors import ConfigError

    if args.rate is not None and source != "-":
        raise ConfigError("--rate is for standard input; a file and a microphone say their own")
    if args.microphone is not None and source is not None:
        raise ConfigError(f"expected a microphone or {source}, got both; leave one out")
    if args.fast and source in (None, "-"):
        raise ConfigError("--fast is for a file; standard input is taken as fast as it comes")


def _open_source(args: argparse.Namespace, source: str | None, model_rate: int) -> tuple[int, Iterator[Block]]:
    """The sample rate of a source, and its blocks."""
    if source == "-":
        rate = args.rate or model_rate
        return rate, _standard_input(rate)
    if source is not None:
        from wordspot.audio.files import read_blocks

        rate, blocks = read_blocks(Path(source), 1000.0 if args.fast else BLOCK_MS)
        return rate, blocks if args.fast else _at_real_time(blocks, rate)
    return _microphone(args.microphone, model_rate)


def _standard_input(rate: int) -> Iterator[Block]:
    """Blocks of 20 ms as they come."""
    import numpy as np

    from wordspot.commands import console

    size = 2 * max(round(rate * BLOCK_MS / 1000), 1)
    while data := sys.stdin.buffer.read(size):
        if len(data) % 2:
            console.note("standard input ended in the middle of a sample; its last byte is left out")
        yield np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16, copy=False)


def _at_real_time(blocks: Iterator[Any], rate: int) -> Iterator[Block]:
    """Each block when it would have been heard to its end."""
    start, n_samples = time.monotonic(), 0
    for block in blocks:
        n_samples += len(block)
        time.sleep(max(start + n_samples / rate - time.monotonic(), 0))
        yield block


def _microphone(name: str | None, model_rate: int) -> tuple[int, Iterator[Block]]:
    from wordspot.audio.microphone import Microphone
    from wordspot.commands import console

    microphone = Microphone(name, model_rate, BLOCK_MS)
    console.note(f"listening to {microphone.info.name} at {microphone.sample_rate} Hz; Ctrl-C ends")

    def blocks() -> Iterator[Block]:
        told = 0
        with microphone:
            for block in microphone.blocks():
                if microphone.n_lost > told:
                    told = microphone.n_lost
                    console.note(f"sound was lost, {told} times so far: this computer is too busy")
                yield block

    return microphone.sample_rate, blocks()


def _list_microphones(as_json_text: bool) -> None:
    import dataclasses

    from wordspot.audio.microphone import list_microphones
    from wordspot.commands import console

    found = list_microphones()
    if as_json_text:
        console.print_json([dataclasses.asdict(device) for device in found])
    elif not found:
        console.note("no microphone was found; is one plugged in, and may this program use it?")
    else:
        rows = [
            [device.index, device.name, device.system, device.sample_rate, "default" if device.is_default else ""]
            for device in found
        ]
        console.print_table("", ["number", "name", "system", "Hz", ""], rows)
