"""One HTML page with everything in it: figures, charts, and the clips the network was most wrong about, playable."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wordspot import charts
from wordspot.audio import Samples, encode_wav
from wordspot.files import write_text
from wordspot.metrics import det_curve


@dataclass(frozen=True)
class ConfusedClip:
    """A clip that was answered wrongly. audio: float32 [samples]; posterior: of the answer."""

    name: str
    truth: str
    answer: str
    posterior: float
    audio: Samples


def most_confused(truth: NDArray[np.int64], posteriors: NDArray[np.float64], n: int = 24) -> list[int]:
    """Positions of the clips that were answered wrongly, the surest answers first."""
    wrong = np.flatnonzero(posteriors.argmax(axis=1) != truth)
    return [int(i) for i in wrong[np.argsort(-posteriors[wrong].max(axis=1), kind="stable")][:n]]


def write_report(
    path: Path,
    measures: dict[str, Any],
    truth: NDArray[np.int64],
    posteriors: NDArray[np.float64],
    log: Sequence[dict[str, Any]],
    confused: Sequence[ConfusedClip],
    sample_rate: int,
) -> None:
    """Write the page atomically.

    Args:
        path: the HTML file.
        measures: what `evaluation.measure_clips` gives, with ``model``, ``step``, ``data``, ``split``, ``left_out``.
        truth: int64 [n].
        posteriors: float64 [n, labels].
        log: the run's log, for the learning curves; may be empty.
        confused: clips to listen to.
        sample_rate: of their audio, Hz.
    """
    labels = measures["labels"]
    curves = {
        label: det_curve(posteriors[:, i], truth == i)
        for i, label in enumerate(labels)
        if 0 < (truth == i).sum() < len(truth)
    }
    parts = [_summary(measures)]
    if any(line["kind"] == "step" for line in log):
        parts.append(_section("Learning", charts.draw_learning(log)))
    parts += [
        _section("Confusion", charts.draw_confusion(labels, measures["confusion"])),
        _section("Per label", _label_table(measures)),
        _section("Most confused clips", _clip_list(confused, sample_rate)),
        _section("Errors by threshold", charts.draw_error_curves(curves)),
        _section("Calibration", _calibration_text(measures) + charts.draw_calibration(measures["calibration"])),
        _section("Speakers", _speaker_table(measures)),
    ]
    if measures.get("left_out"):
        items = "".join(f"<li>{html.escape(problem)}</li>" for problem in measures["left_out"])
        parts.append(_section("Recordings left out", f"<ul>{items}</ul>"))
    title = f"wordspot: {Path(measures['model']).name}"
    write_text(path, _PAGE.format(title=html.escape(title), body="\n".join(parts)))


def _summary(measures: dict[str, Any]) -> str:
    facts = (
        ("accuracy", _percent(measures["accuracy"])),
        ("95 % interval", f"{_percent(measures['accuracy_low'])} to {_percent(measures['accuracy_high'])}"),
        ("keywords alone", _percent(measures["keyword_accuracy"])),
        ("clips", f"{measures['n']:,}"),
        ("speakers", f"{measures['speakers']['n']:,}"),
    )
    boxes = "".join(f"<div><b>{html.escape(value)}</b><span>{name}</span></div>" for name, value in facts)
    source = (
        f"Run <code>{html.escape(measures['model'])}</code>, checkpoint of step {measures['step']}, on the "
        f"{measures['split']} set of <code>{html.escape(measures['data'])}</code>."
    )
    caution = (
        "The interval takes the clips for independent. Takes of one speaker are not quite, so with few speakers it is too "
        "narrow."
    )
    return f'<p>{source}</p><div class="facts">{boxes}</div><p><small>{caution}</small></p>'


def _label_table(measures: dict[str, Any]) -> str:
    rows = [
        (label, row["n"], _percent(row["precision"]), _percent(row["recall"]),
         f"{_percent(row['recall_low'])} to {_percent(row['recall_high'])}", _percent(row["equal_error_rate"]))
        for label, row in measures["per_label"].items()
    ]  # fmt: skip
    return _table(("label", "clips", "precision", "recall", "95 % interval of recall", "equal error rate"), rows)


def _speaker_table(measures: dict[str, Any]) -> str:
    speakers = measures["speakers"]
    if not speakers["n"]:
        return "<p>No clip names its speaker.</p>"
    low, middle, high = (_percent(value) for value in speakers["quartiles"])
    text = (
        f"<p>Accuracy over {speakers['n']} speakers, each counting once: mean {_percent(speakers['mean'])}, quartiles "
        f"{low}, {middle} and {high}. Those heard worst:</p>"
    )
    rows = [(row["speaker"], row["n"], _percent(row["accuracy"])) for row in speakers["worst"]]
    return text + _table(("speaker", "clips", "accuracy"), rows)


def _calibration_text(measures: dict[str, Any]) -> str:
    error = _percent(measures["calibration"]["error"])
    return f"<p>The network's sureness is off by {error} on average. On the dashed line it would be exact.</p>"


def _clip_list(confused: Sequence[ConfusedClip], sample_rate: int) -> str:
    if not confused:
        return "<p>None: every clip was answered rightly.</p>"
    items = "".join(
        f"<li><div><b>{html.escape(clip.truth)}</b> heard as <b>{html.escape(clip.answer)}</b> "
        f"({_percent(clip.posterior)} sure)</div><code>{html.escape(clip.name)}</code>"
        f'<audio controls preload="none" src="{_data_url(clip.audio, sample_rate)}"></audio></li>'
        for clip in confused
    )
    return f'<ul class="clips">{items}</ul>'


def _data_url(audio: Samples, sample_rate: int) -> str:
    return f"data:audio/wav;base64,{base64.b64encode(encode_wav(audio, sample_rate)).decode()}"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{column}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --edge: #8884; --soft: #8881; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.6rem; }}
h2 {{ font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--edge); padding-bottom: .2rem; }}
.facts {{ display: flex; flex-wrap: wrap; gap: .8rem; }}
.facts div {{ border: 1px solid var(--edge); border-radius: .5rem; padding: .6rem 1rem; }}
.facts b {{ display: block; font-size: 1.25rem; }}
.facts span {{ opacity: .75; font-size: .85rem; }}
svg {{ display: block; max-width: 100%; height: auto; background: white; border-radius: .5rem; margin: .5rem 0; }}
svg text {{ font-family: system-ui, sans-serif; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ white-space: nowrap; text-align: right; padding: .25rem .8rem; border-bottom: 1px solid var(--edge); }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
th {{ font-weight: 600; font-size: .9rem; }}
code {{ font-size: .85em; overflow-wrap: anywhere; }}
.clips {{ list-style: none; padding: 0; display: grid; gap: .8rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }}
.clips li {{ background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }}
.clips audio {{ width: 100%; height: 2.2rem; margin-top: .3rem; display: block; }}
.clips code {{ display: block; opacity: .75; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
