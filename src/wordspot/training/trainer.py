"""The training loop. It yields records, which the command line displays.

Each step seeds its random numbers from (seed, step). On the same machine's CPU, a run that was interrupted and resumed from any
checkpoint therefore ends with exactly the same weights as an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, ConfigError
from wordspot.features import make_front_end
from wordspot.files import write_json
from wordspot.models import make_model
from wordspot.overrides import with_free_settings
from wordspot.seeds import step_seed
from wordspot.tasks import TASKS
from wordspot.training.augment import Augmenter
from wordspot.training.average import Average
from wordspot.training.checkpoint import Checkpoint, save_checkpoint
from wordspot.training.device import resolve_precision
from wordspot.training.log import NoLog, RunLog, check_listing, write_listing, write_versions
from wordspot.training.loss import guidance_loss, training_loss
from wordspot.training.nan_checks import check_gradients, watch_nans
from wordspot.training.optimizer import learning_rate, load_optimizer, make_optimizer, optimizer_tensors, set_rate
from wordspot.training.parallel import Alone, Forward
from wordspot.training.run_folder import RunFolder
from wordspot.training.tasks import Evaluation, Event, TrainingTask
from wordspot.training.weights import freeze_body, load_body, load_weights, measure_norms, train_mode

_INITIAL, _STEP = 0, 1  # purposes of random numbers: the last number of a step's seed
_LOG_EVERY_ON_GPU = 50


@dataclass(frozen=True)
class StepRecord:
    """One training step, measured on its batch before the weights changed."""

    step: int
    learning_rate: float
    accuracy: float
    loss: float
    kind: str = "step"


@dataclass(frozen=True)
class StepResult:
    """One training step's results, still on the device, so that Python need not wait for them.

    accuracy, loss: float32 [].
    """

    step: int
    learning_rate: float
    accuracy: Tensor
    loss: Tensor


Record = StepRecord | Evaluation | Event


class Trainer:
    """A network in training, with its optimiser and the folder of its run.

    Args:
        config: of the run.
        task: the examples.
        out: the folder of the run.
        device: where to compute.
        log_every: steps whose results are fetched from the device and logged together; None: 1 on a CPU, 50 on a GPU,
                        which would otherwise wait for Python at every step. The log always has a line for each step.
        group: the processes that train together; None: this one alone.

    Raises:
        ConfigError: the network does not fit the task or the front end.
    """

    def __init__(
        self,
        config: RunConfig,
        task: TrainingTask,
        out: Path,
        device: torch.device,
        log_every: int | None = None,
        group: Alone | None = None,
    ) -> None:
        self.config, self.task, self.device, self.run = config, task, device, RunFolder(out)
        self.log_every = log_every or (1 if device.type == "cpu" else _LOG_EVERY_ON_GPU)
        self.augmenter = Augmenter(config.augment, config.features)
        self.front_end = make_front_end(config.features).to(device)
        torch.manual_seed(step_seed(config.training.seed, 0, _INITIAL))
        self.model = make_model(config.model, config.features.n_frames, config.features.n_features, len(task.labels)).to(device)
        _check_fit(self.model, config)
        if config.training.frozen_body:
            freeze_body(self.model)
        task.prepare(self.model)
        self.optimizer = make_optimizer(self.model, config.training)
        self.average = Average(self.model, config.training.average) if config.training.average else None
        self.group = group or Alone()
        self._forward: Forward | None = None
        self.batch_seconds = 0.0
        self.precision = resolve_precision(config.training.precision, device)
        self.step, self.best_step, self.best_score = 0, 0, -math.inf

    def describe(self) -> str:
        """The network, the examples and the device in one line."""
        n_parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return (
            f"{self.config.model.name}: {n_parameters:,} parameters, {self.task.describe()}, {self.device.type} {self.precision}"
        )

    def start(self, init: Checkpoint | None = None) -> None:
        """Remove the files of an earlier run, and write the initial files of this one.

        Args:
            init: start from the weights of this checkpoint, of the same network or of one with another last layer.
        """
        if init is not None:
            load_body(self.model, init, self.config.features)
            if init.folded:
                measure_norms(self.model, self._first_features())
            if self.average:
                self.average.restart()
        if not self.group.is_main:
            return
        self.run.clear()
        self.run.write_config(self.config)
        write_versions(self.run.path, self.device)
        write_listing(self.run.path, self.task.listing_text())
        if init is not None:  # so that a run interrupted at once is not resumed without these weights
            self._save()

    def _first_features(self) -> Tensor:
        """Features of the first batch, as training gets them; of scenes, clip after clip."""
        generator = torch.Generator(device=self.device).manual_seed(step_seed(self.config.training.seed, 1, _STEP))
        audio, _ = self.task.training_batch(1, generator)
        with torch.no_grad():
            features = self.augmenter.features(self.front_end, audio, generator)
        n_frames = self.config.features.n_frames
        return features.unfold(1, n_frames, n_frames).flatten(0, 1).transpose(1, 2)

    def resume(self, step: int | None = None) -> None:
        """Continue from the checkpoint of `step`, or from the newest. Later checkpoints and log lines are removed.

        Raises:
            NotFoundError: no such checkpoint.
            CheckpointError: it belongs to another model or run.
            DataError: the recordings have changed since the run began.
        """
        check_listing(self.run.path, self.task.listing_text())
        if step is None and not self.run.steps():  # interrupted before the first checkpoint
            self.start()
            return
        checkpoint = self.run.load(self.run.latest_step() if step is None else step)
        if with_free_settings(checkpoint.config, self.config) != self.config:
            raise CheckpointError(
                f"the checkpoint of step {checkpoint.step} is of another model or run: its configuration "
                f"({checkpoint.config.model.name!r}, words {','.join(checkpoint.config.words)}) is not the run's"
            )
        load_weights(self.model, checkpoint, to_resume=True)
        load_optimizer(self.optimizer, checkpoint.optimizer)
        if self.average:
            self.average.restore(checkpoint.average)
        self.task.restore(checkpoint.task)
        self.step, self.best_step = checkpoint.step, checkpoint.best_step
        self.best_score = checkpoint.best_score
        if self.group.is_main:
            self.run.write_config(self.config)  # it may have more steps
            self.run.drop_after(self.step)

    def train(self, stop: Callable[[], bool] = lambda: False) -> Iterator[Record]:
        """Train to the last step; yield a record for each step and evaluation. The last is the best network's on testing.

        Empty sets are not evaluated.

        Args:
            stop: called after every step; if it returns True, a checkpoint is saved and KeyboardInterrupt raised.
        """
        settings = self.config.training
        with RunLog(self.run, self.step) if self.group.is_main else NoLog() as log, contextlib.closing(self.task):
            if self.step == 0:
                log.show_features(self._example_features())
            waiting: list[StepResult] = []
            while self.step < settings.total_steps:
                with self.group.together():
                    waiting.append(self.train_step())
                    stops = self.group.any(stop())
                events = tuple(self.task.after_step(self._network, self.front_end, self.step))
                is_last = self.step == settings.total_steps
                evaluates = is_last or self.step % settings.evaluate_every == 0
                saves = self.step % settings.save_every == 0
                if len(waiting) >= self.log_every or events or evaluates or saves or stops:
                    yield from log.write(*_fetch(waiting))
                    yield from log.write(*events)
                    waiting = []
                if evaluates and self.group.is_main:
                    yield from log.write(*self._validate())
                if (evaluates or saves or stops) and self.group.is_main:
                    self._save()
                if stops:
                    raise KeyboardInterrupt
            if self.group.is_main:
                yield from log.write(*self._finish())

    def train_step(self) -> StepResult:
        """Train on one batch: the next step. Nothing is logged or saved."""
        settings, step = self.config.training, self.step + 1
        seed = step_seed(settings.seed, step, _STEP)
        torch.manual_seed(seed)  # for dropout, which uses torch's global generator
        generator = torch.Generator(device=self.device).manual_seed(seed)
        rate = learning_rate(settings, step)
        set_rate(self.optimizer, rate)
        train_mode(self.model)
        audio, labels = self.task.training_batch(step, generator)
        self.batch_seconds = audio.numel() / self.config.features.sample_rate
        features = self.group.part(self.augmenter.features(self.front_end, audio, generator))
        labels = self.group.part(labels)
        if self._forward is None:  # after the weights are loaded; it gives those of process 0 to all
            self._forward = self.group.network(self.model)
        logits = self._logits(features, self.task.window_stride)
        logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
        loss = self.group.weighed(training_loss(logits, labels, settings), labels)
        guided = self.task.guided_batch(step) if settings.guidance else None
        if guided is not None:
            windows = self.group.part(self.augmenter.features(self.front_end, guided[0], generator))
            targets = self.group.part(guided[1])
            loss = loss + settings.guidance * self.group.weighed(guidance_loss(self._logits(windows, 0), targets), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.check_nans:
            check_gradients(self.model, loss, step)
        self.optimizer.step()
        if self.average:
            self.average.update(step)
        self.step = step
        counted = labels >= 0
        correct = ((logits.argmax(dim=1) == labels) & counted).sum()
        accuracy = self.group.total(correct) / self.group.total(counted.sum())
        return StepResult(step, rate, accuracy, self.group.mean(loss.detach()))

    def _logits(self, features: Tensor, window_stride: int) -> Tensor:
        """The network in training: float32 [batch, labels], or [batch, windows, labels] if `window_stride` is not 0."""
        assert self._forward is not None
        watch = watch_nans(self.model) if self.config.training.check_nans else contextlib.nullcontext()
        with watch, torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self._forward(features, window_stride)
        return logits.float() if self.precision == "bf16" else logits

    def evaluate(self, name: str) -> Evaluation:
        """Evaluate the network, as it is now, or the average of its weights, on the set of this name."""
        return self.task.evaluate(self._network(), self.front_end, name, self.step)

    def _network(self) -> nn.Module:
        """The network that is evaluated: with averaged weights, if the run averages them."""
        return self.average.network() if self.average else self.model

    def _validate(self) -> list[Evaluation]:
        """The evaluation on validation; none of an empty set."""
        record = self.evaluate("validation")
        if record.n and record.score > self.best_score:
            self.best_step, self.best_score = self.step, record.score
        return [record] if record.n else []

    def _finish(self) -> list[Evaluation]:
        """Evaluate the best weights on testing, which nothing before has used; no evaluation of an empty set."""
        best = self.run.load()
        load_weights(self.model, best)
        metrics, record = self.task.finish(self.model, self.front_end, self.step)
        score = best.best_score if best.best_step else None
        write_json(self.run.metrics, {"best_step": best.step, "best_validation_score": score, **metrics})
        return [record] if record.n else []

    def _save(self) -> None:
        checkpoint = Checkpoint(
            self.config,
            self.step,
            self.best_step,
            self.best_score,
            self.model.state_dict(),
            optimizer_tensors(self.optimizer),
            average=self.average.weights if self.average else {},
            task=self.task.state(),
        )
        save_checkpoint(self.run.checkpoint_path(self.step), checkpoint)
        self.run.prune(self.config.training.keep_checkpoints)

    def _example_features(self) -> dict[str, Tensor]:
        """Features [frames, features] of the task's examples."""
        examples = self.task.examples()
        return {label: self.front_end(audio[None].to(self.device))[0].cpu() for label, audio in examples.items()}


def _fetch(results: Sequence[StepResult]) -> list[StepRecord]:
    """Records of these steps, by one transfer from the device."""
    numbers = torch.stack([torch.stack([result.accuracy, result.loss]) for result in results]).tolist()
    return [
        StepRecord(result.step, result.learning_rate, accuracy, loss)
        for result, (accuracy, loss) in zip(results, numbers, strict=True)
    ]


def _check_fit(model: nn.Module, config: RunConfig) -> None:
    """Check that the network fits the task and the features.

    Raises:
        ConfigError: it does not.
    """
    per_step = bool(getattr(model, "per_step", False))
    if per_step != TASKS[config.task].predicts_steps:
        predicts = "at every step" if per_step else "once per clip"
        raise ConfigError(
            f"the model {config.model.name} predicts {predicts}, so the task {config.task} cannot use it; choose another"
        )
    needed = getattr(model, "front_end", config.features.kind)
    if config.features.kind != needed:
        raise ConfigError(
            f"the model {config.model.name} needs the features {needed}, got {config.features.kind}; leave out features"
        )
