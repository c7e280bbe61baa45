"""Checkpoints and run folders: they are read back as written, damaged ones are rejected, and the best one is kept."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wordspot.config import RunConfig
from wordspot.errors import CheckpointError, ConfigError, NotFoundError, WordspotError
from wordspot.overrides import to_json
from wordspot.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from wordspot.training.log import trained_on
from wordspot.training.run_folder import RunFolder

CONFIG = RunConfig(words=("汪汪叫", "喵喵喵"))


def make(step: int, best_step: int = 0) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    weights = {"layer.weight": torch.randn(3, 4, generator=generator), "layer.bias": torch.zeros(3)}
    optimizer = {"0.momentum_buffer": torch.randn(3, 4, generator=generator), "0.step": torch.tensor(7.0)}
    return Checkpoint(CONFIG, step, best_step, 1 / 3, weights, optimizer)


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", make(5, 4))
    loaded = load_checkpoint(tmp_path / "a.safetensors")
    assert (loaded.config, loaded.step, loaded.best_step, loaded.best_score) == (CONFIG, 5, 4, 1 / 3)
    original = make(5, 4)
    for name, tensor in (original.weights | original.optimizer).items():
        assert torch.equal((loaded.weights | loaded.optimizer)[name], tensor)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file; expected a checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 4) + b"[[]]",
        struct.pack("<Q", 3) + b"nul",
    ],
)
def test_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="expected a"):
        load_checkpoint(tmp_path / "x.safetensors")


def test_a_configuration_from_a_newer_version(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    config = to_json(CONFIG) | {"config_version": 99}
    metadata = {"config": json.dumps(config), "step": "1", "best_step": "0", "best_score": "0"}
    save_file({"model.a": torch.zeros(1)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(ConfigError, match=r"has version 99.*install a newer wordspot"):
        load_checkpoint(tmp_path / "x.safetensors")


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
@pytest.mark.slow
def test_a_damaged_file_is_rejected_or_still_a_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, place: float, byte: int, cut: bool
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.safetensors"
    save_checkpoint(path, make(5, 4))
    content = bytearray(path.read_bytes())
    position = int(place * (len(content) - 1))
    content[position] = byte
    path.write_bytes(bytes(content[:position]) if cut else bytes(content))
    try:
        loaded = load_checkpoint(path)
    except WordspotError:
        return
    assert isinstance(loaded.step, int)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    path = tmp_path / "a.safetensors"
    save_checkpoint(path, make(1))

    def fill_disk(_tensors: object, target: Path, _metadata: object) -> None:
        Path(target).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fill_disk)
    with pytest.raises(OSError, match=r"a\.safetensors"):
        save_checkpoint(path, make(2))
    assert load_checkpoint(path).step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def fill(run: RunFolder, best: dict[int, int]) -> None:
    for step, best_step in best.items():
        save_checkpoint(run.checkpoint_path(step), make(step, best_step))


def test_pruning_keeps_the_newest_and_every_best_they_know(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    fill(run, {1: 0, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4})
    run.prune(3)
    assert run.steps() == [4, 5, 6]
    fill(run, {7: 4})
    run.prune(1)
    assert run.steps() == [4, 7]
    assert run.load().step == 4
    assert run.load(7).step == 7


def test_a_best_that_an_older_kept_checkpoint_knows_stays(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    fill(run, {2: 2, 3: 2, 4: 2, 5: 5})
    run.prune(2)
    assert run.steps() == [2, 4, 5]  # resuming from 4 needs the best as of then


def test_which_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with pytest.raises(NotFoundError, match="has no checkpoint; train first"):
        run.load()
    fill(run, {3: 0})
    assert run.load().step == 3
    with pytest.raises(NotFoundError, match="no checkpoint of step 4; those kept: 3"):
        run.load(4)


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="is not the folder of a run"):
        RunFolder(tmp_path).read_config()


def test_config_and_labels(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_config(CONFIG)
    assert run.read_config() == CONFIG
    labels = (tmp_path / "labels.txt").read_text(encoding="utf-8")
    assert labels.split() == ["_silence_", "_unknown_", "汪汪叫", "喵喵喵"]


def test_what_came_after_is_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    fill(run, {2: 0, 4: 0})
    lines = [{"step": step, "kind": "step"} for step in range(1, 6)]
    run.log.write_text("\n".join(json.dumps(line) for line in lines) + '\n{"step": 6, "ki', encoding="utf-8")
    assert [line["step"] for line in run.read_log()] == [1, 2, 3, 4, 5]
    run.drop_after(2)
    assert run.steps() == [2]
    assert run.log.read_text(encoding="utf-8") == '{"step": 1, "kind": "step"}\n{"step": 2, "kind": "step"}\n'


def test_a_configuration_that_is_nested_too_deeply(tmp_path: Path) -> None:
    config = "[" * 50_000 + "]" * 50_000
    header = json.dumps({"__metadata__": {"config": config, "step": "1", "best_step": "0", "best_score": "0"}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize("line", [b"[" * 50_000, b'{"step": 1e999}', b"[1]", b'{"step": null}', b"\x1b"])
def test_a_line_of_the_log_that_is_none_is_left_out(tmp_path: Path, line: bytes) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n')
    assert folder.read_log() == [{"step": 1}, {"step": 2}]


def test_a_log_that_is_no_text(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.log.write_bytes(b'{"step": 1}\n\xff\xfe')
    for read in (folder.read_log, lambda: folder.drop_after(1)):
        with pytest.raises(WordspotError, match=r"log\.jsonl is damaged: expected text in UTF-8"):
            read()


@pytest.mark.parametrize(
    "listing",
    [
        b"\xff\xfe", b"set,label\ntraining,yes\n", b"set,sha256\ntraining,00\n", b"set,label,path,sha256\ntraining,yes\n",
        b'set,label,path,sha256\ntraining,"' + b"a" * 140_000,
    ],
)  # fmt: skip
def test_a_damaged_list_of_a_run(tmp_path: Path, listing: bytes) -> None:
    (tmp_path / "data.csv").write_bytes(listing)
    with pytest.raises(WordspotError, match=r"data\.csv is damaged"):
        trained_on(tmp_path)
