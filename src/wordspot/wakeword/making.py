"""`new`: from typed phrases to a measured wake word, stage by stage, each of which can be resumed."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wordspot.data.download import find_speech
from wordspot.data.teacher import find_teacher
from wordspot.errors import ConfigError, NotFoundError, WordspotError, check_packages
from wordspot.files import check_out, remove_leftovers
from wordspot.labels import as_words
from wordspot.locks import hold_lock
from wordspot.presets import WAKE_WORD_PRESETS
from wordspot.progress import OnNote, OnProgress, Progress, ignore, ignore_note
from wordspot.run import Run
from wordspot.wakeword import measuring, recordings, takes, training
from wordspot.wakeword.checking import check_recordings, what_was_left_out
from wordspot.wakeword.guiding import ask_teacher, check_teacher, has_teacher
from wordspot.wakeword.phrases import check_phrases
from wordspot.wakeword.project import Project, Request
from wordspot.wakeword.report import write_wake_word_report
from wordspot.wakeword.speech import Heard, choose_speech
from wordspot.wakeword.splicing.people import splice_people
from wordspot.wakeword.thresholds import tune_wake_word
from wordspot.wakeword.training import Callbacks
from wordspot.wakeword.verdict import doubts_about, limits, verdict
from wordspot.wakeword.wake_word import WakeWord

__all__ = ["WakeWord", "new"]

_HINT = "set `resume` to go on with it, or `force` to begin anew"
_NO_SPEECH = "`taught` needs speech by people; give `speech`, or run: wordspot download speech"
#: Stages of the progress after training.
EXPORTING, MIXING_VALIDATION, MIXING_TESTING = "exporting", "mixing the validation stream", "mixing the testing stream"
#: The stages that a project remembers as finished.
_SPOKEN, _TRAINED = "speak", "train"


def new(
    phrases: str | Sequence[str] | None = None,
    *,
    out: Path | str,
    takes: Path | str | None = None,
    false_accepts: Path | str | None = None,
    speech: Path | str | None = None,
    backgrounds: Path | str | None = None,
    excluded: Sequence[str] = Request.excluded,
    said: Sequence[str] = Request.said,
    false_accepts_per_hour: float = Request.false_accepts_per_hour,
    minutes: float = Request.minutes,
    n_voices: int = Request.n_voices,
    n_near_misses: int = Request.n_near_misses,
    stream_minutes: float = Request.stream_minutes,
    language: str = Request.language,
    engine: str = Request.engine,
    seed: int = Request.seed,
    preset: str = Request.preset,
    taught: bool | None = None,
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
        phrases: one or several, each at most 1.5 s long when spoken. None, with `resume`: those of the project, as are
            all settings that have their default here.
        out: the folder of the project.
        takes: a folder of recordings of people who say the phrase, copied into the project; with several phrases, one folder
            for each.
        false_accepts: a folder of recordings that woke an earlier model and should not have, copied too.
        speech: a folder of recordings of speech that do not hold the phrases; see `wordspot.data.speech`. Default: what
            `wordspot.download_speech` got; or else sentences read by voices, so expect many more false accepts.
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
        taught: learn what the teacher finds in people's speech, too, which needs the teacher and speech by people. None: if they
            are there and the preset allows it; with `resume`, as the project was begun.
        resume: go on where `new` was interrupted in `out`; with new `takes` or `false_accepts`, train again on all of them.
        force: replace an earlier project in `out`.
        mirror: remove recordings of people and false accepts from the project that are no longer in `takes` and
            `false_accepts`.
        stop, on_record, on_note, progress: as for `wordspot.train`; a stopped project can be resumed.

    Raises:
        ConfigError: an argument out of range, or `out` holds files and neither `resume` nor `force` is set, or another request
            than that of the project, or a folder of recordings inside `out`.
        DataError: a phrase that no voice can speak, or that is too long.
        MissingExtraError: no voices are installed, or what training and exporting need is not.
        NotFoundError: a folder of recordings is not there; nothing is begun.
    """
    settings: dict[str, Any] = {
        "language": language, "engine": engine, "n_voices": n_voices, "n_near_misses": n_near_misses,
        "excluded": tuple(excluded), "false_accepts_per_hour": false_accepts_per_hour, "minutes": minutes, "seed": seed,
        "said": tuple(said), "stream_minutes": stream_minutes, "preset": preset,
    }  # fmt: skip
    settings["taught"] = _is_taught(taught, Project(Path(out)), preset, _path(speech), resume=resume)
    request = _request(Project(Path(out)), None if phrases is None else as_words(phrases), settings, resume=resume)
    brought = Brought(_path(takes), _path(false_accepts), _path(speech), _path(backgrounds), mirror)
    callbacks = Callbacks(progress or ignore, on_note or ignore_note, on_record or (lambda _: None), stop or (lambda: False))
    return _make(Project(Path(out)), request, brought, callbacks, resume=resume, force=force)


def _is_taught(wanted: bool | None, project: Project, preset: str, speech: Path | None, *, resume: bool) -> bool:
    """What is wanted; else as the project was begun; else whether what it needs is there."""
    if wanted is not None:
        return wanted
    if resume and (begun := project.read()) is not None:
        return begun[0].taught
    return not WAKE_WORD_PRESETS.get(preset) and has_teacher() and (speech is not None or find_speech() is not None)


def _request(project: Project, phrases: Sequence[str] | None, settings: Mapping[str, Any], *, resume: bool) -> Request:
    """What is asked for; without phrases that of the project, except for settings that are not the usual ones."""
    if phrases is not None:
        return Request(tuple(phrases), **settings)
    if not resume:
        raise ConfigError("no phrase is given; name at least one, or set `resume` to go on with those of a project")
    begun, _ = _read(project)
    changed = {name: value for name, value in settings.items() if value != getattr(Request, name)}
    return dataclasses.replace(begun, **{**changed, "taught": settings["taught"]})


def _read(project: Project) -> tuple[Request, list[str]]:
    """The request of a project and its finished stages.

    Raises:
        ConfigError: there is no project.
    """
    found = project.read()
    if found is None:
        raise ConfigError(f"{project.path} holds no project of `new`; leave out `resume` to begin one")
    return found


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True)
class Brought:
    """The recordings that the user brings; see `new`."""

    takes: Path | None = None
    false_accepts: Path | None = None
    speech: Path | None = None
    backgrounds: Path | None = None
    mirror: bool = False

    def check(self, project: Project) -> None:
        """Raise `NotFoundError` for a folder that is not there, and `ConfigError` for one that `new` makes in `project`."""
        made = [one.resolve() for one in project.made]
        for folder in (self.takes, self.false_accepts, self.speech, self.backgrounds):
            if folder is not None and not folder.is_dir():
                raise NotFoundError(f"{folder}: no such folder; expected recordings in it")
            if folder is not None and any(folder.resolve().is_relative_to(one) for one in made):
                raise ConfigError(f"{folder} belongs to what `new` makes in {project.path}; keep recordings elsewhere")


def _make(project: Project, request: Request, brought: Brought, callbacks: Callbacks, *, resume: bool, force: bool) -> WakeWord:
    """Go through the stages that are not finished; the last one, the measures, is done each time."""
    brought.check(project)
    check_packages("`new`", "onnx", "onnxscript", "torch")
    teacher = find_teacher()  # a folder that does not hold it is named before the voices speak
    if request.taught and not project.run.exists():
        check_teacher(teacher)
        if brought.speech is None and find_speech() is None:
            raise NotFoundError(_NO_SPEECH)
    if resume:  # what cannot be is said before anything is written
        _read(project)
    else:
        check_out(project.path, force=force, hint=_HINT)
        check_phrases(request, callbacks.on_note)
    with hold_lock(project.lock, f"{project.path}: another `new` is running there; wait for it, or choose another `out`"):
        finished = _begin(project, request, resume=resume)
        _gather(project, request, finished, brought, callbacks)
        heard = choose_speech(project, request, brought.speech, callbacks.progress, callbacks.on_note)
        if _TRAINED not in finished:
            if not project.run.exists():
                _learn_from_people(project, request, heard, callbacks)
            training.train_wake_word(project, request, heard.folder, callbacks)
            project.write(request, [*finished, _TRAINED])
        return _finish(project, request, heard, callbacks)


def _begin(project: Project, request: Request, *, resume: bool) -> list[str]:
    """The stages that are finished."""
    if resume:
        begun, finished = _read(project)
        if difference := begun.changes_of(request):
            raise ConfigError(f"{project.path} was begun with other arguments ({difference}); repeat them")
        remove_leftovers(project.path)
        project.write(request, finished)
        return finished
    if project.exists:  # else these folders are the user's own
        remove_leftovers(project.path)
        for earlier in project.made:
            shutil.rmtree(earlier, ignore_errors=True)
        for file in (project.begun_with, project.before, project.spliced):
            file.unlink(missing_ok=True)
    project.write(request, [])
    return []


def _gather(project: Project, request: Request, finished: list[str], brought: Brought, callbacks: Callbacks) -> None:
    """Have the voices speak, and copy what the user brings. Other recordings than before undo the training."""
    if _SPOKEN not in finished:
        recordings.speak_phrases(project, request, callbacks.progress, callbacks.on_note)
        finished.append(_SPOKEN)
        project.write(request, finished)
    known = {takes.copy_of(path) for path in takes.all_takes(project, request)}
    n_changed = int(project.gathering.exists())  # it was killed meanwhile: nobody knows what had changed
    project.gathering.touch()
    try:
        for n in _bring(project, request, brought, callbacks.on_note):
            n_changed += n
    except WordspotError:  # a wrong folder must not undo a training
        if not n_changed:
            project.gathering.unlink()
        raise
    if n_changed and _TRAINED in finished:
        measuring.measure_before(project, request, known, callbacks.progress)
    if n_changed or not project.run.exists():
        check_recordings(project, request, callbacks.progress, callbacks.on_note)
        takes.weigh_takes(project, request)
    if n_changed:
        del finished[1:]
        project.write(request, finished)
        shutil.rmtree(project.run, ignore_errors=True)
    project.gathering.unlink()


def _bring(project: Project, request: Request, brought: Brought, note: OnNote) -> Iterator[int]:
    """Copy what the user brings; gives the number of recordings that changed, step by step."""
    if brought.mirror:
        yield takes.remove_missing(project, request.phrases, brought.takes, brought.false_accepts)
    if n_cut := takes.cut_long_copies(project, request):
        note(
            f"{n_cut} recordings that an earlier version copied are longer than a clip: they are cut around their word, and "
            "training begins anew"
        )
        yield n_cut
    if brought.takes is not None:
        yield (n := takes.add_takes(project, request.phrases, brought.takes, note))
        takes.note_new(note, n, "recordings of people")
    if brought.false_accepts is not None:
        yield (n := takes.add_false_accepts(project, brought.false_accepts, note))
        takes.note_new(note, n, "false accepts")
    if brought.backgrounds is not None:
        yield (n := takes.add_backgrounds(project, brought.backgrounds, note))
        takes.note_new(note, n, "recordings of noise")


def _learn_from_people(project: Project, request: Request, heard: Heard, callbacks: Callbacks) -> None:
    """Join recordings from people's sentences, and have the teacher listen to people, if that is wanted.

    Raises:
        NotFoundError: the teacher is to listen, and there is no speech by people.
    """
    by_people = heard.folder if heard.by_people else None
    if by_people is not None:
        splice_people(project, request, by_people, callbacks.progress, callbacks.on_note)
    if not request.taught:
        project.guidance.unlink(missing_ok=True)
        return
    if by_people is None:
        raise NotFoundError(_NO_SPEECH)
    ask_teacher(project, request, by_people, callbacks.progress, callbacks.on_note)


def _finish(project: Project, request: Request, heard: Heard, callbacks: Callbacks) -> WakeWord:
    """Export the network, choose its thresholds, measure it and write the report."""
    run, model, progress = Run(project.run), project.model(request.phrases), callbacks.progress
    progress(Progress(EXPORTING, 0))
    _export(run, model, request)
    progress(Progress(MIXING_VALIDATION, 0))
    validation = measuring.make_streams(project, request, "validation", heard)
    tuned = tune_wake_word(project, request, model, validation, progress)
    progress(Progress(MIXING_TESTING, 0))
    testing = measuring.make_streams(project, request, "testing", heard)
    measured = measuring.measure(tuned.decides, project, request, testing, progress)
    judged = verdict(measured, request, run.config.training.total_steps, has_speech=heard.by_people)
    write_wake_word_report(project.report, measured, judged)
    doubts = [*what_was_left_out(project, request), *doubts_about(measured)]
    warnings = (*tuned.problems, *doubts, *limits(tuned.metrics, request, has_speech=heard.by_people))
    return WakeWord(project.path, request, model, project.report, measured, tuned.files, warnings, judged)


def _export(run: Run, model: Path, request: Request) -> None:
    """Write the trained network, with weights in 8 bits.

    What they cost is in the thresholds and the figures, which are of this file. The small network beside files for ESPHome
    stays in float32, as those can be made from it too.
    """
    run.export(model, int8=not request.is_for_esphome, max_loss=None, force=True)
