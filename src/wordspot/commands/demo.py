"""``wordspot demo``: the whole way from words to a tested model, on synthetic voices."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "go the whole way on synthetic voices: speak, train, evaluate, export, test"
EXAMPLE = "wordspot demo --out demo"

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "wow", "zero",
)  # fmt: skip
_MARKER = ".wordspot-demo"
#: The layers of the body change little, so that they still hear people. Voices say each word so much alike that people's are
#: taken for other words if others are drawn as often as in training on people.
_SETTINGS = {"training.body_rate": 0.15, "data.unknown_weight": 1.0}
_FEWEST_PER_WORD = 30  # with fewer, it depends on the seed whether held-out voices say every word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="the folder to make (default: demo)")
    parser.add_argument("--per-word", metavar="N", type=int, default=200, help="clips of each word (default: 200)")
    parser.add_argument("--steps", metavar="N", type=int, default=300, help="training steps (default: 300)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the voices and of training (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace an earlier demo in DIR")


def run(args: argparse.Namespace) -> None:
    from wordspot.commands import console
    from wordspot.data.scenes.make_stream import make_stream
    from wordspot.evaluation.streams import test_stream
    from wordspot.reports.report import write_report
    from wordspot.run import train
    from wordspot.tasks import TASKS

    recordings, report, page = args.out / "recordings", args.out / "report.html", args.out / "stream.html"
    model, stream = args.out / "words.onnx", args.out / "stream.wav"
    _check(args.per_word)
    force = args.force or _is_unfinished(recordings, page)
    _prepare(args.out, recordings, force=force)

    console.say(f"1. Synthetic voices speak {len(WORDS)} words and {len(OTHERS)} others into {recordings}")
    _speak(recordings, args.per_word, args.seed)
    _check_sets(recordings)
    console.say(f"2. A {TASKS['words'].default_model} network, pre-trained on people, is trained on them: {args.steps} steps")
    settings = {**_SETTINGS, "training.evaluate_every": max(args.steps // 5, 1)}
    with console.watch_training("the same command begins anew") as callbacks:
        trained = train(
            recordings, WORDS, out=args.out / "run", init="body", steps=args.steps, seed=args.seed, settings=settings,
            force=force, **callbacks,
        )  # fmt: skip
    console.say("3. It is evaluated on voices that it was not trained on")
    with console.show_progress() as progress:
        result = trained.evaluate(recordings, progress=progress)
    write_report(result, report)
    console.show_result(result, as_json=False)
    console.say("4. It is exported to one file, which needs no torch and is tested on a stream of words by those voices")
    console.say(trained.export(model, force=True).summary())
    made = make_stream(recordings, WORDS, out=stream, minutes=5, seed=args.seed, force=True)
    console.say(f"{stream}: {made.seconds / 60:g} minutes with {sum(made.counts.values())} words")
    with console.show_progress() as progress:
        tested = test_stream(model, [stream], progress=progress)
    write_report(tested, page)
    console.show_result(tested, as_json=False)
    console.say(_what_next(args.out, recordings, [report, page], model))


def _what_next(out: Path, recordings: Path, pages: list[Path], model: Path) -> str:
    program = sys.argv[0] if Path(sys.argv[0]).name == "wordspot" else "wordspot"
    clip = min((recordings / WORDS[0]).iterdir())
    return (
        f"Open these pages: {' and '.join(map(str, pages))}\n"
        "The network was pre-trained on people, but learned these words from synthetic voices: such a model found 84 % of the\n"
        "words that people said. Put recordings of people into one folder per word, with other words and background noise\n"
        "beside them, and train on them:\n"
        f"  {program} train FOLDER --words {','.join(WORDS)} --out runs/ten\n"
        "The model that comes with wordspot is trained on people. Try it with a microphone:\n"
        f"  {program} listen\n"
        "To use the demo's model on a web page (in a checkout, `make web` builds what browsers run it with):\n"
        f"  make web\n  {program} serve {model} --open\n"
        "To draw the features of a clip:\n"
        f"  {program} spectrogram {clip} --out {out / 'clip.png'} --features logmel"
    )


def _check(per_word: int) -> None:
    """
    Raises:
        ConfigError: too few clips to hold any out.
        MissingExtraError: a package that is needed at the end is not installed, or no voices are.
    """
    from wordspot.data.voices import find_engines
    from wordspot.errors import ConfigError, check_packages

    check_packages("`demo`", "torch", "onnx", "onnxscript")
    find_engines()
    if per_word < _FEWEST_PER_WORD:
        raise ConfigError(
            f"`per_word` must be at least {_FEWEST_PER_WORD}, got {per_word}: a tenth of each word's clips is held out to test on"
        )


def _is_unfinished(recordings: Path, last: Path) -> bool:
    """Whether an earlier demo in this folder was interrupted, or failed: it did not write its last page."""
    return (recordings / _MARKER).is_file() and not last.exists()


def _check_sets(recordings: Path) -> None:
    """
    Raises:
        ConfigError: by chance, the voices that are held out do not say every word.
    """
    from wordspot.data.scenes.material import load_material
    from wordspot.errors import ConfigError, DataError

    try:
        load_material(recordings, WORDS, "testing")
    except DataError as error:
        raise ConfigError("the voices that are held out for testing do not say every word; raise `per_word`") from error


def _prepare(out: Path, recordings: Path, *, force: bool) -> None:
    """Make the demo's folder. With `force` an earlier demo is replaced, but never anybody's own recordings."""
    from wordspot.errors import ConfigError
    from wordspot.files import prepare_out, write_text

    prepare_out(out, force=force)
    if recordings.exists() and not (recordings / _MARKER).is_file():
        raise ConfigError(f"{recordings} was not made by an earlier demo; choose another `out`")
    recordings.mkdir(exist_ok=True)
    write_text(recordings / _MARKER, "wordspot demo made this folder and replaces it when it runs again.\n")


def _speak(out: Path, per_word: int, seed: int) -> None:
    """The wanted words, fewer clips of each of the others, and noise.

    Only by engines that answer at once: with Kokoro's voices for three clips of ten, no more words of people were found
    (dev/LOG.md, 2026-12-02).
    """
    from wordspot.commands import console
    from wordspot.data.voices import speak

    with console.show_progress() as progress:
        speak(WORDS, out, per_word=per_word, seed=seed, noise_seconds=60, force=True, progress=progress)
        speak(OTHERS, out, per_word=max(per_word // 5, 2), seed=seed, force=True, progress=progress)
