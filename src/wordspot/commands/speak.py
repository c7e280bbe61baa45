"""``wordspot speak``: synthetic voices speak words into a data folder for `train`."""

from __future__ import annotations

import argparse
from pathlib import Path

from wordspot.config import FeatureConfig

HELP = "let synthetic voices speak words"
EXAMPLE = "wordspot speak yes no up down --out voices --per-word 100 --noise"
#: The names of the engines without importing them: ``--help`` must not load numpy.
ENGINES = ("espeak-ng", "flite", "festival", "kokoro", "piper", "all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="WORD", help="what to say; each word gets a folder of its name")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the data folder to make")
    parser.add_argument("--per-word", type=int, metavar="N", help="clips of each word (default: 100, or as many as --voices)")
    _add_voices(parser)
    _add_clips(parser)
    _add_more(parser)
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def _add_voices(parser: argparse.ArgumentParser) -> None:
    """Who speaks."""
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="random seed (default: 0)")
    parser.add_argument(
        "--language", default="en", metavar="CODE", help="en, en-us, de, zh, ...: all its accents speak (default: en)"
    )
    parser.add_argument(
        "--engine", default="all", metavar="NAME",
        help=f"one of {', '.join(ENGINES)}, or several with commas between them; all (the default) are the first three, "
        "whichever are installed; kokoro and piper are neural voices (see `wordspot download voices`)",
    )  # fmt: skip
    parser.add_argument(
        "--voices", type=int, metavar="N", help="how many speakers; kokoro mixes its voices to have as many (default: all)"
    )
    parser.add_argument(
        "--voice-files", type=Path, metavar="PATH", help="a file or folder of voices for kokoro or piper (or set WORDSPOT_VOICES)"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="threads for kokoro; 0 uses all cores (default: 1)")


def _add_clips(parser: argparse.ArgumentParser) -> None:
    """What a clip is."""
    usual = FeatureConfig()
    parser.add_argument(
        "--sample-rate", type=int, default=usual.sample_rate, metavar="HZ", help="of the clips (default: %(default)d)"
    )
    parser.add_argument(
        "--clip-ms", type=float, default=usual.clip_ms, metavar="MS", help="length of a clip (default: %(default)g)"
    )


def _add_more(parser: argparse.ArgumentParser) -> None:
    """What is written besides the words."""
    parser.add_argument(
        "--noise", type=float, nargs="?", const=60.0, metavar="SECONDS",
        help="also make synthetic background noises, each this long (60 without a number)",
    )  # fmt: skip
    parser.add_argument(
        "--near-misses", type=int, default=0, metavar="N",
        help="also speak N texts that sound like each WORD into DIR/negatives, for `wordspot train --task trigger`",
    )  # fmt: skip
    parser.add_argument(
        "--manifest", "--list", dest="manifest", type=Path, metavar="FILE.csv",
        help="also write a CSV of the clips (path,label,speaker,generator) for `wordspot train FILE.csv --task recordings`",
    )  # fmt: skip
    parser.add_argument("--label", metavar="NAME", help="label of the clips in the manifest (default: synthetic)")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.voices import speak
    from wordspot.formats import command_line

    with console.show_progress() as progress:
        speech = speak(
            args.words, args.out, per_word=_per_word(args), seed=args.seed, language=args.language, engine=args.engine,
            voice_files=args.voice_files, n_speakers=args.voices, jobs=args.jobs, sample_rate=args.sample_rate,
            clip_ms=args.clip_ms, noise_seconds=args.noise, near_misses=args.near_misses, manifest=args.manifest,
            label=args.label, force=args.force, progress=progress,
        )  # fmt: skip
    for word in speech.words:
        if word.n_cut:
            console.note(
                f"{word.word}: {word.n_cut} of {word.n_clips} clips hold only its loudest {speech.clip_ms:g} ms, "
                f"because it is longer even when spoken fast; raise --clip-ms"
            )
    if args.json:
        console.print_json(speech.to_json())
        return
    console.say(f"{args.out}: {len(speech.words)} words, {speech.n_clips} clips by {len(speech.speakers)} synthetic speakers")
    if speech.near_misses:
        n_clips = sum(near.n_clips for near in speech.near_misses)
        some = ", ".join(near.word for near in speech.near_misses[:5])
        console.say(f"{args.out / 'negatives'}: {len(speech.near_misses)} near misses ({some}, ...), {n_clips} clips")
    console.say(f"next: {command_line('wordspot', 'check', args.out)}")
    if args.manifest:
        train = command_line("wordspot", "train", args.manifest, "--task", "recordings", "--out", "runs/recordings")
        console.say(f"{args.manifest}: {speech.n_clips} rows; add those of people, then: {train}")


def _per_word(args: argparse.Namespace) -> int:
    """As many clips as were asked for, or one for each speaker that was, or 100."""
    counts = (args.per_word, args.voices, 100)
    return int(next(count for count in counts if count is not None))
