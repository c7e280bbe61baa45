"""How well a body tells words apart that it never saw: 40 Arabic words, a linear layer on a few recordings of each.

Five of the speakers are held out, four times. Prints the accuracy in percent for 5, 10 and 30 recordings of each word, on the
mean at the window's end and on the mean and maximum over the clip.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cache import RATE, arguments, read_clips
from train import TrainConfig, model_weights
from wordspot.audio.samples import to_float32
from wordspot.config import FeatureConfig
from wordspot.data.folders import hash_name
from wordspot.export.read_weights import checkpoint_of_file
from wordspot.features import make_front_end
from wordspot.models import make_model
from wordspot.models.residual import Residual1d
from wordspot.tasks import labels_of_run

_BEFORE, _HELD_OUT, _DRAWS, _RECORDINGS = 12_800, 5, 4, (5, 10, 30)
_PENALTY = 3e-3


@torch.no_grad()
def vectors_of(model: Residual1d, audio: NDArray[np.int16], n_window_frames: int) -> tuple[Tensor, Tensor]:
    """int16 [clips, samples] → the mean at the end [clips, channels], the mean and maximum [clips, 2 · channels]."""
    front_end = make_front_end(FeatureConfig())
    size = _BEFORE + max(480 + 160 * (n_window_frames - 1), RATE)
    at_end, overall = [], []
    for start in range(0, len(audio), 64):
        part = torch.from_numpy(to_float32(audio[start : start + 64]))
        padded = torch.zeros(len(part), size)
        padded[:, _BEFORE : _BEFORE + part.shape[1]] = part
        y = model.frames(front_end(padded))
        at_end.append(y[:, :, -model.pool.n_frames :].mean(dim=2))
        overall.append(torch.cat([y.mean(dim=2), y.amax(dim=2)], dim=1))
    return torch.cat(at_end), torch.cat(overall)


def linear_predictions(x: Tensor, y: Tensor, new: Tensor, n_classes: int) -> Tensor:
    """The classes of `new` by a linear layer fitted to x [n, features] and y [n]."""
    mean, deviation = x.mean(dim=0), x.std(dim=0) + 1e-3
    x, new = (x - mean) / deviation, (new - mean) / deviation
    weight = torch.zeros(x.shape[1], n_classes, requires_grad=True)
    bias = torch.zeros(n_classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weight + bias, y) + _PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (new @ weight + bias).argmax(dim=1)


def accuracies(vectors: Tensor, words: NDArray[np.str_], speakers: NDArray[np.str_]) -> dict[int, float]:
    """Percent correct on new speakers, by the number of recordings of each word."""
    names, codes = np.unique(words, return_inverse=True)
    y, found = torch.from_numpy(codes), {}
    for n in _RECORDINGS:
        right = []
        for draw in range(_DRAWS):
            rng = np.random.default_rng(draw)
            is_new = np.isin(speakers, rng.permutation(np.unique(speakers))[:_HELD_OUT])
            rows = np.concatenate([rng.permutation(np.flatnonzero((codes == c) & ~is_new))[:n] for c in range(len(names))])
            predicted = linear_predictions(vectors[rows], y[rows], vectors[is_new], len(names))
            right.append(float((predicted == y[is_new]).float().mean()))
        found[n] = round(100 * float(np.mean(right)), 1)
    return found


def read_body(path: Path) -> tuple[Residual1d, int]:
    """The network of a file that `train.py` wrote or `wordspot export` did, and the frames of its window."""
    if path.suffix == ".onnx":
        checkpoint = checkpoint_of_file(path.name, path.read_bytes())
        features = checkpoint.config.features
        model = make_model(checkpoint.config.model, features.n_frames, features.n_features, len(labels_of_run(checkpoint.config)))
        assert isinstance(model, Residual1d)
        model.load_state_dict(checkpoint.weights)
        return model.eval(), features.n_frames
    config = TrainConfig(**json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))
    model = config.make_model()
    model.load_state_dict(model_weights(path), strict=False)
    return model.eval(), config.n_window_frames


def main() -> None:
    parser = arguments(__doc__, data=False)
    parser.add_argument("weights", type=Path)
    args = parser.parse_args()
    model, n_window_frames = read_body(args.weights)
    clips = read_clips(args.cache, "arabic")
    words, speakers = np.array([clip.word for clip in clips]), np.array([hash_name(clip.path) for clip in clips])
    at_end, overall = vectors_of(model, np.load(args.cache / "arabic.npy", mmap_mode="r"), n_window_frames)
    print("mean at the window's end", accuracies(at_end, words, speakers))
    print("mean and maximum", accuracies(overall, words, speakers))


if __name__ == "__main__":
    main()
