"""Small exported files with random weights, for tests of what reads such files."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from wordspot.config import RunConfig
from wordspot.export.run import Exported, export_network
from wordspot.models import make_model
from wordspot.overrides import override
from wordspot.tasks import labels_of_run


def export_made(name: str, *, int8: bool = False, **settings: Any) -> Exported:
    """A network by name with random weights and norms that have statistics of their own, exported.

    Args:
        name: of the network.
        int8: make the file with weights in 8 bits as well.
        settings: of the run, with ``__`` for the dot: ``features__n_mels=20``.
    """
    trigger = name.startswith("trigger")
    config = RunConfig(words=("yes",) if trigger else ("yes", "no"), task="trigger" if trigger else "words")
    changes = {"model.name": name, "features.kind": "logmel", "features.clip_ms": 2000.0 if trigger else 1000.0}
    changes |= {key.replace("__", "."): value for key, value in settings.items()}
    config = override(config, changes)
    torch.manual_seed(1)
    network = make_model(config.model, config.features.n_frames, config.features.n_features, len(labels_of_run(config)))
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return export_network(network.eval().requires_grad_(False), config, int8=int8)
