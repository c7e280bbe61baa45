"""``wordspot demo``: the main job from nothing, on synthetic voices."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HELP = "do the main job on synthetic voices: speak, train, measure, export, listen"
EXAMPLE = "wordspot demo --out demo"

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "wow", "zero",
)  # fmt: skip
_MARKER = ".wordspot-demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="what to make (default: demo)")
    parser.add_argument("--per-word", metavar="N", type=int, default=200, help="clips of each word (default: 200)")
    parser.add_argument("--steps", metavar="N", type=int, default=1500, help="training steps (default: 1500)")
    parser.add_argument("--seed", type=int, default=0, help="of the voices and of the training (default: 0)")
    parser.add_argument("--force", action="store_true", help="write over the demo that DIR already holds")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console, export, make_stream
    from wordspot.evaluation.streams import test_stream
    from wordspot.reports.report import write_report
    from wordspot.run import evaluate, train
    from wordspot.tasks import TASKS

    recordings, run_folder, report = args.out / "recordings", args.out / "run", args.out / "report.html"
    _prepare(args.out, recordings, force=args.force)

    console.say(f"1. Synthetic voices speak {len(WORDS)} words and {len(OTHERS)} others into {recordings}")
    _speak(recordings, args.per_word, args.seed)
    console.say(f"2. A {TASKS['words'].default_model} network is trained on them: {args.steps} steps")
    settings = {"training.evaluate_every": max(args.steps // 5, 1)}
    with console.watch_training("run the demo again to begin anew") as callbacks:
        train(
            recordings, WORDS, out=run_folder, steps=args.steps, seed=args.seed, settings=settings, force=args.force,
            **callbacks,
        )  # fmt: skip
    console.say("3. It is measured on voices it never heard")
    with console.show_progress() as progress:
        result = evaluate(run_folder, recordings, progress=progress)
    write_report(result, report)
    console.show_result(result, as_json=False)
    console.say(
        "4. It becomes one file, which needs no torch, and that file listens to a stream of words by those voices"
    )
    model, stream = args.out / "words.onnx", args.out / "stream.wav"
    _command(export, run_folder, "--out", model, "--force")
    words = ",".join(WORDS)
    _command(make_stream, recordings, "--words", words, "--out", stream, "--minutes", 5, "--seed", args.seed, "--force")
    page = args.out / "stream.html"
    with console.show_progress() as progress:
        tested = test_stream(model, [stream], progress=progress)
    write_report(tested, page)
    console.show_result(tested, as_json=False)
    program = sys.argv[0] if Path(sys.argv[0]).name == "wordspot" else "wordspot"
    console.say(
        f"The pages to look at: {report} and {page}\n"
        "This model knows synthetic voices only and does not hear people well yet. Put takes of people into a folder per\n"
        "word (and other words, and noise: README.md) and train on them:\n"
        f"  {program} train FOLDER --words {words} --out runs/ten\n"
        "A model of people's words comes with wordspot; with a microphone:\n"
        f"  {program} listen\n"
        "This model on a page that listens in the browser (the first line fetches, by npm, what runs it there):\n"
        f"  make web\n  {program} serve {model} --open\n"
        "To see what the network sees of a clip:\n"
        f"  {program} spectrogram {_first_clip(recordings)} --out {args.out / 'clip.png'} --features logmel"
    )


def _command(module: Any, *words: object) -> None:
    """Run another command as if these words had been typed."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    module.run(parser.parse_args([str(word) for word in words]))


def _prepare(out: Path, recordings: Path, *, force: bool) -> None:
    """Make the demo's folder. With `force` an earlier demo's is written over, but never anybody's own recordings."""
    from wordspot.errors import ConfigError
    from wordspot.files import prepare_out, write_text

    prepare_out(out, force=force)
    if recordings.exists() and not (recordings / _MARKER).is_file():
        raise ConfigError(f"{recordings}: expected an earlier demo's folder, but it is not; name another --out")
    recordings.mkdir(exist_ok=True)
    write_text(recordings / _MARKER, "wordspot demo wrote this folder, and writes over it when it runs again.\n")


def _speak(out: Path, per_word: int, seed: int) -> None:
    """The wanted words, fewer clips of each of the others, and noise."""
    from wordspot.commands import console
    from wordspot.data.voices import find_engines, make_noise, speak_words

    engines = find_engines()
    per_other = max(per_word // 5, 2)
    with console.progress_bar() as bar:
        task = bar.add_task("speaking", total=len(WORDS) * per_word + len(OTHERS) * per_other)
        for words, count in ((WORDS, per_word), (OTHERS, per_other)):
            speak_words(
                words, out, per_word=count, seed=seed, engines=engines,
                progress=lambda word: bar.update(task, advance=1, description=word),
            )  # fmt: skip
        make_noise(out, seed=seed, seconds=60, engines=engines, avoid=WORDS)


def _first_clip(recordings: Path) -> Path:
    return min((recordings / WORDS[0]).iterdir())
