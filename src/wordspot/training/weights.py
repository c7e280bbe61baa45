"""Load a checkpoint's weights into a network (all of them, or all except the last layer), and freeze weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from wordspot.config import FeatureConfig
from wordspot.errors import CheckpointError, ConfigError
from wordspot.training.checkpoint import Checkpoint


def load_weights(model: nn.Module, checkpoint: Checkpoint, *, to_resume: bool = False) -> None:
    """Put a checkpoint's weights into `model`: the averaged ones if there are any, or with `to_resume` those of the step.

    Raises:
        CheckpointError: they belong to another model.
    """
    try:
        model.load_state_dict(checkpoint.weights if to_resume else checkpoint.best_weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the checkpoint is of another model (its configuration names {checkpoint.config.model.name!r}): {reason}"
        ) from error


def load_body(model: nn.Module, checkpoint: Checkpoint, features: FeatureConfig) -> None:
    """Put a checkpoint's weights into `model`, except those of its last layer, ``output``, if their shapes differ.

    Args:
        model: the network to initialise.
        checkpoint: of the run to start from.
        features: the front end of `model`, which must equal that of the checkpoint; only ``clip_ms`` may differ.

    Raises:
        CheckpointError: the checkpoint is of another network or front end.
    """
    theirs = dataclasses.replace(features, clip_ms=checkpoint.config.features.clip_ms)  # a scene is longer than a clip
    if theirs != checkpoint.config.features:
        raise CheckpointError(
            f"`init`: the runs have different front ends. The given run was trained on {checkpoint.config.features.kind} at "
            f"{checkpoint.config.features.sample_rate} Hz, this one uses {features.kind} at {features.sample_rate} Hz, "
            "perhaps with other settings; choose a run with the same features"
        )
    own = model.state_dict()
    given = checkpoint.best_weights
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if strange := sorted(name for name in own.keys() | given.keys() if name not in fitting and not is_last(name)):
        raise CheckpointError(
            f"`init`: the networks differ in {strange[0]}, but only their last layers may. The given run is of a "
            f"{checkpoint.config.model.name} with {checkpoint.config.model.options or 'default options'}"
        )
    model.load_state_dict(fitting, strict=False)


def measure_norms(model: nn.Module, features: Tensor) -> None:
    """Give each batch norm the statistics of `features` [batch, frames, n_features], and change no output in evaluation.

    In training a batch norm scales its input to a variance of 1. Without these statistics the first step would change every
    layer of a network whose norms were folded.
    """

    def measure(norm: Any, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        axes = [axis for axis in range(x.dim()) if axis != 1]
        mean, variance = x.mean(axes), x.var(axes, unbiased=False)
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(gain * (mean - norm.running_mean))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)

    norms = [module for module in model.modules() if type(module) in (nn.BatchNorm1d, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    model.eval()
    with torch.no_grad():
        model(features)
    for hook in hooks:
        hook.remove()


def freeze_body(model: nn.Module) -> None:
    """Train only the last layer, ``output``.

    Raises:
        ConfigError: the network has no layer of that name.
    """
    if not any(is_last(name) for name, _ in model.named_parameters()):
        raise ConfigError(
            "training.frozen_body: the network has no layer named output, the only one it would train; leave it out"
        )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(is_last(name))


def is_last(name: str) -> bool:
    return name.startswith("output.")


def train_mode(model: nn.Module) -> None:
    """Set the training mode, with a frozen body only of the last layer, so that norms and dropout before it are off."""
    if all(parameter.requires_grad for parameter in model.parameters()):
        model.train()
        return
    model.eval()
    for name, module in model.named_children():
        module.train(is_last(f"{name}."))
