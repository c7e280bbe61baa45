"""Whether a finished wake word can be used, and what its figures do not show: plain sentences for its user."""

from __future__ import annotations

from collections.abc import Iterator

from wordspot.evaluation.false_accepts import DetectionMetrics
from wordspot.evaluation.thresholds import hours_needed
from wordspot.formats import duration, rate, some
from wordspot.intervals import Proportion
from wordspot.wakeword.measuring import Measured
from wordspot.wakeword.project import Request

#: Of what was not trained on, a model must find more than this part.
_USEFUL = 0.5
#: Above this multiple of the wanted rate, with 95 % confidence, false accepts are a fault.
_FAR_ABOVE = 4.0
#: A model of fewer steps has not learnt its voices yet.
_FEW_STEPS = 200


def verdict(measured: Measured, request: Request, n_steps: int, *, has_speech: bool) -> str:
    """What is wrong with a model, and what to do, in one line; empty if it is worth trying."""
    faults = list(_faults(measured, request))
    if not faults:
        return ""
    advice = _advice(measured, n_steps, has_speech=has_speech)
    return f"Not good enough to use: {'; '.join(faults)}. What helps: {', '.join(advice)}."


def _faults(measured: Measured, request: Request) -> Iterator[str]:
    for whose, found in (("held-out voices", measured.voices), ("held-out recordings of people", measured.takes)):
        if found is not None and _is_little(found):
            yield f"it finds the phrase in {found.count} of {found.n} {whose}"
    near = measured.near_misses
    if near.interval[0] > 1 - _USEFUL:
        yield f"{near.count} of {near.n} clips of similar phrases wake it"
    words, wanted = measured.detections.all_words, request.false_accepts_per_hour
    if words.missed.interval[0] > 1 - _USEFUL:
        yield f"it misses {words.missed.count} of {words.n_words} phrases in the test streams at its threshold"
    if words.false_accepts.interval[0] > _FAR_ABOVE * wanted:
        yield f"{rate(words.false_accepts.per_hour)} false accepts an hour there, wanted {wanted:g}"


def _is_little(found: Proportion) -> bool:
    return found.n > 1 and (found.count == 0 or found.interval[1] < _USEFUL)


def _advice(measured: Measured, n_steps: int, *, has_speech: bool) -> list[str]:
    return [
        *([f"more training (it had {n_steps} steps; raise `minutes`)"] if n_steps < _FEW_STEPS else []),
        *([] if has_speech else ["recordings of other speech (`speech`)"]),
        f"{'ten' if measured.takes is None else 'more'} recordings of people who say it (`takes`)",
        "or a phrase with more syllables",
    ]


def doubts_about(measured: Measured) -> list[str]:
    """Recordings of people that may not hold the phrase, in one line, if there are any."""
    if not measured.doubtful:
        return []
    names = some([str(path) for path in measured.doubtful])
    return [
        f"{len(measured.doubtful)} recordings of people may not hold the phrase: the model gives them next to no score: {names}. "
        "Listen to these copies; remove those that are wrong from your folder and begin anew with `force`, or on the page"
    ]


def limits(tuned: DetectionMetrics, request: Request, *, has_speech: bool) -> list[str]:
    """What the streams that chose the thresholds cannot show, a line each.

    Args:
        tuned: at the chosen thresholds, on validation.
        request: with the wanted rate.
        has_speech: whether people's sentences were among them.
    """
    wanted, hours, lines = request.false_accepts_per_hour, tuned.hours, list[str]()
    if hours < (needed := hours_needed(wanted)):
        lines.append(
            f"{duration(3600 * hours)} of sound chose the threshold: even without any false accept there, the true rate may be "
            f"up to {rate(hours_needed(1) / hours)} an hour (95 %); to show {wanted:g} takes {duration(3600 * needed)}. Test it "
            "on recordings of your home: wordspot test-stream MODEL --no-words RECORDING"
        )
    if (n := tuned.all_words.false_accepts.n) > wanted * hours + 1e-9:
        lines.append(f"no threshold keeps to {wanted:g} false accepts an hour: the fewest are {n} in {hours:.3g} hours")
    if not has_speech:
        lines.append("no `speech` was given, only voices talk: expect more false accepts on people than these figures say")
    return lines
