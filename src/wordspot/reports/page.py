"""The parts of a report's HTML page: sections, tables, playable sound. The page is one self-contained file."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wordspot.audio.files import encode_wav
from wordspot.audio.samples import Samples
from wordspot.evaluation.results import EvaluationResult
from wordspot.files import write_text


def write_page(path: Path, title: str, parts: Sequence[str]) -> None:
    """Write a page of `parts` (HTML) atomically; `title` is text."""
    write_text(path, _PAGE.format(title=html.escape(title), body="\n".join(parts)))


def fact_boxes(facts: Sequence[tuple[str, str]]) -> str:
    """A row of boxes from (name, value) pairs."""
    boxes = "".join(f"<div><b>{html.escape(value)}</b><span>{html.escape(name)}</span></div>" for name, value in facts)
    return f'<div class="facts">{boxes}</div>'


def section(title: str, body: str) -> str:
    """HTML under a heading; `title` is text."""
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of text and numbers; the first column is left-aligned, the others right-aligned."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def data_url(audio: Samples, sample_rate: int) -> str:
    """A ``data:`` URL of a WAV file, from float32 [samples]."""
    return f"data:audio/wav;base64,{base64.b64encode(encode_wav(audio, sample_rate)).decode()}"


def source_line(result: EvaluationResult) -> str:
    """Which model was evaluated on what, as a paragraph."""
    checkpoint = "" if result.step is None else f", checkpoint of step {result.step}"
    return (
        f"<p>Model <code>{html.escape(result.model)}</code>{checkpoint}, on the {result.split} set of "
        f"<code>{html.escape(result.data)}</code>.</p>"
    )


def left_out_section(problems: Sequence[str]) -> list[str]:
    """A section of the recordings that could not be used, if there are any."""
    items = "".join(f"<li>{html.escape(problem)}</li>" for problem in problems)
    return [section("Recordings left out", f"<ul>{items}</ul>")] if problems else []


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
.notice {{ border-left: .3rem solid #c50; padding: .4rem .8rem; background: var(--soft); font-weight: 600; }}
.facts {{ display: flex; flex-wrap: wrap; gap: .8rem; }}
.facts div {{ border: 1px solid var(--edge); border-radius: .5rem; padding: .6rem 1rem; }}
.facts b {{ display: block; font-size: 1.25rem; }}
.facts span {{ opacity: .75; font-size: .85rem; }}
svg {{ display: block; max-width: 100%; height: auto; background: white; border-radius: .5rem; margin: .5rem 0; }}
svg text {{ font-family: system-ui, sans-serif; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--edge); }}
th {{ vertical-align: bottom; }}
td {{ white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0; }}
th {{ font-weight: 600; font-size: .9rem; }}
code {{ font-size: .85em; overflow-wrap: anywhere; }}
.clips {{ list-style: none; padding: 0; display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }}
.clips li {{ background: var(--soft); border-radius: .5rem; padding: .6rem .8rem; }}
.clips audio {{ width: 100%; height: 2.2rem; margin-top: .3rem; display: block; }}
.clips code {{ display: block; opacity: .75; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""
