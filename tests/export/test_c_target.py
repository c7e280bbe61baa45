"""`wordspot export --target c`: a folder that compiles, tests itself and detects, and files that it rejects."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wordspot as ws
from support.command_line import fails, run
from support.made_engine import compiled
from support.made_exports import export_made
from wordspot.config import DecoderConfig
from wordspot.errors import ConfigError, ExportError
from wordspot.export.c_target import engine_model
from wordspot.runtime.modelfile.card import read_card, with_card
from wordspot.runtime.modelfile.engine.blob import make_blob, rounded
from wordspot.runtime.modelfile.engine.recognise import recognise
from wordspot.runtime.modelfile.graph import walk

PRINT_SIZES = """
#include <stdio.h>
#include "wordspot_model.h"
int main(void) {
    return printf("%zu %zu", (size_t)WORDSPOT_STATE_BYTES, ws_size(wordspot_model, WORDSPOT_MODEL_BYTES)) < 0;
}
"""
OLD = Path(__file__).parents[1] / "files" / "0.1" / "words.onnx"


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags", [("-O2",), ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"), ("-O2", "-DWS_LANES=1")]
)
def test_the_folder_compiles_and_passes_its_self_test(tmp_path: Path, flags: tuple[str, ...]) -> None:
    exported = ws.export_c(OLD, tmp_path / "c")
    sources = sorted(exported.folder.glob("*.c"))
    program = compiled(tmp_path / "test", sources, f"-I{exported.folder}", *flags)
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"self-test: difference [\d.e-]+, tolerance 0.0001: passed\n", done.stdout)


@pytest.mark.slow
def test_the_sizes_stated_are_those_of_the_engine(tmp_path: Path) -> None:
    """The exporter states the memory of a stream without a compiler; the engine must need no more, and not much less."""
    local = export_made("residual_1d", model__dilations="1", model__n_local=20).model
    for data in (OLD.read_bytes(), export_made("trigger_1d", model__dilations="1,4").model, local):
        exported = ws.export_c(data, tmp_path / "c", force=True)
        model, card = engine_model(data)
        blob = make_blob(model, card)
        assert exported.model_bytes == len(blob)
        for lanes, n_hops in ((1, 1), (4, 1), (4, 24)):
            flags = ("-O1", f"-DWS_LANES={lanes}", f"-DWS_BATCH={n_hops}")
            (tmp_path / "print.c").write_text(PRINT_SIZES)
            sources = [path for path in sorted(exported.folder.glob("*.c")) if path.name != "main.c"]
            program = compiled(tmp_path / "print", [*sources, tmp_path / "print.c"], f"-I{exported.folder}", *flags)
            stated, needed = map(int, subprocess.run([program], capture_output=True, text=True, check=True).stdout.split())
            assert stated - 64 * 25 <= needed <= stated  # an array is padded by up to 64 bytes
            if lanes == 1:
                assert 0 <= stated - exported.state_bytes <= 1024  # pointers are larger here


def test_multiply_adds_are_those_counted_by_hand() -> None:
    """A residual_1d of 8 channels: stem 3 · 40 · 8, five blocks of 9 · 8 + 2 · 8 · 16, output 8 · 4."""
    model, card = engine_model(OLD)
    assert len(card.labels) == 4
    assert model.multiply_adds == 960 + 5 * (72 + 256) + 32
    local = engine_model(export_made("residual_1d", model__dilations="1", model__n_channels=8, model__n_local=6).model)[0]
    # 20 rows of 5 * 3 * 3, 10 of 5 * 3 * 6, and 60 inputs joined to 8
    assert local.multiply_adds == 960 + (900 + 900 + 480) + (72 + 256) + 32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("gru", {}, "another graph (network gru, front end logmel)"),
        (
            "residual_1d",
            {"features__kind": "mfcc", "model__n_channels": 16},
            "another graph (network residual_1d, front end mfcc)",
        ),
        ("residual_1d", {"model__n_local": 64, "model__dilations": "1"}, "640 local patterns of a frame (expected 1 to 512)"),
    ],
)
def test_a_network_that_the_engine_does_not_know_is_rejected(
    name: str, settings: dict[str, Any], match: str, tmp_path: Path
) -> None:
    data = export_made(name, **settings).model
    with pytest.raises(ExportError, match=f"{re.escape(match)}; the C engine runs streaming files of") as caught:
        ws.export_c(data, tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"kind": "clip"}, "scores clips and does not stream"),
        ({"step_samples": 80}, "moves by 160 samples and keeps 320"),
        ({"decoder": DecoderConfig(average_ms=700_000.0)}, "70000 rows in the decoder's mean"),
    ],
)
def test_a_card_that_the_engine_cannot_follow_is_rejected(changes: dict[str, Any], match: str) -> None:
    data = OLD.read_bytes()
    with pytest.raises(ExportError, match=match):
        recognise(walk(data), dataclasses.replace(read_card(data), **changes))


def test_a_file_whose_scores_are_not_those_of_its_operators_is_rejected(tmp_path: Path) -> None:
    """The card's expected scores are shifted, as if the network were another one."""
    data = OLD.read_bytes()
    card = read_card(data)
    rows = tuple(tuple(np.roll(row, 1).tolist()) for row in card.self_test.log_posteriors)
    object.__setattr__(card.self_test, "log_posteriors", rows)
    with pytest.raises(ExportError, match="gives other scores than its operators suggest"):
        ws.export_c(with_card(data, card), tmp_path / "c")


@cache
def in_8_bits() -> tuple[bytes, bytes]:
    """A network as a file in float32 and as one in int8."""
    made = export_made("residual_1d", int8=True, model__n_channels=32, model__n_local=40, model__dilations="1,2")
    assert made.int8 is not None
    return made.model, made.int8


def test_weights_of_a_file_in_8_bits_are_not_rounded_again() -> None:
    """Both files become the same whole numbers and factors.

    The scores that the self-test expects differ, and so do the local patterns: the engine has the first of them in float32.
    """
    blobs = []
    for data in in_8_bits():
        model, card = engine_model(data)
        blobs.append(make_blob(replace(model, local=None), card, "int8", rows=np.ones((len(card.self_test.ends), 4))))
    assert blobs[0] == blobs[1]
    model, _ = engine_model(in_8_bits()[1])
    for part in (model.stem, model.blocks[0].wider, model.blocks[1].narrower):
        np.testing.assert_allclose(rounded(part.weights), part.weights, rtol=2**-23)  # the factors are float32


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_file_in_8_bits_is_written_as_any_other(weights: str, tmp_path: Path) -> None:
    made = [ws.export_c(data, tmp_path / name, weights=weights) for name, data in zip("fi", in_8_bits(), strict=True)]
    assert made[0].to_json() | {"folder": ""} == made[1].to_json() | {"folder": ""}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda factors: factors * np.float32(np.nan), "weights that are not finite numbers"),
        (lambda factors: factors * np.float32(1.5), "gives other scores than its operators suggest"),
    ],
)
def test_a_file_in_8_bits_with_wrong_factors_is_rejected(change: Any, match: str, tmp_path: Path) -> None:
    data = in_8_bits()[1]
    factors = next(one for one in walk(data).initializers if one.element_type == "float32" and one.shape == (64, 1, 1, 1))
    raw = factors.data.tobytes()
    damaged = data.replace(raw, change(np.frombuffer(raw, "<f4")).astype("<f4").tobytes())
    assert damaged != data
    with pytest.raises(ExportError, match=match) as caught:
        ws.export_c(damaged, tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_files_in_the_way_and_unknown_weights_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("mine")
    with pytest.raises(ConfigError, match="contains files"):
        ws.export_c(OLD, tmp_path)
    with pytest.raises(ConfigError, match="`weights` must be float32 or int8, got 'int4'"):
        ws.export_c(OLD, tmp_path / "c", weights="int4")


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, error = run(capsys, "export", OLD, "--target", "c", "--out", tmp_path / "c", "--json")
    assert (status, error) == (0, "")
    written = json.loads(out)
    assert written["multiply_adds"] == 2632
    assert written["model_bytes"] == 4 * (tmp_path / "c" / "wordspot_model.c").read_text().count("0x")
    readme = (tmp_path / "c" / "README.md").read_text()
    assert f"{written['model_bytes'] / 1000:.0f} kB of data" in readme
    assert "2,632 multiply-adds a hop" in readme
    fails(capsys, "contains files", "export", OLD, "--target", "c", "--out", tmp_path / "c")
    fails(capsys, "takes an exported file", "export", tmp_path, "--target", "c", "--out", tmp_path / "d")
    fails(capsys, "--int8 belongs to --target onnx", "export", OLD, "--target", "c", "--int8", "--out", tmp_path / "d")
    fails(capsys, "--weights belongs to --target c", "export", tmp_path, "--weights", "int8", "--out", tmp_path / "d.onnx")
