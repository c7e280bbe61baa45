"""Make the recordings that a wake word is trained on: synthetic voices and people who say it, and near misses."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from wordspot.audio.files import read_audio, read_info, write_audio
from wordspot.audio.folder import walk_folder
from wordspot.audio.samples import Samples
from wordspot.audio.speech import start_of_word
from wordspot.config import DataConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import NOISE_FOLDER, list_recordings
from wordspot.data.voices import find_engines, make_noise, speak
from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.find import NEURAL, WITH_PHONEMES
from wordspot.data.voices.ipa import BRACKETED
from wordspot.data.voices.near_misses import NearMiss, near_misses
from wordspot.errors import AudioError, DataError, MissingExtraError, NotFoundError
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress, Progress, ignore_note
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.pronunciations import pronunciations

#: Names of recordings of people begin with this.
TAKE = "take-"
#: The folder of what woke a model and should not have; unknown speech to the network.
FALSE_ACCEPTS = "false accepts"
#: Stages of progress, besides the texts that voices say.
SEEKING, MIXING = "looking for what sounds alike", "mixing noise"
_NOISE_SECONDS = 60.0
_PER_NEAR_MISS = 0.03  # clips of each, as a part of those of the phrase
_FEWEST = 4
_TEMPO_OF_ONE, _TEMPO_OF_SEVERAL = (1.0, 1.3), (1.15, 1.6)  # see `speak_words`; by the number of words of the phrase
_TAKES_SHARE, _MOST_REPEATS = 0.5, 25  # of recordings of people, as a part of the clips by voices
#: Share of the simple engines in the clips of a phrase and of other texts, if there are neural voices, which are closer to
#: people but much slower.
_SIMPLE_SHARE, _SIMPLE_SHARE_OF_OTHERS = 0.3, 0.7
#: An invented text that is nearer to the phrase ("atheno") is how some people say the phrase itself, and no other word.
_LEAST_INVENTED = 0.8
#: In other languages there is no list, or a short one, so that most texts near the phrase are not known to exist.
_LEAST_ELSEWHERE = 0.4


def choose_engine(request: Request, on_note: OnNote) -> str:
    """The engines that speak: those asked for, or for ``best`` all simple ones, and kokoro where its files are.

    Neural engines that do not speak the language are left out if there are others.
    """
    if request.engine != "best":
        names = [name for one in request.engine.split(",") for name in (find_engines(one) if one == "all" else (one,))]
        try:
            speaking = [name for name in names if name not in NEURAL or find_engines(name)[name].voices(request.language)]
        except NotFoundError as error:
            raise NotFoundError(_without_voice_files(error)) from error
        return ",".join(speaking or names)
    simple = ",".join(find_engines("all"))
    try:
        kokoro = find_engines("kokoro")["kokoro"]
    except (NotFoundError, MissingExtraError) as error:
        on_note(f"without neural voices people are found less often: {_without_voice_files(error)}")
        return simple
    return f"{simple},kokoro" if kokoro.voices(request.language) else simple


def _without_voice_files(error: Exception) -> str:
    """A message without the argument that `new` does not have."""
    return str(error).replace("`voice_files` or ", "")


def simple_engines(engine: str) -> str:
    """Those of the engines that answer at once; all of them if none does."""
    return shares(engine, 2, _SIMPLE_SHARE)[0][0]


def speak_phrases(project: Project, request: Request, progress: OnProgress, on_note: OnNote) -> None:
    """Let voices say the phrases, what sounds like them and what is excluded; make noise too."""
    engine = choose_engine(request, on_note)
    n_speakers = shares(engine, request.n_voices, _SIMPLE_SHARE)[-1][1]  # of neural ones, as many as there are clips
    for phrase in request.phrases:
        with_ipa = [name for name in engine.split(",") if name in WITH_PHONEMES]
        others = request.said or (pronunciations(phrase, request.language) if with_ipa else ())
        n_usual = max(round(request.n_voices / (1 + len(others))), 1)  # each way to say it as often
        _speak(project.recordings, request, [phrase], shares(engine, n_usual, _SIMPLE_SHARE), n_speakers, progress)
        n_each = max((request.n_voices - n_usual) // max(len(others), 1), 1)
        for number, text in enumerate(others, start=1):
            parts = shares(",".join(with_ipa) if BRACKETED.search(text) else engine, n_each, _SIMPLE_SHARE)
            _speak_as(project, request, phrase, text, f"said{number}", parts, n_speakers, progress)
    progress(Progress(SEEKING, 0))
    if others := other_texts(request):
        few = max(round(_PER_NEAR_MISS * request.n_voices), _FEWEST)
        _speak(project.recordings, request, others, shares(engine, few, _SIMPLE_SHARE_OF_OTHERS), n_speakers, progress)
    progress(Progress(MIXING, 0))
    quick = find_engines(simple_engines(engine))  # babble is minutes of speech
    make_noise(project.recordings, seed=request.seed, seconds=_NOISE_SECONDS, engines=quick, avoid=request.phrases)


_Parts = Sequence[tuple[str, int]]


def _speak(out: Path, request: Request, texts: Sequence[str], parts: _Parts, n_speakers: int, progress: OnProgress) -> None:
    for names, n in parts:
        speak(
            texts, out, per_word=n, seed=request.seed, engine=names, language=request.language, clip_ms=CLIP_MS,
            n_speakers=n_speakers if set(names.split(",")) & set(NEURAL) else None, tempo=tempo_of(request), force=True, jobs=0,
            progress=progress,
        )  # fmt: skip


def tempo_of(request: Request) -> tuple[float, float]:
    """People say several words faster than voices do, and a single one at many speeds."""
    return _TEMPO_OF_SEVERAL if all(map(_has_several_words, request.phrases)) else _TEMPO_OF_ONE


def _has_several_words(phrase: str) -> bool:
    """Whether there are spaces between words, or three Chinese characters, which have none."""
    return " " in phrase.strip() or sum(unicodedata.name(one, "").startswith("CJK") for one in phrase) > 2


def _speak_as(
    project: Project, request: Request, phrase: str, text: str, name: str, parts: _Parts, n_speakers: int, progress: OnProgress
) -> None:
    """Speak another text, and add the clips to those of a phrase; `name` is a part of their names."""
    with tempfile.TemporaryDirectory(dir=project.path) as folder:
        _speak(Path(folder), request, [text], parts, n_speakers, progress)
        for path in (Path(folder) / normalize_word(text)).iterdir():
            speaker, mark, manner = path.name.partition("_nohash_")
            path.replace(project.recordings / normalize_word(phrase) / f"{speaker}{mark}{name}-{manner}")


def shares(engine: str, n: int, simple_share: float) -> list[tuple[str, int]]:
    """How many of `n` clips simple engines speak, and then how many neural ones; at least one each."""
    names = engine.split(",")
    simple, neural = [name for name in names if name not in NEURAL], [name for name in names if name in NEURAL]
    if not simple or not neural:
        return [(engine, n)]
    few = max(round(simple_share * n), 1)
    return [(",".join(simple), few), (",".join(neural), max(n - few, 1))]


@lru_cache(maxsize=4)
def other_texts(request: Request) -> tuple[str, ...]:
    """What is spoken besides the phrases and must not be detected: what sounds like them, and what is excluded."""
    texts, known = [*request.excluded], [*request.phrases, *request.said]
    least = _LEAST_INVENTED if request.language.split("-")[0] == "en" else _LEAST_ELSEWHERE
    for phrase in request.phrases if request.n_near_misses else ():
        found = near_misses(
            phrase, n=request.n_near_misses, language=request.language, excluded=[*request.phrases, *request.said]
        )
        texts += [one.text for one in found if one.distance >= least or not _is_invented(one, request.language)]
    unique = {normalize_word(text): text for text in texts}
    for text in known:
        unique.pop(normalize_word(text), None)
    return tuple(unique.values())


def _is_invented(near: NearMiss, language: str) -> bool:
    """Whether a text is the phrase in another spelling, with a word that does not exist."""
    return near.kind == "exchanged" and not set(near.text.split()) <= set(common_words(language))


def add_takes(project: Project, phrases: Sequence[str], takes: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of people who say the phrases into the project.

    A recording is named by its content, which also decides whether it is for training, validation or testing: so it always stays
    in its set. With several phrases, `takes` has a folder for each, which may be empty if others are not.

    Returns:
        how many recordings were new.
    """
    if len(phrases) == 1:
        return _copy(project, normalize_word(phrases[0]), takes, on_note)
    folders = {phrase: takes / phrase for phrase in phrases}
    for folder in folders.values():
        _check_folder(folder)
    recorded = {phrase: folder for phrase, folder in folders.items() if walk_folder(folder).sounds}
    if not recorded:
        raise DataError(f"{takes}: no recordings found; expected sound files in the folder of a phrase, at any depth")
    return sum(_copy(project, normalize_word(phrase), folder, on_note) for phrase, folder in recorded.items())


def cut_long_copies(project: Project, request: Request) -> int:
    """Cut copies that are longer than a clip, which earlier versions made, around their word. Returns how many there were."""
    n_cut = 0
    for name in (*map(normalize_word, request.phrases), FALSE_ACCEPTS):
        for path in first_copies(project.recordings / name):
            try:
                part = _part_with_word(path) if 1000 * read_info(path).seconds > CLIP_MS else None
            except AudioError:
                continue  # training says which recordings it leaves out
            if part is not None:
                cut = path.with_suffix(".wav")
                write_audio(cut, *part)
                for repeat in set(path.parent.glob(f"{path.name.removesuffix(f'_0{path.suffix}')}_*")) - {cut}:
                    repeat.unlink()
                n_cut += 1
    return n_cut


def remove_missing(project: Project, phrases: Sequence[str], takes: Path | None, false_accepts: Path | None) -> int:
    """Remove copies of recordings that are no longer in `takes` and `false_accepts`. Returns how many recordings were removed."""
    sources = {normalize_word(phrase): takes and (takes / phrase if len(phrases) > 1 else takes) for phrase in phrases}
    n_removed = 0
    for name, source in {**sources, FALSE_ACCEPTS: false_accepts}.items():
        found = walk_folder(source).sounds if source and source.is_dir() else ()
        kept, removed = {_copy_name(path) for path in found}, set[str]()
        for path in (one for place in (project.recordings, project.left_out) for one in (place / name).glob(f"{TAKE}*")):
            copied = path.name.partition("_nohash_")[0]
            if copied not in kept:
                path.unlink()
                removed.add(copied)
        n_removed += len(removed)
    return n_removed


def weigh_takes(project: Project, request: Request) -> None:
    """Repeat the training recordings of people, so that they count beside the phrase's clips by voices.

    Recordings of the other sets are not repeated, so that each is measured once.
    """
    wanted = {normalize_word(phrase) for phrase in request.phrases}
    listing = list_recordings(project.recordings)
    sets = split_recordings(listing, DataConfig(), wanted).sets
    for phrase in wanted:
        takes = [
            project.recordings / clip.path
            for clip, name in zip(listing.clips, sets, strict=True)
            if clip.word == phrase and name == "training" and Path(clip.path).name.startswith(TAKE)
        ]
        firsts = [path for path in takes if path.stem.endswith("_0")]
        for path in set(takes) - set(firsts):
            path.unlink()
        n = min(round(_TAKES_SHARE * request.n_voices / max(len(firsts), 1)), _MOST_REPEATS)
        for path, number in itertools.product(firsts, range(1, n)):
            shutil.copyfile(path, path.with_stem(f"{path.stem.removesuffix('_0')}_{number}"))


def add_false_accepts(project: Project, folder: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of what must not be detected into the project. Returns how many were new."""
    return _copy(project, FALSE_ACCEPTS, folder, on_note)


def add_backgrounds(project: Project, folder: Path, on_note: OnNote = ignore_note) -> int:
    """Copy recordings of noise into the project. Returns how many were new."""
    return _copy(project, NOISE_FOLDER, folder, on_note, whole=True)


def _copy(project: Project, name: str, source: Path, on_note: OnNote, *, whole: bool = False) -> int:
    """Copy recordings into a folder of the project; of those longer than a clip only the part with the word, unless `whole`.

    Returns how many were new.

    Those that cannot be read are left out, with a note.
    """
    _check_folder(source)
    found = walk_folder(source).sounds
    if not found:
        raise DataError(f"{source}: no recordings found; expected sound files, at any depth")
    target = project.recordings / name
    target.mkdir(parents=True, exist_ok=True)
    n_new, problems = 0, list[str]()
    for path in found:
        stem = f"{_copy_name(path)}_nohash_0"
        if any(one.suffix != ".part" for folder in (target, project.left_out / name) for one in folder.glob(f"{stem}.*")):
            continue
        copy = target / f"{stem}{path.suffix.lower()}"
        try:
            part = _part_with_word(path) if not whole or read_info(path).seconds <= CLIP_MS / 1000 else None
        except AudioError as error:
            problems.append(str(error))
            continue
        if part is None:
            shutil.copyfile(path, copy.with_suffix(".part"))
            copy.with_suffix(".part").replace(copy)
        else:
            write_audio(copy.with_suffix(".wav"), *part)
        n_new += 1
    if len(problems) == len(found):
        raise DataError(f"{source}: none of the {len(found)} recordings can be read; {problems[0]}")
    for problem in problems:
        on_note(f"left out: {problem}")
    return n_new


def first_copies(folder: Path) -> list[Path]:
    """The copies of the user's recordings in a folder, without their repeats and what a killed program left."""
    return sorted(path for path in folder.glob(f"{TAKE}*_nohash_0.*") if path.suffix != ".part")


def all_takes(project: Project, request: Request) -> set[Path]:
    """The project's recordings of people who say a phrase."""
    folders = [project.recordings / normalize_word(phrase) for phrase in request.phrases]
    return {path for folder in folders for path in first_copies(folder)}


def _part_with_word(path: Path) -> tuple[Samples, int] | None:
    """As much of a recording as a clip holds, with its sample rate; None if it is no longer.

    Raises:
        AudioError: it cannot be read.
    """
    audio, rate = read_audio(path)
    size = int(CLIP_MS / 1000 * rate)
    if len(audio) <= size:
        return None
    start = start_of_word(audio, size, rate)
    return audio[start : start + size], rate


def _copy_name(path: Path) -> str:
    """The beginning of the name of a recording's copies, by its content."""
    return f"{TAKE}{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise NotFoundError(f"{folder}: no such folder; expected recordings in it")


def note_new(on_note: OnNote, n: int, what: str) -> None:
    """Report how many recordings were added."""
    on_note(f"{n} {what} added" if n else f"no {what} added: all are in the project already")
