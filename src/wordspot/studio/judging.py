"""How good a finished model is: on streams, on held-out clips, on every recording of the project, beside the model before.

A recording's set is that of the training: only those of the testing set say how well the model does with what it has not
heard. The model before was trained with the same rule, so a recording for testing was never one for training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wordspot.config import DataConfig
from wordspot.data.few_recordings import split_recordings
from wordspot.data.folders import list_recordings
from wordspot.evaluation.curves import curve_json
from wordspot.labels import normalize_word
from wordspot.runtime.detector import Detector
from wordspot.runtime.model import open_model
from wordspot.studio.project import StudioProject
from wordspot.studio.sounds import Sound, list_sounds
from wordspot.studio.versions import Version
from wordspot.wakeword.making import WakeWord
from wordspot.wakeword.measuring import hear, test_clips
from wordspot.wakeword.project import Project
from wordspot.wakeword.takes import TAKE

NOTHING, OTHERS = "nothing", "other words"
_PLACES = 4


def judge_model(project: StudioProject, made: WakeWord, model: Path, before: Version | None) -> dict[str, Any]:
    """The measures of a finished model, as a JSON object.

    Args:
        project: whose recordings are judged.
        made: what the training returned.
        model: the file.
        before: the version until now; None for the first.

    Returns:
        ``measured``: those of `wordspot.new`; ``curve``: hits and false accepts at each threshold, of all words together;
        ``confusion``: rows of held-out clips; ``takes``, ``not_words``: each recording with its set and what is heard in
        it; ``before``: the number of the version before, and what it hears in the same recordings, by digest.
    """
    detector = Detector(open_model(model))
    sets = _sets(made)
    takes = {word: list_sounds(project.takes / word) for word in project.words}
    false = list_sounds(project.not_words)
    stream = made.measured.stream.metrics
    return {
        "measured": made.measured.to_json(),
        "curve": {**curve_json(stream.curves["all words"]), "hours": stream.detections.hours},
        "confusion": _confusion(made, detector),
        "takes": {word: [_judged(detector, project.takes / word, one, sets) for one in takes[word]] for word in takes},
        "not_words": [_judged(detector, project.not_words, one, sets) for one in false],
        "before": None if before is None else _judged_before(before, project),
    }


def _sets(made: WakeWord) -> dict[str, str]:
    """The set of each recording of people, by its digest."""
    project = Project(made.path)
    listing = list_recordings(project.recordings)
    wanted = {normalize_word(phrase) for phrase in made.request.phrases}
    sets = split_recordings(listing, DataConfig(), wanted).sets
    names = [Path(clip.path).name.partition("_nohash_")[0] for clip in listing.clips]
    return {name.removeprefix(TAKE): one for name, one in zip(names, sets, strict=True) if name.startswith(TAKE)}


def _confusion(made: WakeWord, detector: Detector) -> dict[str, Any]:
    """What is heard in the clips of the testing set, by voices and people: a row for each word and one for all others."""
    words = [normalize_word(phrase) for phrase in made.request.phrases]
    counts = {row: dict.fromkeys([*words, NOTHING], 0) for row in [*words, OTHERS]}
    for path, word in test_clips(Project(made.path), made.request):
        heard, _ = _heard(detector, path)
        counts[word if word in words else OTHERS][normalize_word(heard) if heard else NOTHING] += 1
    return {
        "rows": [*words, OTHERS],
        "columns": [*words, NOTHING],
        "counts": [list(row.values()) for row in counts.values()],
    }


def _judged(detector: Detector, folder: Path, sound: Sound, sets: dict[str, str]) -> dict[str, Any]:
    heard, score = _heard(detector, folder / sound.file)
    known = sets.get(sound.digest, "")
    return {"file": sound.file, "digest": sound.digest, "set": known, "heard": heard, "score": round(score, _PLACES)}


def _judged_before(before: Version, project: StudioProject) -> dict[str, Any]:
    detector = Detector(open_model(before.model))
    folders = [*(project.takes / word for word in project.words), project.not_words]
    heard = {one.digest: _heard(detector, folder / one.file)[0] for folder in folders for one in list_sounds(folder)}
    return {"number": before.number, "heard": heard}


def _heard(detector: Detector, path: Path) -> tuple[str, float]:
    """The word that is detected with the highest score; if there is none, an empty text and the highest score of any."""
    found, scores = hear(detector, path)
    if found:
        best = max(found, key=lambda one: one.score)
        return best.label, best.score
    columns = [column for column, label in enumerate(detector.card.labels) if not label.startswith("_")]
    return "", float(scores[:, columns].max(initial=0.0))
