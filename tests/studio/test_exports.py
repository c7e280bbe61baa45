"""Each way to take a model away gives what its command writes, or says why it cannot and what to do."""

from __future__ import annotations

import dataclasses
import io
import json
import shlex
import zipfile
from pathlib import Path

import pytest

from support.made_onnx import made_model
from wordspot.commands.main import build_parser
from wordspot.errors import ExportError
from wordspot.files import write_json
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.studio import exports
from wordspot.studio.exports import exports_json, make_export
from wordspot.studio.project import StudioFolder, StudioProject
from wordspot.studio.versions import Version, list_versions, set_threshold

pytest.importorskip("torch")


def version_of(project: StudioProject, model: bytes, words: list[str]) -> Version:
    project.versions.mkdir()
    (project.versions / "1.onnx").write_bytes(model)
    write_json(project.versions / "1.json", {"number": 1, "words": words})
    return list_versions(project)[0]


@pytest.fixture
def project(tmp_path: Path) -> StudioProject:
    return StudioFolder(tmp_path).create("hey lamp")


@pytest.fixture
def micro(project: StudioProject) -> Version:
    """A model of one word with files for ESPHome, whose threshold was changed since."""
    project.add_word("lamp")
    model = made_model(labels=("_silence_", "_unknown_", "_other_", "lamp"))
    version = version_of(project, model, ["lamp"])
    version.esphome.mkdir()
    (version.esphome / "lamp.tflite").write_bytes(b"network")
    write_json(
        version.esphome / "lamp.json", {"wake_word": "lamp", "micro": {"probability_cutoff": 0.7, "sliding_window_size": 5}}
    )
    set_threshold(version, 0.25)
    return version


def test_every_command_is_one(project: StudioProject, micro: Version) -> None:
    rows = {row["kind"]: row for row in exports_json(project, micro)}
    assert set(rows) == {"python", "home-assistant", "esphome", "page", "wasm", "c"}
    for row in rows.values():
        program, *words = shlex.split(row["command"])
        args = build_parser().parse_args(words)
        assert (program, row["obstacle"]) == ("wordspot", "")
        expected = "microcontroller" if row["kind"] == "esphome" else str(micro.model)
        assert expected in repr(vars(args))
    outs = [shlex.split(row["command"])[-1] for row in rows.values() if "export" in row["command"]]
    assert outs == ["hey lamp-page", "hey lamp-wasm", "hey lamp-c"]


def test_a_model_for_esphome(project: StudioProject, micro: Version) -> None:
    name, content = make_export(project, micro, "esphome")
    assert name == "hey-lamp-1-esphome.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        assert packed.namelist() == ["hey lamp/lamp.json", "hey lamp/lamp.tflite"]
        manifest = json.loads(packed.read("hey lamp/lamp.json"))
    assert manifest == {"wake_word": "lamp", "micro": {"probability_cutoff": 0.25, "sliding_window_size": 5}}


def test_a_model_that_esphome_cannot_run(project: StudioProject) -> None:
    version = version_of(project, made_model(), ["a", "b"])
    (row,) = [row for row in exports_json(project, version) if row["kind"] == "esphome"]
    assert row["obstacle"].startswith("ESPHome detects one word, and this model has 2. Begin a project with one word")
    with pytest.raises(ExportError, match="ESPHome detects one word"):
        make_export(project, version, "esphome")
    one = dataclasses.replace(read_card(version.model), labels=("_silence_", "_unknown_", "_other_", "a"))
    version.model.write_bytes(with_card(version.model.read_bytes(), one))
    with pytest.raises(ExportError, match="Under “Train”, choose “ESPHome”"):
        make_export(project, version, "esphome")


def test_an_error_names_no_temporary_path(project: StudioProject, monkeypatch: pytest.MonkeyPatch) -> None:
    version = version_of(project, made_model(), ["a", "b"])

    def fail(model: Path, version: Version, out: Path) -> None:
        raise ExportError(f"{model}: the network cannot be exported; {out} was not written")

    monkeypatch.setitem(exports.EXPORTS, "c", dataclasses.replace(exports.EXPORTS["c"], write=fail))
    with pytest.raises(ExportError, match=r"^hey lamp\.onnx: the network cannot be exported; hey lamp was not written$"):
        make_export(project, version, "c")
