"""What was kept is sorted by the answers of whoever hears it, and never lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wordspot as ws
from wordspot.errors import ConfigError, NotFoundError
from wordspot.runtime.kept_files import KeptFile, list_kept
from wordspot.runtime.review import review

NAMES = (
    "20261129-181500-a-0.93.wav",
    "nearly/20261129-181501-hey lamp-0.31.wav",
    "Kitchen/20261129-181502-a-0.75.wav",
    "Kitchen/nearly/20261129-181503-a-0.25.wav",
)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    for name in (*NAMES, "holiday.wav", "notes/20261129-181500.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder, and its content, which is its first name."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_each_is_moved_where_the_answer_says(kept: Path) -> None:
    answers, asked, played = iter(["meant", "replay", "meant", "not-meant", "skip"]), [], []

    def ask(file: KeptFile, n_left: int) -> str:
        asked.append((file.label, file.score, file.is_near, n_left))
        return next(answers)

    result = ws.review(kept, ask, lambda file: played.append(file.path.relative_to(kept).as_posix()))
    assert asked == [
        ("a", 0.93, False, 4),
        ("hey lamp", 0.31, True, 3),
        ("hey lamp", 0.31, True, 3),
        ("a", 0.75, False, 2),
        ("a", 0.25, True, 1),
    ]
    assert played == [NAMES[0], NAMES[1], NAMES[1], NAMES[2], NAMES[3]]
    assert files(kept) == {
        "meant/a/20261129-181500-a-0.93.wav": NAMES[0],
        "meant/hey lamp/20261129-181501-hey lamp-0.31.wav": NAMES[1],
        "not-meant/20261129-181502-a-0.75.wav": NAMES[2],
        NAMES[3]: NAMES[3],
        "holiday.wav": "holiday.wav",
        "notes/20261129-181500.wav": "notes/20261129-181500.wav",
    }
    assert json.loads(json.dumps(result.to_json())) == {"folder": str(kept), "n_meant": 2, "n_not_meant": 1, "n_left": 1}


def test_a_review_goes_on_where_it_was_left(kept: Path) -> None:
    first = review(kept, lambda file, n_left: "quit" if n_left == 2 else "not-meant")
    assert (first.n_not_meant, first.n_left) == (2, 2)
    asked: list[str] = []

    def interrupted(file: KeptFile, n_left: int) -> str:
        asked.append(file.time[-2:])
        if n_left == 1:
            raise KeyboardInterrupt
        return "meant"

    with pytest.raises(KeyboardInterrupt):
        review(kept, interrupted)
    assert asked == ["02", "03"]
    assert [file.time[-2:] for file in list_kept(kept)] == ["03"]


def test_nothing_is_overwritten(kept: Path) -> None:
    taken = kept / "not-meant" / Path(NAMES[0]).name
    taken.parent.mkdir()
    taken.write_text("before")
    review(kept, lambda file, n_left: "not-meant")
    assert taken.read_text() == "before"
    assert (taken.parent / "20261129-181500-a-0.93-2.wav").read_text() == NAMES[0]
    assert review(kept, lambda file, n_left: "quit").n_left == 0  # what was sorted is not asked about again


def test_what_was_removed_in_the_meantime_is_passed_over(kept: Path) -> None:
    def ask(file: KeptFile, n_left: int) -> str:
        (kept / NAMES[0]).unlink(missing_ok=True)
        (kept / NAMES[2]).unlink(missing_ok=True)
        return "meant"

    result = review(kept, ask)
    assert (result.n_meant, result.n_left) == (2, 0)


def test_a_satellites_folder_alone(kept: Path) -> None:
    review(kept / "Kitchen", lambda file, n_left: "meant")
    assert {name for name in files(kept) if "meant" in name} == {
        f"Kitchen/meant/a/{Path(name).name}" for name in (NAMES[2], NAMES[3])
    }


def test_wrong_answers_and_folders(kept: Path) -> None:
    with pytest.raises(ConfigError, match="`ask` must return one of meant, not-meant, skip, replay, quit, got 'yes'"):
        review(kept, lambda file, n_left: "yes")
    with pytest.raises(NotFoundError, match="none: no such folder; expected what `wordspot listen --save` kept"):
        review(kept / "none", lambda file, n_left: "skip")
