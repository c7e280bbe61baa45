"""Small trigger networks with weights that keep their outputs apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from wordspot.config import ModelConfig
from wordspot.models import make_model
from wordspot.models.recurrent_layers import Gru

SMALL: dict[str, dict[str, Any]] = {
    "trigger_1d": {"n_channels": 16, "window_frames": 60, "dilations": "1,2"},
    "trigger_gru": {"n_filters": 20, "n_units": 12},
}


def make(name: str, n_frames: int = 200, n_features: int = 10, **options: Any) -> Any:
    """A network in evaluation whose weights keep its answers apart, and whose norms have statistics of their own."""
    torch.manual_seed(1)
    model = make_model(ModelConfig(name, {**SMALL[name], **options}), n_frames, n_features, 2)
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
        elif isinstance(module, Gru):
            nn.init.normal_(module.bias_ih_l0)
            nn.init.normal_(module.bias_hh_l0)
    return model.eval().requires_grad_(False)
