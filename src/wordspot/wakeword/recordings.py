"""Make the recordings that a wake word is trained on: synthetic voices and people who say it, and near misses."""

from __future__ import annotations

import tempfile
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from wordspot.data.voices import find_engines, make_noise, speak
from wordspot.data.voices.common_words import common_words
from wordspot.data.voices.find import NEURAL, WITH_PHONEMES
from wordspot.data.voices.ipa import BRACKETED
from wordspot.data.voices.near_misses import NearMiss, near_misses
from wordspot.errors import MissingExtraError, NotFoundError
from wordspot.files import PREFIX
from wordspot.labels import normalize_word
from wordspot.progress import OnNote, OnProgress, Progress
from wordspot.wakeword.project import CLIP_MS, Project, Request
from wordspot.wakeword.pronunciations import pronunciations

#: Stages of progress, besides the texts that voices say.
SEEKING, MIXING = "looking for what sounds alike", "mixing noise"
_NOISE_SECONDS = 60.0
_PER_NEAR_MISS = 0.03  # clips of each, as a part of those of the phrase
_FEWEST = 4
_TEMPO_OF_ONE, _TEMPO_OF_SEVERAL = (1.0, 1.3), (1.15, 1.6)  # see `speak_words`; by the number of words of the phrase
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
    with tempfile.TemporaryDirectory(dir=project.path, prefix=PREFIX) as folder:
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
