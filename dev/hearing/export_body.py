"""Write the body that comes with wordspot, for `wordspot train --init body`: weights of the stage `body` without its heads."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cache import WORDS, arguments
from train import TrainConfig, model_weights
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.recipes import make_config


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    config = TrainConfig(**json.loads(args.weights.with_suffix(".json").read_text(encoding="utf-8")))
    settings = {"features.clip_ms": 10.0 * config.n_window_frames + 20.0, "model.dilations": config.dilations}
    settings |= {"model.n_channels": config.n_channels, "model.expansion": config.expansion, "model.n_local": config.n_local}
    run_config = make_config(args.data / "speech_commands", list(WORDS), task="words", settings=settings)
    model = config.make_model()
    model.load_state_dict(model_weights(args.weights), strict=False)  # all but the number of batches of the norms
    weights = {name: halved(one) for name, one in model.state_dict().items() if not name.startswith("output.")}
    save_checkpoint(args.out, Checkpoint(run_config, 0, 0, 0.0, weights, {}))
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


def halved(weight: torch.Tensor) -> torch.Tensor:
    """Matrices in 16 bits, which is exact enough to begin with; norms as they are."""
    return weight.half() if weight.ndim > 1 else weight


if __name__ == "__main__":
    main()
