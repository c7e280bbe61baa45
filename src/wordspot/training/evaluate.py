"""A run's checkpoint as a judge, for `wordspot.evaluation`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wordspot.evaluation.judging import (
    Audio,
    Judge,
    PosteriorTrack,
    TrainedOn,
    no_prediction,
    no_track,
)
from wordspot.metrics import Floats
from wordspot.tasks import TASKS, labels_of_run

if TYPE_CHECKING:
    import torch
    from torch import nn

    from wordspot.config import RunConfig
    from wordspot.training.checkpoint import Checkpoint

_SCENES_AT_ONCE = 10


def judge_of_run(path: Path, checkpoint: int | None = None, device: str = "auto") -> Judge:
    """Load a run's checkpoint.

    Args:
        path: the folder of the run.
        checkpoint: its step; None for the best one on the validation set.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        NotFoundError: no such run or checkpoint.
        CheckpointError: it is damaged.
        ConfigError: no such device.
    """
    from wordspot.training.log import trained_on
    from wordspot.training.run_folder import RunFolder

    folder = RunFolder(path)
    loaded = folder.load(checkpoint)
    task = TASKS[loaded.config.task]
    judge = _judge_clips if task.predicts_clips else _judge_steps if task.predicts_steps else _judge_recordings
    hashes, speakers = trained_on(path)
    return dataclasses.replace(
        judge(str(path), loaded, device),
        step=loaded.step,
        trained_on=TrainedOn(frozenset(hashes), frozenset(speakers)),
        log=tuple(folder.read_log()),
    )


def _load(checkpoint: Checkpoint, device: str) -> tuple[nn.Module, nn.Module, torch.device]:
    """The network, its front end, and the device that both are on."""
    from wordspot.features import make_front_end
    from wordspot.models import make_model
    from wordspot.training.device import resolve_device
    from wordspot.training.weights import load_weights

    where, config = resolve_device(device), checkpoint.config
    features = config.features
    network = make_model(config.model, features.n_frames, features.n_features, len(labels_of_run(config))).to(where)
    load_weights(network, checkpoint)
    return network.eval(), make_front_end(features).to(where), where


def _judge_clips(name: str, checkpoint: Checkpoint, device: str) -> Judge:
    import numpy as np
    import torch

    network, front_end, where = _load(checkpoint, device)

    def predict(clips: Sequence[Audio]) -> Floats:
        with torch.inference_mode():
            logits = network(front_end(torch.from_numpy(np.stack(clips)).to(where)))
            posteriors: Floats = torch.softmax(logits.double(), dim=1).cpu().numpy()
        return posteriors

    config = checkpoint.config
    return Judge(name, config, labels_of_run(config), predict, no_track, config.training.batch_size)


def _judge_steps(name: str, checkpoint: Checkpoint, device: str) -> Judge:
    import numpy as np

    from wordspot.training.tasks.trigger import predict_scenes, step_ends_ms

    network, front_end, where = _load(checkpoint, device)
    end_ms = step_ends_ms(network, checkpoint.config.features)

    def over_time(scenes: Sequence[Audio]) -> list[PosteriorTrack]:
        rows = predict_scenes(network, front_end, scenes, where)
        return [PosteriorTrack(end_ms, posteriors, np.ones(len(end_ms), bool)) for posteriors in rows]

    return Judge(name, checkpoint.config, labels_of_run(checkpoint.config), no_prediction, over_time, at_once=_SCENES_AT_ONCE)


def _judge_recordings(name: str, checkpoint: Checkpoint, device: str) -> Judge:
    from wordspot.training.tasks.recordings import judge

    network, front_end, where = _load(checkpoint, device)
    config = checkpoint.config

    def predict(recordings: Sequence[Audio]) -> Floats:
        return judge(network, front_end, config, recordings, where)

    def over_time(recordings: Sequence[Audio]) -> list[PosteriorTrack]:
        return [_windows_over_time(network, front_end, config, audio, where) for audio in recordings]

    return Judge(name, config, labels_of_run(config), predict, over_time)


def _windows_over_time(
    network: nn.Module, front_end: nn.Module, config: RunConfig, audio: Audio, device: torch.device
) -> PosteriorTrack:
    """The posteriors of each window of a recording, each judged as a recording by itself."""
    import numpy as np

    from wordspot.audio.samples import to_int16
    from wordspot.config import RecordingsConfig
    from wordspot.runtime.windows import cut_windows, find_sound, stride_of, window_starts
    from wordspot.training.tasks.recordings import judge

    features, whole = config.features, config.recordings.whole
    stride = stride_of(config.recordings.stride_ms, features.sample_rate, features.clip_samples)
    alone = dataclasses.replace(config, recordings=RecordingsConfig(whole=whole, stride_ms=features.clip_ms))
    windows = cut_windows(audio, features.clip_samples, stride, whole)
    rows = judge(network, front_end, alone, [to_int16(window) for window in windows], device)
    starts = np.zeros(1) if whole else window_starts(len(audio), features.clip_samples, stride)
    middles = (starts + np.minimum(starts + features.clip_samples, len(audio))) / 2
    return PosteriorTrack(1000 * middles / features.sample_rate, rows, find_sound(windows))
