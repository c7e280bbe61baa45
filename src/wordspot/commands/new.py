"""``wordspot new``: a wake word from a phrase that is typed in."""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot.wakeword.project import Request

HELP = "make a wake word from a typed phrase: voices speak it, a model is trained, tuned and measured"
EXAMPLE = 'wordspot new "hey lamp" --out lamp'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "phrases", nargs="*", metavar="PHRASE",
        help="what to detect, at most 1.5 s long when spoken; with --resume all that DIR was begun with may be left out",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the project")
    _add_recordings(parser)
    _add_settings(parser)
    parser.add_argument(
        "--taught", action=argparse.BooleanOptionalAction,
        help="also learn the output of a layer on Whisper's frames (distillation); default: if `download teacher` got them, and "
        "there is speech by people",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on in DIR, also with more recordings by --add and --add-false")
    parser.add_argument("--force", action="store_true", help="replace an earlier project in DIR")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _add_recordings(parser: argparse.ArgumentParser) -> None:
    """What the user brings, and what is said about the phrases."""
    parser.add_argument(
        "--add", dest="takes", type=Path, metavar="DIR",
        help="recordings of people who say the phrase; with several phrases, a folder for each",
    )  # fmt: skip
    parser.add_argument(
        "--add-false", dest="false_accepts", type=Path, metavar="DIR", help="recordings that woke an earlier model and should not"
    )
    parser.add_argument(
        "--speech", type=Path, metavar="DIR",
        help="recordings of speech without the phrase (default: what `wordspot download speech` got, else sentences by voices)",
    )  # fmt: skip
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="recordings of noise (default: synthetic noise)")
    parser.add_argument(
        "--not", dest="excluded", action="append", default=[], metavar="PHRASE", help="a phrase that must not be detected"
    )
    parser.add_argument(
        "--said", action="append", default=[], metavar="TEXT",
        help="how people say the phrase: another spelling, or IPA in brackets, such as [[hədˈoʊkən]] for hadouken",
    )  # fmt: skip


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """How the model is made."""

    def add(flag: str, name: str, text: str, metavar: str | None = None) -> None:
        default = getattr(Request, name)
        parser.add_argument(flag, dest=name, type=type(default), default=default, metavar=metavar, help=text)

    add("--false-accepts-per-hour", "false_accepts_per_hour", "wanted, over all phrases (default: %(default)g)", "R")
    add(
        "--preset", "preset",
        "default; or microcontroller: a small network, and its files for ESPHome (Home Assistant Voice PE), trained from random "
        "weights, so give it more --minutes", "NAME",
    )  # fmt: skip
    add("--minutes", "minutes", "at most, of training (default: %(default)g)", "M")
    add("--voices", "n_voices", "spoken clips of each phrase (default: %(default)d)", "N")
    add("--near-misses", "n_near_misses", "phrases that sound like it, for each (default: %(default)d)", "N")
    minutes = "of words and noise to choose thresholds on, and to measure on (default: %(default)g)"
    add("--stream-minutes", "stream_minutes", minutes, "M")
    add("--language", "language", "of the voices: en, de, zh, ... (default: %(default)s)")
    add("--engine", "engine", "of the voices, as for speak (default: all simple ones, and kokoro if it is there)")
    add("--seed", "seed", "random seed (default: %(default)d)")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.wakeword.making import new
    from wordspot.wakeword.project import Project

    begun, again = (lambda: Project(args.out).exists), "the same command with --resume goes on from there"
    with console.watch_training(again, args.parser, begun) as callbacks:
        made = new(
            args.phrases or None, out=args.out, takes=args.takes, false_accepts=args.false_accepts, speech=args.speech,
            backgrounds=args.backgrounds, excluded=args.excluded, said=args.said,
            false_accepts_per_hour=args.false_accepts_per_hour, minutes=args.minutes, n_voices=args.n_voices,
            n_near_misses=args.n_near_misses, stream_minutes=args.stream_minutes, language=args.language,
            engine=args.engine, seed=args.seed, preset=args.preset, taught=args.taught, resume=args.resume, force=args.force,
            **callbacks,
        )  # fmt: skip
    if args.json:
        console.print_json(made.to_json())
        return
    for warning in made.warnings:
        console.note(console.with_flags(warning, args.parser))
    console.say(console.with_flags(made.summary(), args.parser))
