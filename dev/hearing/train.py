"""Train the body on the teacher's frames, then the words from that body; or a body on the sounds of speech, or on both.

    python dev/hearing/train.py body --cache CACHE --out CACHE/body.safetensors --minutes 20
    python dev/hearing/train.py words --cache CACHE --init CACHE/body.safetensors --out CACHE/words.safetensors --minutes 45
    python dev/hearing/train.py phones --cache CACHE --init BODY --out CACHE/phones.safetensors --minutes 25
    python dev/hearing/train.py both --cache CACHE --init BODY --out CACHE/both.safetensors --minutes 35

The learning rate falls as a cosine over `--minutes`; `--stop-after` ends earlier on that schedule. What is written is a moving
average of the weights, with the heads that only training needs (`classes`, `frames`, `windows`, `phones`).
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cache import N_COMPONENTS, N_LABELS, RATE, arguments
from fast_body import Statistics, body_frames, context_of, update_norms
from losses import label_loss, masked_error
from phone_loss import PhoneLoss
from scene_audio import BODY, BOTH, PHONES, SceneConfig
from scenes import STRIDE, Batch, Scenes
from wordspot.config import FeatureConfig
from wordspot.export.read_weights import checkpoint_of_file
from wordspot.models.residual import Residual1d
from wordspot.training.muon import ORTHOGONAL, Muon, is_kernel
from wordspot.training.weights import measure_norms

_WEIGHT_DECAY, _DROPOUT = 0.02, 0.1
_LAST_RATE = 0.01  # of the highest
_CLASSES_WEIGHT = 0.5
_SAVE_EVERY = 2000  # steps
_FRAMES_WEIGHT = 5.0  # of the error of the teacher's frames, beside the loss of sounds
Body = Callable[[Residual1d, Tensor], tuple[Tensor, Statistics]]


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run.

    Attributes:
        stage: `body`, `words`, `phones` or `both`.
        n_window_frames: of the model's window: 148 are 1.5 s.
        n_local: of the model.
        warp: the most by which the frequencies of a scene are stretched or squeezed, as a part.
        recent_ms: see `label_windows`.
        muon: see `_optimizer`.
        unknown: of the scenes of words, see `SceneConfig`.
        n_frames: of a scene: 596 are 6 s.
        minutes: of processor time, for the schedule.
        warmup: part of the minutes over which the rate rises.
        soft: weight of the teacher's posteriors against the label.
        average: of the moving average, for each step.
    """

    stage: str
    minutes: float
    stop_after: float
    rate: float
    warmup: float
    soft: float
    average: float
    seed: int
    snr_db: tuple[float, float]
    batch: int = 16
    n_frames: int = 596
    n_window_frames: int = 148
    n_channels: int = 96
    expansion: int = 2
    dilations: str = "1,1,2,4,8"
    n_local: int = 0
    warp: float = 0.0
    recent_ms: float = 0.0
    muon: bool = False
    unknown: float = SceneConfig.unknown

    def make_model(self) -> Residual1d:
        n_features = FeatureConfig().n_features
        return Residual1d(
            self.n_window_frames, n_features, N_LABELS, self.n_channels, self.expansion, self.dilations, 0.0, self.n_local
        )


def widened(values: Tensor, fresh: Tensor) -> Tensor:
    """`values` in the corner of `fresh` [outputs, inputs, ...], whose outputs and inputs are as many or more.

    Old outputs do not hear new inputs yet, so the network answers as before (Net2Net, Chen et al. 2016, arXiv 1511.05641, has
    copies of channels instead of fresh ones); new outputs keep their random weights.
    """
    if values.shape == fresh.shape:
        return values
    wide = fresh.clone()
    if values.dim() == 1:
        wide[: len(values)] = values
        return wide
    wide[: len(values)] = 0
    wide[: len(values), : values.shape[1]] = values
    return wide


class Student(nn.Module):
    """The model and the heads that only training needs."""

    def __init__(self, model: Residual1d, n_channels: int, n_classes: int, n_phones: int) -> None:
        super().__init__()
        self.model = model
        self.classes = nn.Linear(n_channels, n_classes)
        self.frames = nn.Linear(n_channels, N_COMPONENTS)
        self.windows = nn.Linear(n_channels, 2 * N_COMPONENTS)
        self.phones = nn.Linear(n_channels, n_phones)

    def pool(self, frames: Tensor) -> Tensor:
        """[batch, frames, channels] → the mean at the end of each labelled window [batch, windows, channels]."""
        return nn.functional.avg_pool1d(frames.transpose(1, 2), self.model.pool.n_frames, STRIDE).transpose(1, 2)

    def start_from(self, path: Path, *, keep_heads: bool) -> None:
        """Take the body from a file that `train.py` wrote, and its output and classes too if `keep_heads`.

        An exported file has no classes. A body of fewer channels is widened.
        """
        if path.suffix == ".onnx":
            given = checkpoint_of_file(path.name, path.read_bytes()).weights
            weights = {f"model.{name}": values for name, values in given.items()}
        else:
            fresh = () if keep_heads else ("model.output.", "classes.")
            weights = {name: values for name, values in load_file(path).items() if not name.startswith(fresh)}
        own = self.state_dict()
        self.load_state_dict({name: widened(values, own[name]) for name, values in weights.items() if name in own}, strict=False)


def prepare_norms(model: Residual1d, features: Tensor) -> None:
    """Measure the folded norms; fresh local patterns, which add nothing, are left as they are."""
    local = model.local
    if local is not None and not local.last_norm.weight.any():
        model.local = None
    measure_norms(model, features)
    model.local = local


class BodyLoss:
    """Squared error of the teacher's frames and of their mean and maximum over windows, each with a variance of 1."""

    def __init__(self, scenes: Scenes, n_batches: int = 8) -> None:
        targets = [scenes.batch().targets for _ in range(n_batches)]
        windows = torch.cat([one.windows[one.windows_mask] for one in targets if one is not None])
        self._mean = windows.mean(dim=0)
        variance = windows.var(dim=0, correction=0)
        self._scale = torch.cat([half.sum().sqrt().expand(N_COMPONENTS) for half in variance.split(N_COMPONENTS)])

    def __call__(self, student: Student, frames: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """The loss, and the error of the windows: 1 if nothing was learned."""
        assert batch.targets is not None
        wanted, mask, windows, windows_mask = batch.targets
        of_frames = masked_error(student.frames(frames[:, ::2]), wanted, mask)
        of_windows = masked_error(student.windows(student.pool(frames)), (windows - self._mean) / self._scale, windows_mask) / 2
        return of_frames + of_windows, of_windows.item()


class WordsLoss:
    """Cross-entropy of the labels and, at half the weight, of the classes of all words, each softened by the teacher."""

    def __init__(self, cache: Path, soft: float) -> None:
        self._soft = soft
        self._labels = torch.from_numpy(np.load(cache / "soft_labels.npy")) if soft else None
        self._classes = torch.from_numpy(np.load(cache / "soft_classes.npy")) if soft else None

    def __call__(self, student: Student, frames: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """The loss, and the accuracy of the labels."""
        pooled, output = nn.functional.dropout(student.pool(frames), _DROPOUT), student.model.output
        logits = nn.functional.linear(pooled, output.weight[:, :, 0], output.bias)
        loss, accuracy = label_loss(logits, batch.labels, batch.rows, self._labels, self._soft)
        classes, _ = label_loss(student.classes(pooled), batch.classes, batch.rows, self._classes, self._soft)
        return loss + _CLASSES_WEIGHT * classes, accuracy


class PhonesLoss:
    """The loss of the sounds of all whole words."""

    def __init__(self, vocabulary: list[str], context: int) -> None:
        self._phones = PhoneLoss(vocabulary, context)
        self.n_sounds = len(self._phones.names)

    def __call__(self, student: Student, frames: Tensor, batch: Batch) -> tuple[Tensor, float]:
        """The loss, and that of a sound without that of silence."""
        return self._phones(student.phones(frames[:, ::2]), batch.items)


class BothLoss:
    """The teacher's frames and the sounds of all whole words."""

    def __init__(self, frames: BodyLoss, phones: PhonesLoss) -> None:
        self._frames, self._phones = frames, phones

    def __call__(self, student: Student, frames: Tensor, batch: Batch) -> tuple[Tensor, tuple[float, float]]:
        """The loss, the error of the windows and the loss of a sound."""
        of_frames, error = self._frames(student, frames, batch)
        of_phones, sound = self._phones(student, frames, batch)
        return _FRAMES_WEIGHT * of_frames + of_phones, (error, sound)


Loss = BodyLoss | WordsLoss | PhonesLoss | BothLoss


class Average:
    """The moving average of all weights."""

    def __init__(self, module: nn.Module, factor: float) -> None:
        self._module, self._factor, self._step = module, factor, 0
        self.weights = {k: v.clone() for k, v in module.state_dict().items() if v.is_floating_point()}

    @torch.no_grad()
    def update(self) -> None:
        self._step += 1
        factor = min(self._factor, (1 + self._step) / (10 + self._step))
        now = self._module.state_dict()
        torch._foreach_lerp_(list(self.weights.values()), [now[name] for name in self.weights], 1 - factor)


def rate_at(done: float, config: TrainConfig) -> float:
    """The learning rate when this part of the minutes has passed."""
    falling = 0.5 * (1 + math.cos(math.pi * done))
    return config.rate * min(done / config.warmup, 1) * (_LAST_RATE + (1 - _LAST_RATE) * falling)


def _optimizer(student: Student, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW for all parameters; or Muon for the kernels of the body, and AdamW for the rest."""
    kernels = [p for p in student.model.parameters() if is_kernel(p) and p is not student.model.output.weight]
    kernels = kernels if config.muon else []
    rest = [p for p in student.parameters() if all(p is not one for one in kernels)]
    weights, others = [p for p in rest if p.ndim > 1], [p for p in rest if p.ndim <= 1]
    decaying = [{"params": kernels, ORTHOGONAL: True}, {"params": weights, ORTHOGONAL: False}]
    groups = [*(group for group in decaying if group["params"]), {"params": others, "weight_decay": 0.0, ORTHOGONAL: False}]
    return Muon(groups, lr=config.rate, weight_decay=_WEIGHT_DECAY, fused=True)


def train(
    cache: Path,
    config: TrainConfig,
    init: Path | None,
    *,
    keep_heads: bool,
    compiled: bool,
    save: Callable[[dict[str, Tensor]], None] | None = None,
) -> dict[str, Tensor]:
    """Run one stage, for at least one step. Returns the averaged weights, and gives them to `save` now and then."""
    torch.manual_seed(config.seed)
    model = config.make_model()
    has_frames, has_phones = config.stage in ("body", "both"), config.stage in ("phones", "both")
    of_words = SceneConfig(unknown=config.unknown, snr_db=config.snr_db)
    scene_config = {"body": BODY, "phones": PHONES, "both": BOTH}.get(config.stage, of_words)
    context = context_of(model) if has_frames else None
    shape = (config.n_window_frames, config.n_frames, config.batch)
    scenes = Scenes(cache, scene_config, *shape, config.seed, context, config.warp, int(config.recent_ms * RATE / 1000))
    phones = PhonesLoss(scenes.vocabulary, context_of(model)) if has_phones else None
    student = Student(model, config.n_channels, scenes.n_classes, phones.n_sounds if phones else 1)
    if init:
        student.start_from(init, keep_heads=keep_heads)
        if init.suffix == ".onnx":
            prepare_norms(model, scenes.batch().features)
    loss_of = _loss(cache, config.soft, BodyLoss(scenes) if has_frames else None, phones)
    body: Body = torch.compile(body_frames, dynamic=False) if compiled else body_frames
    body(model, scenes.batch().features)[0].float().sum().backward()  # compiles before the clock starts
    optimizer, average = _optimizer(student, config), Average(student, config.average)
    begun, step, total = time.process_time(), 0, 60 * config.minutes
    recent: list[Sequence[float]] = []
    while not step or (passed := time.process_time() - begun) < min(total, 60 * config.stop_after):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(passed / total if step else 0.0, config)
        batch = scenes.batch()
        frames, statistics = body(model, batch.features)
        loss, measure = loss_of(student, frames.float(), batch)
        student.zero_grad()
        loss.backward()
        optimizer.step()
        update_norms(model, statistics)
        average.update()
        recent.append((loss.item(), *np.atleast_1d(measure)))
        step += 1
        if step % 200 == 0:
            print(
                f"step {step}, {(time.process_time() - begun) / 60:.1f} min: {np.mean(recent[-200:], axis=0).round(3)}",
                flush=True,
            )
        if save and step % _SAVE_EVERY == 0:
            save(average.weights)
    print(f"{step} steps in {(time.process_time() - begun) / 60:.1f} min")
    return average.weights


def _loss(cache: Path, soft: float, frames: BodyLoss | None, phones: PhonesLoss | None) -> Loss:
    """The loss of a stage, which has frames, sounds, both, or words."""
    if frames and phones:
        return BothLoss(frames, phones)
    return frames or phones or WordsLoss(cache, soft)


def model_weights(path: Path) -> dict[str, Tensor]:
    """The weights of `Residual1d` in a file that `train.py` wrote."""
    return {name.removeprefix("model."): w for name, w in load_file(path).items() if name.startswith("model.")}


def _parse() -> argparse.Namespace:
    parser = arguments(__doc__, data=False)
    parser.add_argument("stage", choices=("body", "words", "phones", "both"))
    parser.add_argument("--out", type=Path, required=True, help="the weights; their settings are written next to them")
    parser.add_argument("--init", type=Path, help="weights to start from")
    parser.add_argument("--keep-heads", action="store_true", help="start from the output of --init too, not only its body")
    parser.add_argument("--minutes", type=float, default=20, help="of processor time, of the schedule of the learning rate")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes after which to stop on that schedule")
    parser.add_argument("--rate", type=float, default=0.005, help="the highest learning rate")
    parser.add_argument("--warmup", type=float, default=0.03, help="part of the minutes over which the rate rises")
    parser.add_argument("--soft", type=float, default=0.6, help="weight of the teacher's posteriors against the labels")
    parser.add_argument("--average", type=float, default=0.998, help="factor of the moving average of the weights")
    parser.add_argument("--snr-db", type=float, nargs=2, default=(-3.0, 30.0), help="range of the signal-to-noise ratio")
    parser.add_argument("--n-channels", type=int, default=TrainConfig.n_channels, help="width; --init may have fewer")
    parser.add_argument("--n-local", type=int, default=0, help="channels of the local patterns")
    parser.add_argument("--warp", type=float, default=0.0, help="the most by which frequencies are stretched")
    parser.add_argument("--recent-ms", type=float, default=0.0, help="how long a word that others follow is their label")
    parser.add_argument("--unknown", type=float, default=SceneConfig.unknown, help="odds of one of the other words")
    parser.add_argument("--muon", action="store_true", help="train the products of the body by Muon instead of AdamW")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    args = vars(_parse())
    cache, out, init, keep_heads = (args.pop(name) for name in ("cache", "out", "init", "keep_heads"))
    config = TrainConfig(**{**args, "snr_db": tuple(args["snr_db"])})
    torch.set_num_threads(1)
    out.with_suffix(".json").write_text(json.dumps(asdict(config), indent=1), encoding="utf-8")
    save = functools.partial(save_file, filename=out)
    save(train(cache, config, init, keep_heads=keep_heads, compiled=True, save=save))


if __name__ == "__main__":
    main()
