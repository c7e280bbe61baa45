"""``wordspot listen``."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.commands.options import MODEL_HELP, add_channel, add_gain, add_save, add_threshold

if TYPE_CHECKING:
    from wordspot.runtime.listener import LiveDetection

HELP = "detect words live: from a microphone, standard input or a file"
EXAMPLE = "wordspot listen words.onnx --save heard"
_METER_SECONDS = 0.1
_METER_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="SOURCE",
        help="- for standard input (raw samples, or a sound file), or a sound file, played at its own speed; "
        f"default: a microphone. {MODEL_HELP}",
    )
    parser.add_argument("--microphone", metavar="NAME", help="its name, a part of it, or its number")
    parser.add_argument("--list-microphones", action="store_true", help="list the microphones and exit")
    parser.add_argument(
        "--rate", type=int, dest="sample_rate", metavar="HZ", help="sample rate of raw samples (default: the model's)"
    )
    parser.add_argument("--channels", type=int, dest="n_channels", metavar="N", help="channels of raw samples (default: 1)")
    parser.add_argument(
        "--format",
        dest="sample_format",
        metavar="NAME",
        help="format of raw samples: s16le, s32le, f32le or u8, as ffmpeg names them (default: s16le)",
    )
    add_channel(parser)
    add_gain(parser)
    parser.add_argument("--fast", action="store_true", help="process a file as fast as possible")
    add_threshold(parser)
    parser.add_argument(
        "--gate",
        type=Path,
        metavar="FILE.onnx",
        help="a model of the task recordings that judges the voice: words of a voice that is not of its first class (a "
        "person) are ignored; a recording of a person is accepted",
    )
    add_save(parser, "the sound of each detection, and of what nearly was one")
    parser.add_argument(
        "--exec",
        metavar="COMMAND",
        dest="command",
        help="run a program for each detection, without a shell; WORDSPOT_LABEL, WORDSPOT_SCORE and WORDSPOT_TIME_MS in its "
        "environment hold the word, its score and its time",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def run(args: argparse.Namespace) -> int:
    try:
        if args.list_microphones:
            _list_microphones(args.json)
        else:
            _listen(args)
    except KeyboardInterrupt:  # the usual end of listening: no message
        return 130
    return 0


def _listen(args: argparse.Namespace) -> None:
    from wordspot.runtime.listener import listen

    model, source = _split(args.paths)
    meter = _Meter()
    try:
        for found in listen(
            model, source,
            microphone=args.microphone, sample_rate=args.sample_rate, sample_format=args.sample_format,
            n_channels=args.n_channels, channel=args.channel, gain=args.gain, fast=args.fast, threshold=args.threshold,
            gate=args.gate, save=args.save, save_mb=args.save_mb, command=args.command, on_notice=meter.note, on_level=meter.show,
        ):  # fmt: skip
            meter.clear()
            sys.stdout.write(f"{_line(found, args.json)}\n")
            sys.stdout.flush()
    finally:
        meter.clear()


def _line(found: LiveDetection, as_json: bool) -> str:
    if as_json:
        return json.dumps(found.to_json(), ensure_ascii=False)
    if found.judgement and found.is_ignored:
        return f"{found}  ignored: {found.judgement.label} ({found.judgement.score:.2f})"
    doubt = "" if found.judgement is None or found.judgement.is_certain else "  the gate cannot tell the voice"
    return f"{found}{doubt}" + (f"  {found.saved}" if found.saved else "")


class _Meter:
    """A level meter: one line on stderr, redrawn ten times a second; nothing if stderr is not a terminal."""

    def __init__(self) -> None:
        self._is_on, self._n_drawn, self._next, self._peak = sys.stderr.isatty(), 0, 0.0, 0.0

    def show(self, peak: float) -> None:
        """Draw the peak of a block, 0 to 1, and of those before it that were not drawn."""
        if not self._is_on:
            return
        self._peak = max(self._peak, peak)
        if time.monotonic() < self._next:
            return
        level = max(20 * math.log10(max(self._peak, 1e-6)), -60)
        filled = round(_METER_WIDTH * (1 + min(level, 0) / 60))
        line = f"[{'#' * filled:{_METER_WIDTH}}] {level:4.0f} dB "
        sys.stderr.write(f"\r{line}")
        sys.stderr.flush()
        self._n_drawn, self._next, self._peak = len(line), time.monotonic() + _METER_SECONDS, 0.0

    def note(self, text: str) -> None:
        """Print a note in place of the meter."""
        from wordspot.commands import console

        self.clear()
        console.note_of_library(text)

    def clear(self) -> None:
        """Erase the line, so that another can be printed."""
        if self._n_drawn:
            sys.stderr.write(f"\r{' ' * self._n_drawn}\r")  # older Windows terminals know no erase sequence
            sys.stderr.flush()
            self._n_drawn = 0


def _split(texts: list[str]) -> tuple[Path | None, str | None]:
    """The model and the source, each None if it is not given."""
    from wordspot.errors import ConfigError

    rest = list(texts)
    model = Path(rest.pop(0)) if rest and rest[0].lower().endswith(".onnx") else None
    if len(rest) > 1:
        raise ConfigError(
            f"listen takes one source, - or a sound file, got {', '.join(rest)}; use `wordspot detect` for several files"
        )
    return model, rest[0] if rest else None


def _list_microphones(as_json_text: bool) -> None:
    import dataclasses

    from wordspot.audio.microphone import list_microphones
    from wordspot.commands import console

    found = list_microphones()
    if as_json_text:
        console.print_json([dataclasses.asdict(device) for device in found])
    elif not found:
        console.note("no microphone was found; check that one is plugged in and that this program may use it")
    else:
        rows = [
            [device.index, device.name, device.system, device.sample_rate, "default" if device.is_default else ""]
            for device in found
        ]
        console.print_table("", ["number", "name", "system", "Hz", ""], rows)
