"""Train a wake word from a few recordings, starting from the weights of a run on many other recordings.

    python examples/finetune_trigger.py lamp --init runs/ten --out lamp.onnx

`lamp` has the folders positives, negatives and backgrounds; docs/trigger.md describes them. `runs/ten` is the folder
of a run of `residual_1d`, as `wordspot train recordings --words ... --out runs/ten` makes it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import wordspot as ws

#: The wake word's network has the blocks of the one that it starts from, and sees as many frames.
SAME_BODY = {"model.n_channels": 96, "model.dilations": "1,1,2,4,8", "model.n_local": 32, "model.window_frames": 148}


def finetune(data: str, init: str | None, out: Path, settings: dict[str, Any], steps: int | None = None) -> None:
    """Train `trigger_1d` from the weights of `init` and export it."""
    run = ws.train(data, task="trigger", init=init, out=out.with_suffix(".run"), settings=settings, steps=steps, on_note=print)
    run.export(out)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with positives, negatives and backgrounds")
    parser.add_argument("--init", metavar="RUN", help="the run whose weights it starts from")
    parser.add_argument("--out", type=Path, default=Path("wake-word.onnx"))
    parser.add_argument("--last-layer-only", action="store_true", help="keep the other weights as they are")
    parser.add_argument("--steps", type=int, help="fewer steps than the recipe's, to try it out")
    args = parser.parse_args(argv)
    settings: dict[str, Any] = dict(SAME_BODY)
    if args.last_layer_only:
        settings["training.frozen_body"] = True
    finetune(args.data, args.init, args.out, settings, args.steps)
    print(f"{args.out} is ready; tune its threshold with examples/eval_my_stream.py")


if __name__ == "__main__":
    main()
