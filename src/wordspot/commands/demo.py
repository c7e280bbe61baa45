"""``wordspot demo``: the main job from nothing, on synthetic voices."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "do the main job on synthetic voices: speak, train, measure, report"
EXAMPLE = "wordspot demo --out demo"

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = (
    "bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven", "sheila",
    "six", "three", "tree", "two", "wow", "zero",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="what to make (default: demo)")
    parser.add_argument("--per-word", metavar="N", type=int, default=200, help="clips of each word (default: 200)")
    parser.add_argument("--steps", metavar="N", type=int, default=2500, help="training steps (default: 2500)")
    parser.add_argument("--seed", type=int, default=0, help="of the voices and of the training (default: 0)")
    parser.add_argument("--force", action="store_true", help="write into a DIR that already holds files")


def run(args: argparse.Namespace) -> None:
    from wordspot import console
    from wordspot.commands.evaluate import evaluate, print_measures
    from wordspot.commands.train import make_trainer, train
    from wordspot.config import ModelConfig, RunConfig, override
    from wordspot.files import prepare_out
    from wordspot.models import find_recipe

    recipe = find_recipe(ModelConfig().name, "default")
    settings = {
        "training.steps": (args.steps,),
        "training.learning_rates": recipe["training.learning_rates"][:1],
        "training.warmup_steps": min(100, args.steps // 10),
        "training.evaluate_every": max(args.steps // 5, 1),
        "training.seed": args.seed,
    }
    config = override(RunConfig(words=WORDS), recipe | settings)
    prepare_out(args.out, force=args.force)
    recordings, run_folder, report = args.out / "recordings", args.out / "run", args.out / "report.html"

    console.say(f"1. Synthetic voices speak {len(WORDS)} words and {len(OTHERS)} others into {recordings}")
    _speak(recordings, args.per_word, args.seed, force=args.force)
    console.say(f"2. A {config.model.name} network learns them: {args.steps} steps")
    train(make_trainer(config, recordings, run_folder, "auto", resume=False, force=args.force))
    console.say("3. It is measured on voices it never heard")
    print_measures(evaluate(run_folder, recordings, "testing", None, "auto", report))
    console.say(f"The page to look at: {report}")
    console.say(
        "This model knows synthetic voices only and does not hear people well yet. With recordings of people:\n"
        f"  wordspot train recordings --words {','.join(WORDS)} --out runs/ten"
    )


def _speak(out: Path, per_word: int, seed: int, *, force: bool) -> None:
    """The wanted words, fewer clips of each of the others, and noise."""
    import shutil

    from wordspot import console
    from wordspot.voices import find_engines, make_noise, speak_words

    if force and out.exists():
        shutil.rmtree(out)
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
