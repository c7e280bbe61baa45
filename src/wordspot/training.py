"""One readable loop. It yields records as it goes; what they look like on a terminal is the command line's affair.

Chance is drawn anew for each step from (seed, step), so a run that was broken off and resumed from any checkpoint ends
with the same weights, to the bit, as one that was not (on one machine's CPU).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wordspot.batches import Batches
from wordspot.cache import DecodedClips
from wordspot.checkpoint import Checkpoint, RunFolder, save_checkpoint
from wordspot.config import RunConfig, TrainingConfig
from wordspot.dataset import ClipSet, build_sets, labels_of
from wordspot.device import resolve_precision
from wordspot.errors import CheckpointError, DataError, TrainingError
from wordspot.evaluation import measure_clips
from wordspot.features import make_front_end
from wordspot.files import write_json
from wordspot.metrics import confusion_matrix
from wordspot.models import make_model
from wordspot.overrides import with_free_settings
from wordspot.runlog import RunLog, check_listing, listing_text, write_listing, write_versions
from wordspot.scene_windows import IGNORED
from wordspot.silence import step_seed

_INITIAL, _STEP = 0, 1  # what chance is for, as the last number of a step's seed


@dataclass(frozen=True)
class StepRecord:
    """One training step: measured on its batch, before the weights moved."""

    step: int
    learning_rate: float
    accuracy: float
    cross_entropy: float
    kind: str = "step"


@dataclass(frozen=True)
class EvaluationRecord:
    """A whole set evaluated. `confusion` [labels][labels]: rows truth, columns answers."""

    step: int
    set: str
    accuracy: float
    n: int
    cross_entropy: float
    confusion: list[list[int]]
    kind: str = "evaluation"


Record = StepRecord | EvaluationRecord


class Trainer:
    """A network in training: owns the weights, the optimiser and the run's folder."""

    def __init__(self, config: RunConfig, decoded: DecodedClips, out: Path, device: torch.device) -> None:
        self.config, self.device, self.run = config, device, RunFolder(out)
        self.labels = labels_of(config.words)
        self.decoded, self.sets = decoded, build_sets(decoded.listing, config.words, config.data)
        _check_sets(self.sets)
        self.batches = Batches(config, decoded, self.sets, device)
        self.front_end = make_front_end(config.features).to(device)
        torch.manual_seed(step_seed(config.training.seed, 0, _INITIAL))
        self.model = make_model(
            config.model, config.features.n_frames, config.features.n_features, len(self.labels)
        ).to(device)
        self.optimizer = _make_optimizer(self.model, config.training)
        self.precision = resolve_precision(config.training.precision, device)
        self.step, self.best_step, self.best_accuracy = 0, 0, -1.0

    def start(self) -> None:
        """Write what the run's folder holds from its beginning; what another run left there goes."""
        self.run.clear()
        self.run.write_config(self.config)
        write_versions(self.run.path, self.device)
        write_listing(self.run.path, listing_text(self.decoded, self.sets, self.labels))

    def resume(self, step: int | None = None) -> None:
        """Go on from the checkpoint of `step`, or the newest; what the run did after it is forgotten.

        Raises:
            NotFoundError: no such checkpoint.
            CheckpointError: it is of another model or run.
            DataError: the recordings are not those that the run was begun with.
        """
        listing = listing_text(self.decoded, self.sets, self.labels)
        check_listing(self.run.path, listing)
        if step is None and not self.run.steps():  # broken off before the first checkpoint
            self.start()
            return
        checkpoint = self.run.load(self.run.latest_step() if step is None else step)
        if with_free_settings(checkpoint.config, self.config) != self.config:
            raise CheckpointError(
                f"the checkpoint of step {checkpoint.step} is of another model or run: its configuration "
                f"({checkpoint.config.model.name!r}, words {','.join(checkpoint.config.words)}) is not the run's"
            )
        load_weights(self.model, checkpoint)
        _load_optimizer(self.optimizer, checkpoint.optimizer)
        self.step, self.best_step = checkpoint.step, checkpoint.best_step
        self.best_accuracy = checkpoint.best_accuracy
        self.run.drop_after(self.step)

    def train(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
        """Train to the last step, yielding a record per step and evaluation; the last is of the best on testing.

        Args:
            stop: asked after every step; True saves a checkpoint and raises KeyboardInterrupt.
        """
        settings = self.config.training
        with RunLog(self.run, self.step) as log:
            if self.step == 0:
                log.show_features(self._example_features())
            while self.step < settings.total_steps:
                yield log.write(self._train_step(self.step + 1))
                self.step += 1
                is_last = self.step == settings.total_steps
                if self.step % settings.evaluate_every == 0 or is_last:
                    record = self.evaluate("validation")
                    if record.n and record.accuracy > self.best_accuracy:
                        self.best_step, self.best_accuracy = self.step, record.accuracy
                    log.write(record)
                    self._save()
                    yield record
                elif self.step % settings.save_every == 0:
                    self._save()
                if stop():
                    self._save()
                    raise KeyboardInterrupt
            yield log.write(self._finish())

    def evaluate(self, name: str) -> EvaluationRecord:
        """The network as it is now, on the set of this name."""
        return self._record(name, predict(self.model, self.front_end, self.batches, name))

    def _record(self, name: str, posteriors: NDArray[np.float64]) -> EvaluationRecord:
        truth = self.sets[name].labels
        confusion = confusion_matrix(truth, posteriors.argmax(axis=1), len(self.labels))
        n = len(truth)
        likelihood = np.maximum(posteriors[np.arange(n), truth], 1e-30)
        return EvaluationRecord(
            step=self.step,
            set=name,
            accuracy=float(np.trace(confusion) / n) if n else 0.0,
            n=n,
            cross_entropy=float(-np.log(likelihood).mean()) if n else 0.0,
            confusion=confusion.tolist(),
        )

    def _train_step(self, step: int) -> StepRecord:
        settings = self.config.training
        seed = step_seed(settings.seed, step, _STEP)
        torch.manual_seed(seed)  # dropout draws from torch's global generator
        generator = torch.Generator(device=self.device).manual_seed(seed)
        rate = learning_rate(settings, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        audio, labels = self.batches.training_batch(generator)
        features = self.batches.augmenter.mask(self.front_end(audio), generator)
        watch = _watch_nans(self.model) if settings.check_nans else contextlib.nullcontext()
        with watch, torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(features)
        loss = nn.functional.cross_entropy(
            logits.float(), labels, ignore_index=IGNORED, label_smoothing=settings.label_smoothing
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.check_nans:
            _check_gradients(self.model, loss, step)
        self.optimizer.step()
        counted = labels != IGNORED
        accuracy = (logits.argmax(dim=1) == labels)[counted].float().mean()
        return StepRecord(step, rate, float(accuracy), float(loss.detach()))

    def _finish(self) -> EvaluationRecord:
        """Take the best weights and measure them on testing, which nothing before has looked at."""
        best = self.run.load()
        load_weights(self.model, best)
        figures: dict[str, Any] = {"best_step": best.step, "best_validation_accuracy": best.best_accuracy}
        for name in ("validation", "testing"):
            posteriors = predict(self.model, self.front_end, self.batches, name)
            figures[name] = measure_clips(
                self.labels, self.sets[name].labels, posteriors, speakers_of(self.decoded, self.sets[name])
            )
        write_json(self.run.metrics, figures)
        return self._record("testing", posteriors)

    def _save(self) -> None:
        checkpoint = Checkpoint(
            self.config, self.step, self.best_step, self.best_accuracy,
            self.model.state_dict(), _optimizer_tensors(self.optimizer),
        )  # fmt: skip
        save_checkpoint(self.run.checkpoint_path(self.step), checkpoint)
        self.run.prune(self.config.training.keep_checkpoints)

    def _example_features(self) -> dict[str, Tensor]:
        """Features [frames, features] of the first clip of each label in training, for a look at what the network sees."""
        labels = self.sets["training"].labels
        return {
            self.labels[label]: self.front_end(
                self.batches.clip("training", int(np.argmax(labels == label)))[None].to(self.device)
            )[0].cpu()
            for label in np.unique(labels)
        }


def predict(model: nn.Module, front_end: nn.Module, batches: Batches, name: str) -> NDArray[np.float64]:
    """Posteriors float64 [n, labels] of the set of this name, in its order; dropout is off."""
    model.eval()
    rows = [np.zeros((0, batches.n_labels))]
    with torch.inference_mode():
        for audio, _ in batches.evaluation_batches(name):
            rows.append(torch.softmax(model(front_end(audio)).double(), dim=1).cpu().numpy())
    return np.concatenate(rows)


def learning_rate(settings: TrainingConfig, step: int) -> float:
    """The rate of `step`, counted from 1: its phase's; with ``cosine`` raised linearly at first, then falling to zero."""
    phase = int(np.searchsorted(np.cumsum(settings.steps), step))
    rate = settings.learning_rates[min(phase, len(settings.learning_rates) - 1)]
    if settings.schedule == "constant":
        return rate
    warmup = min(settings.warmup_steps, settings.total_steps // 10)
    if step <= warmup:
        return rate * step / warmup
    done = (step - warmup) / (settings.total_steps - warmup)
    return rate * 0.5 * (1 + math.cos(math.pi * done))


def load_weights(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into `model`.

    Raises:
        CheckpointError: they are of another model.
    """
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"the checkpoint is of another model (its configuration says {checkpoint.config.model.name!r}): {reason}"
        ) from error


def speakers_of(decoded: DecodedClips, clips: ClipSet) -> list[str | None]:
    """Who speaks in each clip of a set; None for silence."""
    return [decoded.listing.clips[row].speaker if row >= 0 else None for row in clips.rows]


def _check_sets(sets: dict[str, ClipSet]) -> None:
    if not len(sets["training"]):
        raise DataError("no clips are left for training; lower validation_percent and testing_percent")


def _make_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rates[0], settings.weight_decay
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    momentum = 0.0 if settings.optimizer == "sgd" else 0.9
    nesterov = settings.optimizer == "nesterov"
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay)


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors: ``{parameter number}.{name}``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": value
        for number, values in state.items()
        for name, value in values.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition(".")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


@contextlib.contextmanager
def _watch_nans(model: nn.Module) -> Iterator[None]:
    """Raise at the first layer that gives a NaN or an infinity, naming it."""

    def watch(name: str) -> Callable[..., None]:
        def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(torch.isfinite(output).all()):
                raise TrainingError(f"NaN or infinity in the output of layer {name!r}; lower the learning rate")

        return look

    layers = [(name, module) for name, module in model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(watch(name or type(module).__name__)) for name, module in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_gradients(model: nn.Module, loss: Tensor, step: int) -> None:
    if not bool(torch.isfinite(loss)):
        raise TrainingError(f"the loss is {float(loss)} at step {step}; lower the learning rate")
    for name, parameter in model.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            raise TrainingError(f"NaN or infinity in the gradient of {name!r} at step {step}; lower the learning rate")
