"""The bodies that come with wordspot: networks that were pre-trained on speech, one for each size that has one."""

from __future__ import annotations

from pathlib import Path

from wordspot.config import RunConfig
from wordspot.training.checkpoint import Checkpoint, load_checkpoint
from wordspot.training.recipes import is_same_network

_FILES = ("body.safetensors", "small_body.safetensors")  # of the presets `default` and `microcontroller`


def usual_body() -> Checkpoint:
    """The body of the default network."""
    return _load(_FILES[0])


def body_for(config: RunConfig) -> Checkpoint | None:
    """The body with the network and the front end of `config`; None if there is none."""
    return next((body for body in map(_load, _FILES) if is_same_network(config, body.config)), None)


def _load(name: str) -> Checkpoint:
    return load_checkpoint(Path(__file__).parent / name)
