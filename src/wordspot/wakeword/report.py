"""The report on a wake word: the one on its test streams, with single clips and the near misses that wake it on top."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

from wordspot.audio.files import read_audio
from wordspot.formats import percent
from wordspot.intervals import Proportion
from wordspot.reports.page import data_url, fact_boxes, section
from wordspot.reports.streams import write_stream_report
from wordspot.wakeword.measuring import Measured

_MOST_PLAYED = 12


def write_wake_word_report(path: Path, measured: Measured, verdict: str) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        measured: the figures.
        verdict: what is wrong with the model; empty if nothing is.
    """
    write_stream_report(path, measured.stream, [*_top(measured, verdict)])


def _top(measured: Measured, verdict: str) -> Iterator[str]:
    if verdict:
        yield f'<p class="notice">{html.escape(verdict)}</p>'
    facts = [
        ("held-out voices: clips found", _share(measured.voices)),
        ("held-out near misses that wake it", _share(measured.near_misses)),
    ]
    if measured.before is not None:
        facts.insert(1, ("newest recordings of people: found by the model before them", _share(measured.before)))
    if measured.takes is not None:
        facts.insert(1, ("held-out recordings of people: found", _share(measured.takes)))
    yield section("Single clips", fact_boxes(facts))
    if measured.woken:
        items = "".join(_player(clip, text) for clip, text in measured.woken[:_MOST_PLAYED])
        yield section("Near misses that wake it", f'<ul class="clips">{items}</ul>')


def _share(found: Proportion) -> str:
    return f"{found.count} of {found.n} ({percent(found.rate, unit=' %')})" if found.n else "none"


def _player(clip: Path, text: str) -> str:
    sound = data_url(*read_audio(clip))
    return f'<li><div>{html.escape(text)}</div><audio controls preload="none" src="{sound}"></audio></li>'
