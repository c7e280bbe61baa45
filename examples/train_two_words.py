"""Train two words, measure the model on speakers that are not in the training set, and export it.

    pip install 'wordspot[export]'
    python examples/train_two_words.py recordings yes no --out yes-no.onnx

`recordings` has one folder of sound files per word; docs/training.md describes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import wordspot as ws


def train_words(data: str, words: list[str], out: Path, steps: int | None = None) -> float:
    """Train, evaluate and export; the accuracy on the testing set."""
    for finding in ws.check(data).findings:
        if finding.severity == "error":
            print(f"{finding.code}: {finding.message}")
    run = ws.train(data, words=words, out=out.with_suffix(".run"), steps=steps, on_note=print)
    result = run.evaluate(data, split="testing")
    run.export(out)
    return float(result.accuracy)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder of words")
    parser.add_argument("words", nargs="+")
    parser.add_argument("--out", type=Path, default=Path("words.onnx"))
    parser.add_argument("--steps", type=int, help="fewer steps than the recipe's, to try it out")
    args = parser.parse_args(argv)
    accuracy = train_words(args.data, args.words, args.out, args.steps)
    print(f"{args.out}: {100 * accuracy:.1f} % of the testing clips are right")


if __name__ == "__main__":
    main()
