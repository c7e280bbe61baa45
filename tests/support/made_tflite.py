"""Networks, features and interpreters for tests of TensorFlow Lite files."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from wordspot.config import ModelConfig
from wordspot.export.tflite.making import MICRO_FEATURES
from wordspot.models import make_model


def micro_runtime() -> Any:
    """The interpreter of devices; without the package the test is skipped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "tflite_micro.python.tflite_micro.runtime", reason="tflite-micro is not installed (Linux x86-64 only)"
        )


def make_network(name: str, n_labels: int, **options: Any) -> nn.Module:
    """A network with random weights, norms with statistics of their own, and logits of some size."""
    torch.manual_seed(1)
    module = make_model(ModelConfig(name=name, options=options), 148, 40, n_labels).eval().requires_grad_(False)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    output: Any = module.output
    output.weight.mul_(3)
    return module


def made_features(n_frames: int, seed: int = 0) -> NDArray[np.int64]:
    """Integers as a device has them, [frames, 40], that change slowly like sound."""
    rng = np.random.default_rng(seed)
    units = np.abs(np.cumsum(rng.normal(size=(n_frames, 40)), axis=0) * 30) % 660
    result: NDArray[np.int64] = MICRO_FEATURES.ints(units * 0.0390625)
    return result


def run_on_device(content: bytes, features: NDArray[np.int64], stride: int, arena_bytes: int = 200_000) -> NDArray[np.int64]:
    """The outputs [calls, n] of a file in the interpreter of devices."""
    interpreter = micro_runtime().Interpreter.from_bytes(content, arena_size=arena_bytes)
    rows = []
    for at in range(0, len(features) - stride + 1, stride):
        interpreter.set_input(features[None, at : at + stride].astype(np.int8), 0)
        interpreter.invoke()
        rows.append(interpreter.get_output(0)[0].astype(np.int64))
    return np.array(rows)


def device_features(samples: NDArray[np.int16]) -> NDArray[np.int64]:
    """What ESPHome's `micro_wake_word` feeds its network: the C front end, and ESPHome's integer formula."""
    front_end = pytest.importorskip("pymicro_features").MicroFrontend()
    data, at, frames = samples.astype("<i2").tobytes(), 0, []
    while at + 320 <= len(data):
        step = front_end.process_samples(data[at : at + 320])
        at += 2 * step.samples_read
        if step.features:
            units = np.rint(np.array(step.features) / 0.0390625).astype(np.int64)
            frames.append(((units * 256) + 333) // 666 - 128)
    return np.array(frames).clip(-128, 127)


def detected_on_device(folder: Path, name: str, samples: NDArray[np.int16]) -> bool:
    """Whether a device detects the word, by its files alone: the mean of the last scores exceeds the cut-off."""
    manifest = json.loads((folder / f"{name}.json").read_text())
    settings = manifest["micro"]
    content = (folder / manifest["model"]).read_bytes()
    scores = run_on_device(content, device_features(samples), 3, settings["tensor_arena_size"])[:, 0]
    window = settings["sliding_window_size"]
    sums = np.convolve(scores, np.ones(window, np.int64), "valid")
    return bool((sums > int(255 * settings["probability_cutoff"]) * window).any())


def detected_by_pymicro(folder: Path, name: str, samples: NDArray[np.int16]) -> bool:
    """Whether the package pymicro-wakeword, which Linux satellites run, detects the word."""
    package = pytest.importorskip("pymicro_wakeword", reason="pymicro-wakeword is not installed (Linux x86-64 only)")
    word = package.MicroWakeWord.from_config(folder / f"{name}.json")
    features: Iterable[Any] = package.MicroWakeWordFeatures().process_streaming(samples.astype("<i2").tobytes())
    return any(word.process_streaming(frame) for frame in features)
