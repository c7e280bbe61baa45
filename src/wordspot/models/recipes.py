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

#: For training scenes with a label for every window, as the model in the package was trained; dev/LOG.md compares it.
SCENES: dict[str, Any] = {
    "features.clip_ms": 1500.0,
    "scenes.length_s": 6.0,
    "training.batch_size": 16,
    "training.learning_rates": (0.005,),
    "training.optimizer": "adamw",
    "training.weight_decay": 0.02,
    "training.schedule": "cosine",
    "training.warmup_steps": 200,
    "training.average": 0.998,
    "training.evaluate_every": 500,
    "data.balance": 0.75,
    "data.unknown_weight": 3.0,
    "augment.background_frequency": 0.85,
    "augment.reversed_share": 0.05,
    "augment.made_noise": 0.5,
    "augment.snr_db": (-3.0, 30.0),
    "augment.speed": 0.13,
    "augment.gain_db": 6.0,
    "augment.room_frequency": 0.45,
    "augment.room_ms": 600.0,
    "augment.colour_db": 5.0,
    "augment.frequency_masks": 2,
}
