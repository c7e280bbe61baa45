"""How the streaming networks train: settings that they share, each with its own number of steps."""

from __future__ import annotations

from typing import Any

#: Chosen on `residual_1d` by validation, clips and streams; dev/LOG.md has the effect of each.
STREAMING: dict[str, Any] = {
    "training.learning_rates": (0.005,),
    "training.optimizer": "adamw",
    "training.weight_decay": 0.02,
    "training.schedule": "cosine",
    "training.warmup_steps": 300,
    "training.evaluate_every": 1000,
    "data.balance": 0.4,
    "data.unknown_weight": 3.0,
    "augment.scene_share": 0.3,
    "augment.reversed_share": 0.1,
    "augment.made_noise": 0.5,
    "augment.snr_db": (0.0, 40.0),
    "augment.speed": 0.1,
    "augment.gain_db": 6.0,
    "augment.room_frequency": 0.1,
    "augment.frequency_masks": 2,
    "augment.time_masks": 1,
}
