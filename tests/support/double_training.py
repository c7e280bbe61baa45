"""Train in float64 and write the losses as JSON: ``double_training.py DATA OUT STEPS``, alone or by `torchrun`.

Training amplifies rounding, so that two ways to compute the same steps drift apart in float32. In float64 only real differences
remain.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from wordspot.torchrun import rank
from wordspot.training.parallel import join, leave
from wordspot.training.recipes import make_config
from wordspot.training.tasks import load_task
from wordspot.training.trainer import Trainer

SETTINGS = {
    "training.batch_size": 7, "training.average": 0.0, "scenes.length_s": 0.0,
    "model.n_channels": 8, "model.dropout": 0.3,
}  # fmt: skip


class Double(nn.Module):
    """A front end whose features are float64."""

    def __init__(self, front_end: nn.Module) -> None:
        super().__init__()
        self.front_end = front_end

    def forward(self, audio: Tensor) -> Tensor:
        features: Tensor = self.front_end(audio)
        return features.double()


def losses(data: Path, n_steps: int) -> list[float]:
    device = torch.device("cpu")
    settings = {**SETTINGS, "training.learning_rates": (0.0005,), "training.steps": (n_steps,)}
    config = make_config(data, ["high", "low"], model="residual_1d", settings=settings)
    group = join(device, config.training.batch_size)
    task = load_task(config, data, device, lambda step: None, lambda note: None, None)
    trainer = Trainer(config, task, Path(tempfile.gettempdir()), device, group=group)
    trainer.model.double()
    trainer.front_end = Double(trainer.front_end)
    return [float(trainer.train_step().loss) for _ in range(n_steps)]


def main(data: str, out: str, n_steps: str) -> None:
    found = losses(Path(data), int(n_steps))
    if rank() == 0:
        Path(out).write_text(json.dumps(found))
    leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
