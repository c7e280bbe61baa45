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
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, ConfigError
from wordspot.features import make_front_end
from wordspot.files import write_json
from wordspot.labels import SILENCE
from wordspot.models import make_model
from wordspot.overrides import with_free_settings
from wordspot.seeds import step_seed
from wordspot.training.augment import Augmenter
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.device import resolve_precision
from wordspot.training.log import RunLog, check_listing, write_listing, write_versions
from wordspot.training.nan_checks import check_gradients, watch_nans
from wordspot.training.optimizer import learning_rate, load_optimizer, make_optimizer, optimizer_tensors
from wordspot.training.run_folder import RunFolder
from wordspot.training.scene_windows import IGNORED
from wordspot.training.weights import freeze_body, load_body, load_weights, train_mode

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
        self.optimizer = make_optimizer(self.model, config.training)
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
        load_optimizer(self.optimizer, checkpoint.optimizer)
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
        train_mode(self.model)
        audio, labels = self.task.training_batch(step, generator)
        features = self.augmenter.mask(self.front_end(audio), generator)
        watch = watch_nans(self.model) if settings.check_nans else contextlib.nullcontext()
        with watch, torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(features)
        logits, labels = logits.float().reshape(-1, logits.shape[-1]), labels.reshape(-1)
        loss = self._loss(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.check_nans:
            check_gradients(self.model, loss, step)
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
            self.model.state_dict(), optimizer_tensors(self.optimizer),
        )  # fmt: skip
        save_checkpoint(self.run.checkpoint_path(self.step), checkpoint)
        self.run.prune(self.config.training.keep_checkpoints)

    def _example_features(self) -> dict[str, Tensor]:
        """Features [frames, features] of the task's examples."""
        examples = self.task.examples()
        return {label: self.front_end(audio[None].to(self.device))[0].cpu() for label, audio in examples.items()}
