"""Feed mutated input to every reader of external data.

    python tools/fuzz.py --seed 1 --seconds 60          # a minute, shared by all targets
    python tools/fuzz.py wav ogg --count 1000000        # a million cases of each of two targets
    python tools/fuzz.py wav --seed 1 --case 4711       # one case again, here, with its traceback

A case is a real file, message or setting with bits flipped, sizes set to extremes, pieces cut, moved or spliced. The reader
may accept it or raise a `WordspotError` of one printable line. Anything else is a failure: another exception, a warning,
a crash, more than 10 s, more than 512 MiB, a half-written file, a wrong result. Failures are written to the folder of
``--keep``; the exit status is 1 if there are any.

The mutators are plain and seeded, without coverage guidance (atheris): most of what is read is parsed in C and Rust, which
atheris sees only in builds of its own; a case must be the same for a seed and a number on every Python that wordspot
supports; and a case that hangs, crashes or takes too much memory must fail without ending the run.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from fuzzing.files import FILE_TARGETS
from fuzzing.protocols import PROTOCOL_TARGETS
from fuzzing.runner import Outcome, Target, generator, run_target
from fuzzing.settings import SETTINGS_TARGETS
from fuzzing.sounds import SOUND_TARGETS

TARGETS = {target.name: target for target in (*SOUND_TARGETS, *FILE_TARGETS, *PROTOCOL_TARGETS, *SETTINGS_TARGETS)}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0, help="shared by the targets; default 60 without --count")
    parser.add_argument("--count", type=int, default=0, help="cases of each target")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--case", type=int, help="run this case of one target again, in this process")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for the cases that fail")
    args = parser.parse_args(argv)
    if unknown := [name for name in args.targets if name not in TARGETS]:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    chosen = [TARGETS[name] for name in args.targets or TARGETS]
    logging.disable(logging.CRITICAL)  # a server logs every rejected client
    if args.case is not None:
        return replay(chosen[0], args.seed, args.case)
    seconds = args.seconds / len(chosen) if args.seconds or args.count else 60 / len(chosen)
    n_failures = 0
    for target in chosen:
        outcome = run_target(target, seed=args.seed, seconds=seconds, count=args.count, first=args.first, keep=args.keep)
        n_failures += len(outcome.failures)
        print(line(target, outcome), flush=True)
        for number, text in outcome.failures[:20]:
            print(f"  case {number}: {text.strip().splitlines()[-1][:300]}", flush=True)
    if n_failures:
        print(f"{n_failures} failures; see {args.keep}")
    return 1 if n_failures else 0


def line(target: Target, outcome: Outcome) -> str:
    """What came of a target's cases, on one line."""
    per_second = outcome.n_cases / max(outcome.seconds, 1e-9)
    common = ", ".join(f"{count} {result}" for result, count in outcome.results.most_common(5))
    return (
        f"{target.name:<12}{outcome.n_cases:>9} cases {per_second:>8.0f}/s {len(outcome.failures):>3} failures, "
        f"slowest {outcome.slowest:.2f} s: {common}"
    )


def replay(target: Target, seed: int, number: int) -> int:
    """Run one case in this process; what it raises is not caught."""
    import tempfile

    logging.disable(logging.NOTSET)
    with tempfile.TemporaryDirectory() as folder:
        mutate, check = target.start(Path(folder))
        mutant = mutate(generator(target, seed, number))
        print(f"{len(mutant)} bytes: {mutant[:200]!r}")
        print(check(mutant))
    return 0


if __name__ == "__main__":
    sys.exit(main())
