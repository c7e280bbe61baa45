"""``wordspot speak``: synthetic voices speak words into a folder that `train` understands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.config import FeatureConfig

if TYPE_CHECKING:
    from wordspot.data.voices import Spoken

HELP = "let synthetic voices speak words"
EXAMPLE = "wordspot speak yes no up down --out voices --per-word 100 --noise"
#: The names of `wordspot.data.voices.find`, without its imports: ``--help`` answers at once.
ENGINES = ("espeak-ng", "flite", "festival", "all")
DEFAULT_LABEL = "synthetic"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="WORD", help="what to say; each gets a folder of its name")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data folder to make")
    parser.add_argument("--per-word", type=int, default=100, metavar="N", help="clips of each word (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="decides all that is drawn (default: 0)")
    parser.add_argument(
        "--language", default="en", metavar="CODE", help="en, en-us, de, zh, ...: all its accents speak (default: en)"
    )
    parser.add_argument("--engine", choices=ENGINES, default="all", help="who speaks (default: all that are installed)")
    features = FeatureConfig()
    parser.add_argument(
        "--sample-rate", type=int, default=features.sample_rate, metavar="HZ",
        help=f"of the clips (default: {features.sample_rate})",
    )  # fmt: skip
    parser.add_argument(
        "--clip-ms", type=float, default=features.clip_ms, metavar="MS",
        help=f"length of a clip (default: {features.clip_ms:g})",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=float, nargs="?", const=60.0, metavar="SECONDS",
        help="make synthetic background noises too, each this long (60 without a number)",
    )  # fmt: skip
    parser.add_argument(
        "--list", type=Path, metavar="FILE.csv",
        help="write a list of the clips (path,label,speaker,generator) for `wordspot train FILE.csv --task recordings`",
    )  # fmt: skip
    parser.add_argument("--label", metavar="NAME", help=f"what the clips are in that list (default: {DEFAULT_LABEL})")
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.voices import check_seconds, find_engines, make_noise, speak_words, write_list
    from wordspot.files import prepare_out

    if args.noise is not None:
        check_seconds(args.noise)
    _check_list(args)
    if args.out.exists():
        prepare_out(args.out, force=args.force)
    engines = find_engines(args.engine)
    with console.progress_bar() as bar:
        task = bar.add_task("speaking", total=len(args.words) * max(args.per_word, 0))
        spoken = speak_words(
            args.words,
            args.out,
            per_word=args.per_word,
            seed=args.seed,
            engines=engines,
            language=args.language,
            sample_rate=args.sample_rate,
            clip_ms=args.clip_ms,
            progress=lambda word: bar.update(task, advance=1, description=word),
        )
        if args.noise is not None:
            bar.update(task, description="noise")
            make_noise(
                args.out,
                seed=args.seed,
                seconds=args.noise,
                engines=engines,
                sample_rate=args.sample_rate,
                avoid=args.words,
            )
    _report(spoken, args.out, args.clip_ms)
    if args.list:
        n_rows = write_list(args.list, spoken, args.out, args.label or DEFAULT_LABEL)
        console.say(
            f"{args.list}: {n_rows} rows; add those of people, then: wordspot train {args.list} --task recordings"
        )


def _check_list(args: argparse.Namespace) -> None:
    """Refuse, before anything is spoken, a list that cannot be written or read."""
    from wordspot.errors import ConfigError

    if args.list is None:
        if args.label is not None:
            raise ConfigError("--label is for --list; name a CSV with --list, or leave it out")
        return
    if args.list.suffix.lower() != ".csv":
        raise ConfigError(f"--list {args.list}: expected a name that ends in .csv")
    if args.list.exists() and not args.force:
        raise ConfigError(
            f"--list {args.list}: expected a new file, but it exists; name another, or --force to replace it"
        )
    if args.label is not None and args.label != (args.label.strip() or None):
        raise ConfigError(f"--label must not be empty or begin or end with a space, got {args.label!r}")


def _report(spoken: list[Spoken], out: Path, clip_ms: float) -> None:
    from wordspot.commands import console

    n_clips = sum(word.n_clips for word in spoken)
    speakers = {speaker for word in spoken for speaker in word.speakers}
    console.say(f"{out}: {len(spoken)} words, {n_clips} clips by {len(speakers)} synthetic speakers")
    for word in spoken:
        if word.n_cut:
            console.note(
                f"{word.word}: {word.n_cut} of {word.n_clips} clips hold only its loudest {clip_ms:g} ms, "
                f"since it is longer even when spoken fast; raise --clip-ms"
            )
    console.say(f"next: wordspot check {out}")
