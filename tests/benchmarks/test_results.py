"""docs/results.md is made from benchmarks/results, and a new measurement keeps the text about it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from render import PAGE, load, markdown_table, render
from results import write_result


def test_the_page_of_results_is_made_from_the_files() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(load()), "run `python benchmarks/render.py`"


def test_every_result_says_how_it_was_measured() -> None:
    results = load()
    assert len({result["order"] for result in results}) == len(results) > 10
    for result in results:
        assert all(result[key] for key in ("command", "date", "versions", "tables")), result["title"]
        for table in result["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["columns"])}, result["title"]


def test_a_measurement_replaces_the_numbers_and_keeps_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/train_speed.py", "my data"])
    path = tmp_path / "speed.json"
    path.write_text(json.dumps({"order": 1, "title": "Speed", "about": ["Fast."], "tables": [], "date": "2020-01-01"}))
    write_result(path, {"speed": 7}, ("model", "speed"), [("conv", 7)])
    result = json.loads(path.read_text())
    assert result["title"] == "Speed"
    assert result["about"] == ["Fast."]
    assert result["measurements"] == {"speed": 7}
    assert result["command"].endswith("train_speed.py 'my data'")
    assert result["date"] > "2026"
    assert result["versions"]["numpy"]
    assert result["machine"]
    assert markdown_table(**result["tables"][0]) == "| model | speed |\n| --- | --- |\n| conv | 7 |"


def test_a_measurement_of_no_table_keeps_the_one_there_is(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    write_result(path, {}, ("a",), [("1",)])
    write_result(path, {"b": 2})
    assert json.loads(path.read_text())["tables"] == [{"columns": ["a"], "rows": [["1"]]}]
