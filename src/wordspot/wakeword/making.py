"""`new`: from typed phrases to a measured wake word, stage by stage, each of which can be resumed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.errors import ConfigError, NotFoundError, WordspotError, check_packages
from wordspot.files import check_out
from wordspot.formats import command_line, duration
from wordspot.labels import as_words
from wordspot.progress import OnNote, OnProgress, Progress, ignore, ignore_note
from wordspot.run import Run
from wordspot.wakeword import measuring, recordings, training
from wordspot.wakeword.esphome import EsphomeFiles
from wordspot.wakeword.phrases import check_phrases
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.thresholds import tune_wake_word
from wordspot.wakeword.verdict import doubts_about, limits, verdict

_HINT = "set `resume` to go on with it, or `force` to begin anew"


@dataclass(frozen=True)
class WakeWord:
    """A finished wake word.

    Attributes:
        path: the folder of the project.
        request: what was asked for.
        model: the exported file.
        report: a page with all detections of the testing streams.
        measured: on voices, takes and streams that were not trained on; of the files for ESPHome if there are any.
        esphome: the files for ESPHome, of the preset ``microcontroller``; None of another.
        warnings: what the figures do not show, a line each.
        verdict: what is wrong with the model, and what to do, in one line; empty if it is worth trying.
    """

    path: Path
    request: Request
    model: Path
    report: Path
    measured: measuring.Measured
    esphome: EsphomeFiles | None
    warnings: tuple[str, ...]
    verdict: str = ""

    def summary(self) -> str:
        """The figures in a few lines, and the commands to use the model."""
        found, hours = self.measured.detections.all_words, self.measured.detections.hours
        lines = [
            f"{self.model}: {', '.join(self.request.phrases)}",
            f"held-out voices: found in {self.measured.voices.count} of {self.measured.voices.n} clips",
        ]
        if self.measured.takes is not None:
            lines.append(f"people, held out: found in {self.measured.takes.count} of {self.measured.takes.n} recordings")
        lines.append(
            f"streams of {duration(3600 * hours)}: {found.missed.count} of {found.n_words} words missed; "
            f"{found.false_accepts.n} false accepts ({found.false_accepts.per_hour:.2f} an hour, at most "
            f"{found.false_accepts.interval[1]:.2f} with 95 % confidence)"
        )
        near = self.measured.near_misses
        lines.append(
            f"held-out near misses: {near.count} of {near.n} clips woke it"
            + (f": {', '.join(self.measured.woken_by[:8])}" if near.count else "")
            if near.n
            else "near misses: none were held out, so it is not known what else wakes it"
        )
        if self.esphome is not None:
            lines.append(str(self.esphome))
        uses = [
            command_line("wordspot", "listen", self.model),
            command_line("wordspot", "serve", self.model, "--open"),
            command_line("wordspot", "detect", self.model, "RECORDING"),
        ]
        last = [self.verdict] if self.verdict else []
        return "\n".join([*lines, f"report: {self.report}", "use it:", *(f"  {use}" for use in uses), *last])

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "phrases": list(self.request.phrases),
            "model": str(self.model),
            "report": str(self.report),
            "false_accepts_per_hour_wanted": self.request.false_accepts_per_hour,
            "measured": self.measured.to_json(),
            "esphome": None if self.esphome is None else self.esphome.to_json(),
            "warnings": list(self.warnings),
            "verdict": self.verdict,
        }


def new(
    phrases: str | Sequence[str],
    *,
    out: Path | str,
    takes: Path | str | None = None,
    false_accepts: Path | str | None = None,
    speech: Path | str | None = None,
    backgrounds: Path | str | None = None,
    excluded: Sequence[str] = (),
    said: Sequence[str] = (),
    false_accepts_per_hour: float = 0.5,
    minutes: float = 20.0,
    n_voices: int = 400,
    n_near_misses: int = 60,
    stream_minutes: float = 20.0,
    language: str = "en",
    engine: str = "best",
    seed: int = 0,
    preset: str = "default",
    resume: bool = False,
    force: bool = False,
    mirror: bool = False,
    stop: Callable[[], bool] | None = None,
    on_record: Callable[[Any], None] | None = None,
    on_note: OnNote | None = None,
    progress: OnProgress | None = None,
) -> WakeWord:
    """Make a detector of phrases that are only typed in: synthetic voices say them, and what sounds like them.

    Args:
        phrases: one or several, each at most 1.5 s long when spoken.
        out: the folder of the project.
        takes: a folder of recordings of people who say the phrase, copied into the project; with several phrases, one folder
            for each.
        false_accepts: a folder of recordings that woke an earlier model and should not have, copied too.
        speech: a folder of recordings of speech that do not hold the phrases; see `wordspot.data.speech`. Without it expect
            many more false accepts.
        backgrounds: a folder of noise, copied into the project; without it noise is synthetic.
        excluded: phrases that must not be detected, besides those that are found to sound like the phrase.
        said: how people say the phrase, in other spellings or in IPA: "hadoken" or "[[hədˈoʊkən]]" for "hadouken". Without it,
            pronunciations of English words that are not common ones are guessed; see `wordspot.wakeword.pronunciations`.
        false_accepts_per_hour: wanted, on validation, over all phrases together.
        minutes: of training. Speaking and measuring come on top.
        n_voices: clips of each phrase.
        n_near_misses: phrases that sound like it, for each.
        stream_minutes: of words and noise on which thresholds are chosen, and of those on which the model is measured.
        language, engine: of the voices, see `wordspot.speak`; ``best`` are all simple ones, and kokoro where its files are.
        seed: of everything that is drawn.
        preset: ``default``, the network of the model in the package; or ``microcontroller``, a small one on the features of
            ESPHome's devices, with files for ESPHome. That one starts from random weights, so it needs more `minutes`.
        resume: go on where `new` was interrupted in `out`; with new `takes` or `false_accepts`, train again on all of them.
        force: replace an earlier project in `out`.
        mirror: remove recordings of people and false accepts from the project that are no longer in `takes` and
            `false_accepts`.
        stop, on_record, on_note, progress: as for `wordspot.train`; a stopped project can be resumed.

    Raises:
        ConfigError: an argument out of range, or `out` holds files and neither `resume` nor `force` is set, or another request
            than that of the project.
        DataError: a phrase that no voice can speak, or that is too long.
        MissingExtraError: no voices are installed, or what training and exporting need is not.
        NotFoundError: a folder of recordings is not there; nothing is begun.
    """
    request = Request(
        tuple(as_words(phrases)),
        language,
        engine,
        n_voices,
        n_near_misses,
        tuple(excluded),
        false_accepts_per_hour,
        minutes,
        seed,
        tuple(said),
        stream_minutes,
        preset,
    )
    for folder in (takes, false_accepts, speech, backgrounds):
        if folder is not None and not Path(folder).is_dir():
            raise NotFoundError(f"{folder}: no such folder; expected recordings in it")
    project, note = Project(Path(out)), on_note or ignore_note
    check_packages("`new`", "onnx", "onnxscript", "torch")
    if not resume:  # what cannot be is said before anything is written
        check_out(project.path, force=force, hint=_HINT)
        check_phrases(request, note)
    finished = _begin(project, request, resume=resume, force=force)
    callbacks = training.Callbacks(progress or ignore, note, on_record or (lambda _: None), stop or (lambda: False))
    heard = _path(speech)
    brought = Brought(_path(takes), _path(false_accepts), _path(backgrounds), mirror)
    _gather(project, request, finished, brought, callbacks)
    if "train" not in finished:
        training.train_wake_word(project, request, heard, callbacks)
        finished.append("train")
        project.write(request, finished)
    return _finish(project, request, Run(project.run), heard, callbacks)


def _begin(project: Project, request: Request, *, resume: bool, force: bool) -> list[str]:
    """The stages that are finished."""
    if resume:
        found = project.read()
        if found is None:
            raise ConfigError(f"{project.path} holds no project of `new`; leave out `resume` to begin one")
        if difference := found[0].changes_of(request):
            raise ConfigError(f"{project.path} was begun with other arguments ({difference}); repeat them")
        project.write(request, found[1])
        return found[1]
    check_out(project.path, force=force, hint=_HINT)
    if project.exists:  # else these folders are the user's own
        for earlier in (project.recordings, project.run, project.streams, project.esphome):
            shutil.rmtree(earlier, ignore_errors=True)
    project.path.mkdir(parents=True, exist_ok=True)
    project.write(request, [])
    return []


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True)
class Brought:
    """The recordings that the user brings; see `new`."""

    takes: Path | None
    false_accepts: Path | None
    backgrounds: Path | None
    mirror: bool


def _gather(project: Project, request: Request, finished: list[str], brought: Brought, callbacks: training.Callbacks) -> None:
    """Have the voices speak, and copy what the user brings. Other recordings than before undo the training."""
    if "speak" not in finished:
        recordings.speak_phrases(project, request, callbacks.progress, callbacks.on_note)
        finished.append("speak")
        project.write(request, finished)
    n_changed = int(project.gathering.exists())  # it was killed meanwhile: nobody knows what had changed
    project.gathering.touch()
    try:
        for n in _bring(project, request, brought, callbacks.on_note):
            n_changed += n
    except WordspotError:  # a wrong folder must not undo a training
        if not n_changed:
            project.gathering.unlink()
        raise
    if n_changed:
        recordings.weigh_takes(project, request)
        del finished[1:]
        project.write(request, finished)
        shutil.rmtree(project.run, ignore_errors=True)
    project.gathering.unlink()


def _bring(project: Project, request: Request, brought: Brought, note: OnNote) -> Iterator[int]:
    """Copy what the user brings; gives the number of recordings that changed, step by step."""
    if brought.mirror:
        yield recordings.remove_missing(project, request.phrases, brought.takes, brought.false_accepts)
    if n_cut := recordings.cut_long_copies(project, request):
        note(
            f"{n_cut} recordings that an earlier version copied are longer than a clip: they are cut around their word, and "
            "training begins anew"
        )
        yield n_cut
    if brought.takes is not None:
        yield (n := recordings.add_takes(project, request.phrases, brought.takes, note))
        recordings.note_new(note, n, "recordings of people")
    if brought.false_accepts is not None:
        yield (n := recordings.add_false_accepts(project, brought.false_accepts, note))
        recordings.note_new(note, n, "false accepts")
    if brought.backgrounds is not None:
        yield (n := recordings.add_backgrounds(project, brought.backgrounds, note))
        recordings.note_new(note, n, "recordings of noise")


def _finish(project: Project, request: Request, run: Run, speech: Path | None, callbacks: training.Callbacks) -> WakeWord:
    from wordspot.wakeword.report import write_wake_word_report

    model = project.model(request.phrases)
    callbacks.progress(Progress("exporting", 0))
    run.export(model, force=True)
    callbacks.progress(Progress("mixing the validation stream", 0))
    validation = measuring.make_streams(project, request, "validation", speech)
    tuned = tune_wake_word(project, request, model, validation, callbacks.progress)
    callbacks.progress(Progress("mixing the testing stream", 0))
    testing = measuring.make_streams(project, request, "testing", speech)
    measured = measuring.measure(tuned.decides, project, request, testing, callbacks.progress)
    judged = verdict(measured, request, run.config.training.total_steps, has_speech=speech is not None)
    write_wake_word_report(project.report, measured, judged)
    warnings = (*tuned.problems, *doubts_about(measured), *limits(tuned.metrics, request, has_speech=speech is not None))
    return WakeWord(project.path, request, model, project.report, measured, tuned.files, warnings, judged)
