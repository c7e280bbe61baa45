"""One readable loop. It yields records as it goes; what they look like on a terminal is the command line's affair.

Chance is drawn anew for each step from (seed, step), so a run that was broken off and resumed from any checkpoint ends
with the same weights, to the bit, as one that was not (on one machine's CPU).
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Generator, Tensor, nn

from wordspot.config import FeatureConfig, RunConfig, TrainingConfig
from wordspot.errors import CheckpointError, ConfigError, TrainingError
from wordspot.features import make_front_end
from wordspot.files import write_json
from wordspot.labels import SILENCE
from wordspot.models import make_model
from wordspot.overrides import with_free_settings
from wordspot.seeds import step_seed
from wordspot.training.augment import Augmenter
from wordspot.training.checkpoint import Checkpoint, RunFolder, save_checkpoint
from wordspot.training.device import resolve_precision
from wordspot.training.log import RunLog, check_listing, write_listing, write_versions
from wordspot.training.scene_windows import IGNORED

_INITIAL, _STEP = 0, 1  # what chance is for, as the last number of a step's seed


@dataclass(frozen=True)
class StepRecord:
    """One training step: measured on its batch, before the weights moved."""

    step: int
    learning_rate: float
    accuracy: float
    loss: float
    kind: str = "step"


class Evaluation(Protocol):
    """A set measured, for the log. What a task's own record holds beside this is its affair."""

    @property
    def kind(self) -> str: ...
    @property
    def step(self) -> int: ...
    @property
    def set(self) -> str: ...
    @property
    def n(self) -> int:
        """Examples measured; where there are none, no checkpoint is the best."""

    @property
    def score(self) -> float:
        """What the best checkpoint has most of."""

    def summary(self) -> str:
        """What a person reads, on one line."""


class Task(Protocol):
    """What is learned: where examples come from and how answers are measured. The loop is the same for all."""

    labels: tuple[str, ...]

    def describe(self) -> str:
        """The examples there are, in some words."""

    def warnings(self) -> Iterator[str]:
        """What the user should know of the recordings before training begins."""

    def listing_text(self) -> str:
        """The recordings used, as ``data.csv`` holds them."""

    def examples(self) -> dict[str, Tensor]:
        """One example for each label: float32 [samples], for a look at what the network sees."""

    def prepare(self, network: nn.Module) -> None:
        """Hear of the network before the first batch."""

    def training_batch(self, step: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """The batch of a step: audio float32 [batch, samples] and labels int64 [batch] or [batch, answers]."""

    def evaluate(self, network: nn.Module, front_end: nn.Module, name: str, step: int) -> Evaluation:
        """The network on the set of this name, after `step` steps."""

    def finish(self, network: nn.Module, front_end: nn.Module, step: int) -> tuple[dict[str, Any], Evaluation]:
        """All figures of the network that did best on validation, and its evaluation on testing."""

    def close(self) -> None:
        """Training is over, or broken off."""


Record = StepRecord | Evaluation


class Trainer:
    """A network in training: owns the weights, the optimiser and the run's folder."""

    def __init__(self, config: RunConfig, task: Task, out: Path, device: torch.device) -> None:
        self.config, self.task, self.device, self.run = config, task, device, RunFolder(out)
        self.augmenter = Augmenter(config.augment, config.features)
        self.front_end = make_front_end(config.features).to(device)
        torch.manual_seed(step_seed(config.training.seed, 0, _INITIAL))
        self.model = make_model(
            config.model, config.features.n_frames, config.features.n_features, len(task.labels)
        ).to(device)
        if (getattr(self.model, "per_step", False)) != (config.task == "trigger"):
            answers = "once a clip" if config.task == "trigger" else "at every step"
            raise ConfigError(
                f"the model {config.model.name} answers {answers}, which the task {config.task} has no use for"
            )
        if config.features.kind != (needed := getattr(self.model, "front_end", config.features.kind)):
            raise ConfigError(
                f"the model {config.model.name} takes the features {needed}, got {config.features.kind}; leave out --features"
            )
        if config.training.frozen_body:
            freeze_body(self.model)
        task.prepare(self.model)
        self.optimizer = _make_optimizer(self.model, config.training)
        self.precision = resolve_precision(config.training.precision, device)
        self.step, self.best_step, self.best_score = 0, 0, -math.inf

    def start(self, init: Checkpoint | None = None) -> None:
        """Write what the run's folder holds from its beginning; what another run left there goes.

        Args:
            init: take the weights of this checkpoint, of the same network or of one that differs in its last layer.
        """
        if init is not None:
            load_body(self.model, init, self.config.features)
        self.run.clear()
        self.run.write_config(self.config)
        write_versions(self.run.path, self.device)
        write_listing(self.run.path, self.task.listing_text())
        if init is not None:  # so that a run that is broken off at once does not go on without it
            self._save()

    def resume(self, step: int | None = None) -> None:
        """Go on from the checkpoint of `step`, or the newest; what the run did after it is forgotten.

        Raises:
            NotFoundError: no such checkpoint.
            CheckpointError: it is of another model or run.
            DataError: the recordings are not those that the run was begun with.
        """
        check_listing(self.run.path, self.task.listing_text())
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
        self.best_score = checkpoint.best_score
        self.run.drop_after(self.step)

    def train(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
        """Train to the last step, yielding a record per step and evaluation; the last is of the best on testing.

        Args:
            stop: asked after every step; True saves a checkpoint and raises KeyboardInterrupt.
        """
        settings = self.config.training
        with RunLog(self.run, self.step) as log, contextlib.closing(self.task):
            if self.step == 0:
                log.show_features(self._example_features())
            while self.step < settings.total_steps:
                yield log.write(self._train_step(self.step + 1))
                self.step += 1
                is_last = self.step == settings.total_steps
                if self.step % settings.evaluate_every == 0 or is_last:
                    record = self.evaluate("validation")
                    if record.n and record.score > self.best_score:
                        self.best_step, self.best_score = self.step, record.score
                    log.write(record)
                    self._save()
                    yield record
                elif self.step % settings.save_every == 0:
                    self._save()
                if stop():
                    self._save()
                    raise KeyboardInterrupt
            yield log.write(self._finish())

    def evaluate(self, name: str) -> Evaluation:
        """The network as it is now, on the set of this name."""
        return self.task.evaluate(self.model, self.front_end, name, self.step)

    def _train_step(self, step: int) -> StepRecord:
        settings = self.config.training
        seed = step_seed(settings.seed, step, _STEP)
        torch.manual_seed(seed)  # dropout draws from torch's global generator
        generator = torch.Generator(device=self.device).manual_seed(seed)
        rate = learning_rate(settings, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        _train_mode(self.model)
        audio, labels = self.task.training_batch(step, generator)
        features = self.augmenter.mask(self.front_end(audio), generator)
        watch = _watch_nans(self.model) if settings.check_nans else contextlib.nullcontext()
        with watch, torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(features)
        logits, labels = logits.float().reshape(-1, logits.shape[-1]), labels.reshape(-1)
        loss = self._loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.check_nans:
            _check_gradients(self.model, loss, step)
        self.optimizer.step()
        counted = labels != IGNORED
        accuracy = (logits.argmax(dim=1) == labels)[counted].float().mean()
        return StepRecord(step, rate, float(accuracy), float(loss.detach()))

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of logits [n, labels] and labels int64 [n]; the squared error of two labels is that of the first one's posterior."""
        settings = self.config.training
        if settings.loss == "squared_error":
            truth = nn.functional.one_hot(labels, logits.shape[1])
            return (logits.softmax(dim=1) - truth).square().sum(dim=1).mean() / 2
        return nn.functional.cross_entropy(
            self._with_silence_bias(logits), labels, ignore_index=IGNORED, label_smoothing=settings.label_smoothing
        )

    def _with_silence_bias(self, logits: Tensor) -> Tensor:
        """Logits [n, labels] as the loss sees them: the adjustment of Menon et al. 2021 (arXiv 2007.07314) for silence."""
        if not self.config.training.silence_bias:
            return logits
        bias = torch.zeros_like(logits[0])
        bias[SILENCE] = self.config.training.silence_bias
        return logits + bias

    def _finish(self) -> Evaluation:
        """Take the best weights and measure them on testing, which nothing before has looked at."""
        best = self.run.load()
        load_weights(self.model, best)
        figures, record = self.task.finish(self.model, self.front_end, self.step)
        score = best.best_score if best.best_step else None
        write_json(self.run.metrics, {"best_step": best.step, "best_validation_score": score, **figures})
        return record

    def _save(self) -> None:
        checkpoint = Checkpoint(
            self.config, self.step, self.best_step, self.best_score,
            self.model.state_dict(), _optimizer_tensors(self.optimizer),
        )  # fmt: skip
        save_checkpoint(self.run.checkpoint_path(self.step), checkpoint)
        self.run.prune(self.config.training.keep_checkpoints)

    def _example_features(self) -> dict[str, Tensor]:
        """Features [frames, features] of the task's examples."""
        examples = self.task.examples()
        return {label: self.front_end(audio[None].to(self.device))[0].cpu() for label, audio in examples.items()}


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


def load_body(model: nn.Module, checkpoint: Checkpoint, features: FeatureConfig) -> None:
    """Put a checkpoint's weights into `model`; where only the last layer, ``output``, is of another shape, it stays new.

    Raises:
        CheckpointError: other tensors differ as well, so it is of another network; or it heard through another front end.
    """
    theirs = dataclasses.replace(features, clip_ms=checkpoint.config.features.clip_ms)  # a scene is longer than a clip
    if theirs != checkpoint.config.features:
        raise CheckpointError(
            f"--init: expected a run on the same front end, but that one was trained on {checkpoint.config.features.kind} at "
            f"{checkpoint.config.features.sample_rate} Hz, this one on {features.kind} at {features.sample_rate} Hz, or with "
            "other settings of it"
        )
    own = model.state_dict()
    given = checkpoint.weights
    fitting = {name: given[name] for name in own if name in given and given[name].shape == own[name].shape}
    if strange := sorted(name for name in own.keys() | given.keys() if name not in fitting and not _is_last(name)):
        raise CheckpointError(
            f"--init: expected a run of the same network but for its last layer, but {strange[0]} differs (it is a "
            f"{checkpoint.config.model.name} with options {checkpoint.config.model.options or 'of its own'})"
        )
    model.load_state_dict(fitting, strict=False)


def freeze_body(model: nn.Module) -> None:
    """Let only the last layer, ``output``, learn.

    Raises:
        ConfigError: the network has no layer of that name.
    """
    if not any(_is_last(name) for name, _ in model.named_parameters()):
        raise ConfigError("training.frozen_body: the network has no last layer by the name of output; leave it out")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_last(name))


def _is_last(name: str) -> bool:
    return name.startswith("output.")


def _train_mode(model: nn.Module) -> None:
    """Training mode; of a network with a frozen body, of its last layer alone: norms and dropout before it are off."""
    if all(parameter.requires_grad for parameter in model.parameters()):
        model.train()
        return
    model.eval()
    for name, module in model.named_children():
        module.train(_is_last(f"{name}."))


def _make_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rates[0], settings.weight_decay
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    momentum = 0.0 if settings.optimizer == "sgd" else 0.9
    nesterov = settings.optimizer == "nesterov"
    return torch.optim.SGD(parameters, lr=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay)


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
