"""Training runs from Python: `train` and `resume` give a `Run`, which evaluates and exports its model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordspot.errors import ConfigError
from wordspot.files import read_json

if TYPE_CHECKING:
    from wordspot.config import RunConfig
    from wordspot.evaluation.results import EvaluationResult
    from wordspot.export.run import ExportedFile
    from wordspot.progress import OnProgress
    from wordspot.training.checkpoint import Checkpoint
    from wordspot.training.run import OnNote, OnRecord

#: What training starts from by itself, by the names that `init` takes.
_STARTS = {
    "default": "weights of the model that comes with wordspot",
    "body": "body that comes with wordspot, pre-trained on speech",
}


@dataclass(frozen=True)
class Run:
    """The folder of a training run."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    @property
    def config(self) -> RunConfig:
        """All settings of the run."""
        from wordspot.training.run_folder import RunFolder

        return RunFolder(self.path).read_config()

    @property
    def step(self) -> int:
        """The step of the newest checkpoint; 0 if there is none yet."""
        from wordspot.training.run_folder import RunFolder

        return max(RunFolder(self.path).steps(), default=0)

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics of the best network on the sets ``validation`` and ``testing``, as in ``metrics.json``.

        Raises:
            NotFoundError: training has not ended.
        """
        from wordspot.training.run_folder import RunFolder

        metrics: dict[str, Any] = read_json(RunFolder(self.path).metrics)
        return metrics

    def log(self) -> list[dict[str, Any]]:
        """The records of all steps and evaluations, as in ``log.jsonl``."""
        from wordspot.training.run_folder import RunFolder

        return RunFolder(self.path).read_log()

    def evaluate(
        self,
        data: Path | str,
        *,
        split: str | None = None,
        checkpoint: int | None = None,
        device: str = "auto",
        progress: OnProgress | None = None,
    ) -> EvaluationResult:
        """Evaluate the model on one set of a folder or a list of recordings; see `wordspot.evaluate`."""
        from wordspot.evaluation.evaluate import evaluate_judge
        from wordspot.training.evaluate import judge_of_run

        return evaluate_judge(judge_of_run(self.path, checkpoint, device), Path(data), split, progress)

    def export(
        self,
        out: Path | str,
        *,
        checkpoint: int | None = None,
        int8: bool = False,
        data: Path | str | None = None,
        max_loss: float | None = 1.0,
        about_data: Mapping[str, str] | None = None,
        force: bool = False,
    ) -> ExportedFile:
        """Write the model as one ONNX file, which needs no torch.

        Args:
            out: the file to write; its name ends in ``.onnx``.
            checkpoint: the step of the checkpoint to export; None: the best one on validation.
            int8: weights in 8 bits, a file of a third of the size.
            data: the folder of the run's recordings, which `int8` is measured on.
            max_loss: percentage points of accuracy that `int8` may cost; None: any, and `data` may be left out.
            about_data: ``name``, ``licence`` and ``attribution`` of the recordings, for the model card.
            force: replace `out` if it exists.

        Raises:
            ConfigError: `out` exists or has another suffix, or `int8` cannot be measured.
            ExportError: the model cannot be exported, the file differs from torch, or `int8` costs too much.
        """
        from wordspot.export.run import export_run

        return export_run(
            self.path,
            Path(out),
            checkpoint=checkpoint,
            int8=int8,
            data=None if data is None else Path(data),
            max_loss=max_loss,
            about_data=about_data,
            force=force,
        )

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), "step": self.step}


def train(
    data: Path | str,
    words: str | Sequence[str] | None = None,
    *,
    out: Path | str,
    task: str = "words",
    model: str | None = None,
    features: str | None = None,
    recipe: str = "default",
    preset: str | None = None,
    steps: int | Sequence[int] | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    speech: Path | str | None = None,
    init: Path | str | Run | None = None,
    device: str = "auto",
    force: bool = False,
    stop: Callable[[], bool] | None = None,
    on_record: OnRecord | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> Run:
    """Train a model on a folder of recordings.

    Args:
        data: a folder with one folder of recordings per word. For the task ``trigger`` a folder with positives, negatives and
            backgrounds; for ``recordings`` a manifest (CSV) or a folder with one folder per class.
        words: the words to tell apart, or the classes of recordings. None: all classes, or a trigger's folder of positives.
        out: the folder of the run, new or empty.
        task: ``words``: which word a clip is; ``trigger``: when one word is said; ``recordings``: which class a recording is of.
        model: a built-in network, or ``package.module:make``. None: the task's default.
        features: the front end; None: the model's usual one.
        recipe: ``default``, or ``classic`` as in the original tutorial.
        preset: a size of the task's default network, one of `wordspot.presets.PRESETS`. None: ``default``.
        steps: training steps, or those of each phase. None: the recipe's.
        seed: of the weights and of all that is drawn in training.
        settings: any other setting by its name, such as ``{"features.hop_ms": 20, "model.n_channels": 8}``.
        speech: a folder of sentences that hold none of the words, or whose text is beside them; see `wordspot.data.speech`. The
            network learns to ignore them.
        init: the weights to start from: a run, its folder, an exported file, ``"default"`` for the model that comes with
            wordspot, or ``"body"`` for the other one that does, pre-trained on speech in general. The last layer may be
            another. `model` and `features` that are None are those of `init`. None: if network and front end are the same,
            ``"default"`` for some of its own words and ``"body"`` for others; ``"none"``: random weights. There is a body for
            the preset ``default`` and one for ``microcontroller``.
        device, force: ``auto``, ``cpu`` or ``cuda``; whether to replace a run that `out` holds.
        stop: called after every step; if it returns True, a checkpoint is saved and KeyboardInterrupt raised.
        on_record: called with the record of each step and of each evaluation.
        on_note: called with a line of text for each recording that is left out, each warning, and so on.
        progress: called while recordings are decoded, and with each step.

    Raises:
        ConfigError: settings do not fit together, or `out` holds files and `force` is off.
        NotFoundError, DataError: recordings are missing, or do not suffice.
        CheckpointError: `init` is of another network or front end, or a file whose weights cannot be read back.
        TrainingError: the loss is not finite (with the setting ``training.check_nans``).
    """
    from wordspot.training.recipes import make_config
    from wordspot.training.run import begin_run, ignore, never, train_to_end

    start = _start_of(init)
    chosen = _with_shortcuts(settings or {}, steps, seed)
    if start is not None and model is None and features is None and recipe == "default" and preset is None:
        chosen = {**_settings_of(start.config, task, chosen), **chosen}
    config = make_config(
        Path(data), words, task=task, model=model, features=features, recipe=recipe, preset=preset, settings=chosen
    )
    note, show = on_note or ignore, progress or ignore
    usual = None if init is not None else _usual_start(config)
    if usual is not None or init == "body":
        start = _start_for(usual or "body", config)
    trainer = begin_run(
        config, Path(data), Path(out), speech=None if speech is None else Path(speech), init=start, device=device, force=force,
        progress=show, on_note=note,
    )  # fmt: skip
    if usual is not None:
        note(f"training starts from the {_STARTS[usual]}; `init` none starts from random weights")
    train_to_end(trainer, stop=stop or never, on_record=on_record or ignore, on_note=note, progress=show)
    return Run(Path(out))


def _start_of(init: Path | str | Run | None) -> Checkpoint | None:
    """The weights that `init` names."""
    if init is None or init == "none":
        return None
    if init == "body":
        from wordspot.training.bodies import usual_body

        return usual_body()
    if init == "default" or (isinstance(init, (str, Path)) and Path(init).suffix.lower() == ".onnx" and not Path(init).is_dir()):
        from wordspot.export.read_weights import checkpoint_of_file
        from wordspot.runtime.model import read_model

        return checkpoint_of_file(*read_model(None if init == "default" else Path(init)))
    from wordspot.training.run_folder import RunFolder

    return RunFolder(init.path if isinstance(init, Run) else Path(init)).load()


def _start_for(name: str, config: RunConfig) -> Checkpoint | None:
    """One of `_STARTS`; of the bodies, the one that has the network of `config`, if there is one."""
    from wordspot.training.bodies import body_for

    return (body_for(config) if name == "body" else None) or _start_of(name)


def _usual_start(config: RunConfig) -> str | None:
    """Which of `_STARTS`: one that has the network and the front end of `config`, and for its own words the ten-word model.

    Other words are learned from few recordings more often right from the body: see dev/LOG.md, 2026-12-02.
    """
    from wordspot.training.bodies import body_for
    from wordspot.training.recipes import is_same_network

    if config.task != "words" or config.training.frozen_body:
        return None
    shipped = _start_of("default")
    assert shipped is not None
    if set(config.words) & set(shipped.config.words) and is_same_network(config, shipped.config):
        return "default"
    return "body" if body_for(config) else None


def _settings_of(config: RunConfig, task: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The network and the front end of `config` as settings, if they fit the task."""
    if config.task != task or given.get("model.name", config.model.name) != config.model.name:
        return {}
    settings: dict[str, Any] = {f"features.{name}": value for name, value in dataclasses.asdict(config.features).items()}
    return {"model.name": config.model.name} | {f"model.{name}": value for name, value in config.model.options.items()} | settings


def _with_shortcuts(settings: Mapping[str, Any], steps: int | Sequence[int] | None, seed: int | None) -> dict[str, Any]:
    """`settings` with those that are arguments of `train` too."""
    chosen = dict(settings)
    if steps is not None:
        chosen["training.steps"] = (steps,) if isinstance(steps, int) else tuple(steps)
    if seed is not None:
        chosen["training.seed"] = seed
    return chosen


def resume(
    run: Path | str | Run,
    data: Path | str,
    *,
    checkpoint: int | None = None,
    task: str | None = None,
    words: str | Sequence[str] | None = None,
    features: str | None = None,
    steps: int | Sequence[int] | None = None,
    settings: Mapping[str, Any] | None = None,
    speech: Path | str | None = None,
    device: str = "auto",
    stop: Callable[[], bool] | None = None,
    on_record: OnRecord | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> Run:
    """Continue a run that was interrupted. On a CPU its weights will equal those of an uninterrupted run, to the bit.

    Args:
        run: the folder of the run.
        data: the recordings it was begun with.
        checkpoint: continue from this step and forget what came after it. None: the newest.
        task, words, features: None, or as the run has them; anything else is an error.
        steps: more steps than the run has, or those of each phase, to lengthen it, even one that is finished; the learning
            rate continues with the schedule of the new length. None: the run's.
        settings: of how training is watched and kept, such as ``{"training.save_every": 100}``; others must equal the run's.
        speech: the sentences that it was begun with.
        device, stop, on_record, on_note, progress: as for `train`.

    Raises:
        NotFoundError: there is no run or no such checkpoint.
        ConfigError: `settings` change what the run computes.
        DataError: the recordings have changed since the run began.
    """
    from wordspot.training.recipes import resumed_config
    from wordspot.training.run import continue_run, ignore, never, train_to_end

    run = run if isinstance(run, Run) else Run(Path(run))
    config = resumed_config(
        run.config, task=task, words=words, features=features, settings=_with_shortcuts(settings or {}, steps, None)
    )
    note, show = on_note or ignore, progress or ignore
    trainer = continue_run(
        config, Path(data), run.path, checkpoint=checkpoint, speech=None if speech is None else Path(speech), device=device,
        progress=show, on_note=note,
    )  # fmt: skip
    train_to_end(trainer, stop=stop or never, on_record=on_record or ignore, on_note=note, progress=show)
    return run


def average_runs(runs: Sequence[Run], out: Path) -> Run:
    """A run with the average of the weights of finished runs; see `wordspot.training.average_runs`."""
    from wordspot.training import average_runs as averaging

    averaging.average_runs([run.path for run in runs], out)
    return Run(out)


def beginning_of(run: Run, out: Path) -> Run:
    """A run with the weights that `run` began with; see `wordspot.training.average_runs`."""
    from wordspot.training import average_runs as averaging

    return Run(averaging.beginning_of(run.path, out))


def load_run(path: Path | str) -> Run:
    """The run in a folder.

    Raises:
        NotFoundError: the folder holds no run.
        CheckpointError: its configuration is damaged.
    """
    run = Run(Path(path))
    run.config  # noqa: B018 - raises if there is none
    return run


def evaluate(
    model: Path | str | Run,
    data: Path | str,
    *,
    split: str | None = None,
    checkpoint: int | None = None,
    device: str = "auto",
    progress: OnProgress | None = None,
) -> EvaluationResult:
    """Evaluate a model on one set of a folder or a list of recordings.

    Args:
        model: a run, its folder, or an exported file, which needs no torch.
        data: what a model of its task is trained on.
        split: ``training``, ``validation``, ``testing``, or ``all`` for a foreign folder, each recording once. A trigger is
            evaluated on scenes, which only ``validation`` and ``testing`` have. None: ``testing``, or ``all`` if the folder has
            one recording of each word, so that none is held out.
        checkpoint: of a run: the checkpoint of this step; None for the best one on the validation set.
        device: of a run: ``auto``, ``cpu`` or ``cuda``.
        progress: called while recordings are decoded and evaluated.

    Returns:
        a `WordsResult`, `TriggerResult` or `RecordingsResult`, by the task of the model. Besides metrics it lists why they
        may be too optimistic; `write_report` makes a page of it.

    Raises:
        ConfigError: no such set, or a checkpoint of an exported file.
        DataError: the set is empty.
        NotFoundError: no such model, checkpoint, folder or list.
        CardError, CheckpointError: a damaged model.
    """
    if isinstance(model, Run) or Path(model).suffix.lower() != ".onnx" or Path(model).is_dir():
        run = model if isinstance(model, Run) else Run(Path(model))
        return run.evaluate(data, split=split, checkpoint=checkpoint, device=device, progress=progress)
    from wordspot.evaluation.evaluate import evaluate_judge
    from wordspot.evaluation.judging import judge_of_file

    if checkpoint is not None:
        raise ConfigError(f"`checkpoint` is for the folder of a run; {model} is an exported file and has one state only")
    return evaluate_judge(judge_of_file(Path(model)), Path(data), split, progress)
