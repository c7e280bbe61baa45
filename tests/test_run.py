"""Training from Python: `train`, `resume` and `load_run`, and what a `Run` offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wordspot as ws
from wordspot.errors import ConfigError, NotFoundError
from wordspot.evaluation.results import WordsResult
from wordspot.progress import Progress
from wordspot.training.trainer import StepRecord

WORDS = ["low", "high"]
QUICK: dict[str, Any] = {
    "model": "tiny_conv",
    "steps": 6,
    "settings": {
        "training.batch_size": 8,
        "training.learning_rates": (0.001,),
        "training.save_every": 2,
        "training.evaluate_every": 6,
        "training.warmup_steps": 1,
    },
}


@pytest.fixture(scope="module")
def trained(tone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> ws.Run:
    return ws.train(tone_folder, WORDS, out=tmp_path_factory.mktemp("runs") / "two", seed=3, **QUICK)


def test_a_run_is_named_by_text_or_path(tmp_path: Path) -> None:
    assert ws.Run(str(tmp_path)) == ws.Run(tmp_path)  # type: ignore[arg-type]
    assert ws.Run(tmp_path).step == 0


def test_names_that_do_not_exist_are_one_line(tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`features` must be one of logmel, .* got 'nothing'"):
        ws.train(tone_folder, WORDS, out=tmp_path / "run", features="nothing")
    with pytest.raises(ws.WordspotError, match="no recordings of nothing"):
        ws.train(tone_folder, "nothing", out=tmp_path / "run", **QUICK)
    with pytest.raises(ConfigError, match="`result` must come from `evaluate` or `test_stream`, got a Run"):
        ws.write_report(ws.Run(tmp_path), tmp_path / "page.html")  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_run_is_trained_evaluated_and_loaded(trained: ws.Run, tone_folder: Path) -> None:
    assert (trained.step, trained.config.words, trained.config.training.seed) == (6, ("low", "high"), 3)
    assert [line["step"] for line in trained.log() if line["kind"] == "step"] == [1, 2, 3, 4, 5, 6]
    result = trained.evaluate(tone_folder, split="testing")
    assert isinstance(result, WordsResult)
    assert result.metrics.accuracy == trained.metrics["testing"]["accuracy"]
    assert ws.load_run(str(trained.path)) == trained
    assert trained.to_json() == {"path": str(trained.path), "step": 6}


@pytest.mark.slow
def test_a_run_is_exported(trained: ws.Run, tmp_path: Path) -> None:
    exported = trained.export(tmp_path / "two.onnx")
    assert exported.labels == ("_silence_", "_unknown_", "low", "high")
    assert exported.to_json()["bytes"] == (tmp_path / "two.onnx").stat().st_size
    assert str(tmp_path / "two.onnx") in exported.summary()


def test_a_misspelt_licence_is_an_error(trained: ws.Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`about_data` has license; it may have attribution, licence, name"):
        trained.export(tmp_path / "words.onnx", about_data={"license": "CC BY 4.0"})
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_is_resumed_to_the_same_weights(trained: ws.Run, tone_folder: Path, tmp_path: Path) -> None:
    records: list[Any] = []
    seen: list[Progress] = []
    notes: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        ws.train(
            tone_folder, WORDS, out=tmp_path / "run", seed=3, stop=lambda: len(records) == 3, on_record=records.append,
            on_note=notes.append, progress=seen.append, **QUICK,
        )  # fmt: skip
    assert all(isinstance(record, StepRecord) for record in records)
    assert [progress.done for progress in seen if progress.stage == "training"][-1] <= 4
    assert any(note.startswith("tiny_conv: ") for note in notes)
    again = ws.resume(tmp_path / "run", tone_folder, settings={"training.keep_checkpoints": 2})
    assert again.metrics == trained.metrics
    assert again.log() == trained.log()


def test_a_finished_run_is_lengthened(trained: ws.Run, tone_folder: Path, tmp_path: Path) -> None:
    """With constant rates it ends as if it had been that long from the beginning."""
    settings = {**QUICK["settings"], "training.schedule": "constant", "training.evaluate_every": 3}
    short, long = (
        ws.train(tone_folder, WORDS, out=tmp_path / str(steps), model="tiny_conv", steps=steps, settings=settings)
        for steps in (3, 6)
    )
    assert ws.resume(short, tone_folder, steps=6).metrics == long.metrics
    assert short.log() == long.log()
    assert short.config == long.config
    with pytest.raises(ConfigError, match=r"begun with 6 and can be lengthened, not shortened to 5; .* this one as `init`"):
        ws.resume(short, tone_folder, steps=5)
    notes: list[str] = []
    assert ws.resume(short, tone_folder, on_note=notes.append).metrics == long.metrics
    assert "resuming at step 6 of 6; more steps lengthen the run" in notes


def test_a_lengthened_run_that_is_interrupted_is_resumed(tone_folder: Path, tmp_path: Path) -> None:
    run = ws.train(tone_folder, WORDS, out=tmp_path / "run", **{**QUICK, "steps": 2})
    with pytest.raises(KeyboardInterrupt):
        ws.resume(run, tone_folder, settings={"training.steps": "5"}, stop=lambda: True)
    assert (run.step, run.config.training.total_steps) == (3, 5)
    assert ws.resume(run, tone_folder).step == 5


def test_errors_are_those_of_wordspot(trained: ws.Run, tone_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no words to train on; name them with `words`"):
        ws.train(tone_folder, out=tmp_path / "run")
    with pytest.raises(ConfigError, match="there is no task 'word'"):
        ws.train(tone_folder, WORDS, out=tmp_path / "run", task="word")
    with pytest.raises(ConfigError, match="`force` to begin anew"):
        ws.train(tone_folder, WORDS, out=trained.path, **QUICK)
    with pytest.raises(ConfigError, match=r"`words` is low, but the run was begun with low,high"):
        ws.resume(trained, tone_folder, words=["low"])
    with pytest.raises(ConfigError, match=r"training.batch_size is 9, but the run was begun with 8"):
        ws.resume(trained, tone_folder, settings={"training.batch_size": 9})
    with pytest.raises(NotFoundError, match="is not the folder of a run"):
        ws.load_run(tmp_path)
