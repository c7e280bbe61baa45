"""Fuzz everything that reads files of strangers: exported models and ground-truth files.

Each mutant is a real file with bytes changed, removed, doubled, moved or inserted. The reader may accept it or raise
a `WordspotError`; anything else, or more than a few seconds, is printed and counts as a failure. A mutant that passes
the check is also loaded and self-tested, as the detector does.

    python benchmarks/fuzz_files.py words.onnx --count 20000 --seed 0
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from wordspot.data.truth import SpokenWord, read_truth, write_truth
from wordspot.errors import WordspotError
from wordspot.runtime.model import open_model
from wordspot.runtime.modelfile.card import read_card

_SLOW = 5.0  # seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="an exported file")
    parser.add_argument("--count", type=int, default=20_000, help="mutants of the model, and as many of ground-truth files")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model, rng = args.model.read_bytes(), random.Random(args.seed)
    failures = fuzz("models", [model], read_model, args.count, rng)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "truth.txt"
        words = [SpokenWord("yes", 1000.0, 1400.0), SpokenWord("нет", 2500.5, None), SpokenWord("a b", 4000.0, 4100.0)]
        originals = []
        for kind in ("classic", "csv", "audacity"):
            write_truth(path, words, kind)
            originals.append(path.read_bytes())

        def read(mutant: bytes) -> str:
            path.write_bytes(mutant)
            return f"read, {len(read_truth(path))} words"

        failures += fuzz("ground-truth files", originals, read, args.count, rng)
    return 1 if failures else 0


def read_model(mutant: bytes) -> str:
    read_card(mutant)
    try:
        open_model(mutant)
    except WordspotError:
        return "accepted by the check, rejected on load"
    return "loaded, and passes its self-test"


def fuzz(what: str, originals: list[bytes], read: Callable[[bytes], str], count: int, rng: random.Random) -> int:
    """Read `count` mutants; print what came of them; the number of failures."""
    results, failures, slowest = Counter[str](), 0, 0.0
    for number in range(count):
        mutant = mutate(rng.choice(originals), rng)
        begun = time.process_time()
        try:
            results[read(mutant)] += 1
        except WordspotError:
            results["rejected"] += 1
        except Exception as error:
            failures += 1
            print(f"{what}, mutant {number}: {type(error).__name__}: {error}")
        seconds = time.process_time() - begun
        slowest = max(slowest, seconds)
        if seconds > _SLOW:
            failures += 1
            print(f"{what}, mutant {number}: took {seconds:.1f} s")
    print(f"{what}: {count} mutants, {failures} failures, slowest {1000 * slowest:.0f} ms")
    for result, n in results.most_common():
        print(f"  {n:7} {result}")
    return failures


def mutate(original: bytes, rng: random.Random) -> bytes:
    """A few changes, most of them small; half of those of a large file where its structure is: near its ends."""
    mutant = bytearray(original)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        size = len(mutant)
        if not size:
            break
        at = rng.randrange(size)
        if size > 50_000 and rng.random() < 0.5:
            at = rng.choice((rng.randrange(4000), size - 1 - rng.randrange(8000)))
        length = rng.choice((1, 1, 1, 2, 4, 8, 100, 1000))
        piece = mutant[at : at + length]
        kind = rng.randrange(7)
        if kind == 0:
            mutant[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            mutant[at] = rng.choice((0, 1, 127, 128, 255))
        elif kind == 2:
            mutant[at : at + length] = rng.randbytes(length)
        elif kind == 3:
            del mutant[at : at + length]
        elif kind == 4:
            mutant[at:at] = piece
        elif kind == 5:
            there = rng.randrange(size)
            mutant[there:there] = piece
        else:
            del mutant[at:]
    return bytes(mutant)


if __name__ == "__main__":
    sys.exit(main())
