"""Targets that are files, except sounds: exported models, checkpoints, runs, lists, ground truth, archives."""

from __future__ import annotations

import errno
import gzip
import io
import json
import random
import shutil
import struct
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fuzzing.mutate import json_text, mutate_bytes, mutate_json, mutate_text, to_bytes
from fuzzing.runner import Check, Mutate, Target
from fuzzing.seeds import ROOT, made_models
from wordspot.errors import WordspotError

_OLD = ROOT / "tests" / "files" / "0.1"  # a small run and its exported file


def models(folder: Path) -> tuple[Mutate, Check]:
    """Exported files and their cards: read, loaded, self-tested, and run on a second of sound."""
    from wordspot.runtime.detector import Detector
    from wordspot.runtime.model import open_model, read_model
    from wordspot.runtime.modelfile import graph
    from wordspot.runtime.modelfile.card import KEY, read_card, to_json
    from wordspot.runtime.recordings import RecordingClassifier

    seeds = [(_OLD / "words.onnx").read_bytes(), *made_models(), read_model(None)[1]]
    cards = [to_json(read_card(seed)) for seed in seeds]

    def mutate(rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mutate_bytes(seeds, rng)
        number = rng.randrange(len(seeds))
        text = json_text(mutate_json(cards[number], rng), rng).encode(errors="surrogatepass")
        return graph.with_metadata(seeds[number], KEY, text.decode("utf-8", "replace"))

    def check(mutant: bytes) -> str:
        read_card(mutant)
        model = open_model(mutant)
        audio = np.zeros(model.card.sample_rate // 2, np.float32)
        if model.card.task.predicts_recordings:
            posteriors = RecordingClassifier(model).classify(audio, model.card.sample_rate).posteriors
        else:
            posteriors = Detector(model).feed_scored(audio)[1]
        assert np.isfinite(posteriors).all(), "scores that are not finite"
        return "loaded and run"

    return mutate, check


def checkpoints(folder: Path) -> tuple[Mutate, Check]:
    """A run's checkpoint: its bytes, its header, and the configuration within the header."""
    run = _copied_run(folder)
    path = next((run / "checkpoints").iterdir())
    seed = path.read_bytes()
    (size,) = struct.unpack("<Q", seed[:8])
    header, body = json.loads(seed[8 : 8 + size]), seed[8 + size :]

    def mutate(rng: random.Random) -> bytes:
        kind = rng.randrange(3)
        if kind == 0:
            return mutate_bytes([seed], rng)
        changed = dict(header)
        if kind == 1:
            changed = mutate_json(header, rng)
        else:
            config = mutate_json(json.loads(header["__metadata__"]["config"]), rng)
            changed["__metadata__"] = header["__metadata__"] | {"config": json_text(config, rng)}
        text = json_text(changed, rng).encode(errors="surrogatepass")
        return struct.pack("<Q", len(text)) + text + body

    return mutate, partial(_check_run, run, path)


def runs(folder: Path) -> tuple[Mutate, Check]:
    """The text files of a run's folder."""
    run = _copied_run(folder)
    names = ("config.json", "log.jsonl", "metrics.json", "data.csv", "labels.txt", "versions.json")
    seeds = {name: (run / name).read_text(encoding="utf-8") for name in names}

    def mutate(rng: random.Random) -> bytes:
        name = rng.choice(names)
        text = seeds[name]
        kind = rng.randrange(3)
        if kind and name.endswith(".json"):
            content = to_bytes(json_text(mutate_json(json.loads(text), rng), rng), rng)
        elif kind and name == "log.jsonl":
            lines = text.splitlines()
            at = rng.randrange(len(lines))
            lines[at] = json_text(mutate_json(json.loads(lines[at]), rng), rng)
            content = to_bytes("\n".join(lines), rng)
        elif kind:
            content = to_bytes(mutate_text(text, rng), rng)
        else:
            content = mutate_bytes([text.encode()], rng)
        return name.encode() + b"\n" + content

    def check(mutant: bytes) -> str:
        name, _, content = mutant.partition(b"\n")
        path = run / name.decode()
        try:
            return _check_run(run, path, content)
        finally:
            path.write_text(seeds[path.name], encoding="utf-8")

    return mutate, check


def _copied_run(folder: Path) -> Path:
    shutil.copytree(_OLD / "run", folder / "run")
    return folder / "run"


def _check_run(run: Path, path: Path, content: bytes) -> str:
    """Read a run whose file `path` holds `content`: each part alone, then its network."""
    import wordspot
    from wordspot.training.evaluate import judge_of_run

    path.write_bytes(content)
    opened, errors = wordspot.Run(run), []
    parts: tuple[Callable[[], Any], ...] = (
        lambda: opened.config, lambda: opened.step, lambda: opened.metrics, opened.log, opened.to_json,
    )  # fmt: skip
    for part in parts:
        try:
            part()
        except WordspotError as error:
            errors.append(error)
    judge_of_run(run, device="cpu")
    if errors:
        raise errors[0]
    return "loaded"


def manifests(folder: Path) -> tuple[Mutate, Check]:
    """CSV files of recordings."""
    from wordspot.data.manifest.rows import read_manifest, survey_manifest

    rows = [(f"{label}/{speaker}.wav", label, speaker) for label in ("lamp", "stop") for speaker in ("an", "bo", "cy")]
    for path, _, _ in rows:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).touch()
    header = ("path", "label", "speaker", "generator", "split")
    seeds = []
    for mark in ",;\t|":
        lines = [(*row, "human", split) for row, split in zip(rows, ("train", "val", "test") * 2, strict=True)]
        seeds.append("".join(mark.join(line) + "\n" for line in [header, *lines]))
    seeds.append('label,path\n"lamp","lamp/an.wav"\nlamp,"lamp/bo.wav"\nstop,stop\\an.wav\nstop,~/x.wav\nstop,stop/bo.wav\n')

    def check(mutant: bytes) -> str:
        path = folder / "list.csv"
        path.write_bytes(mutant)
        listed, conflicts = survey_manifest(path)
        for text in (*listed.problems, *conflicts):
            assert text.isprintable(), f"a line that is not printable: {text[:200]!r}"
        read_manifest(path)
        return "read"

    return partial(_mutate_texts, seeds), check


def truth(folder: Path) -> tuple[Mutate, Check]:
    """Ground-truth files of the three kinds; what is read is written and read again."""
    from wordspot.data.truth import KINDS, SpokenWord, read_truth, write_truth

    path = folder / "truth.txt"
    words = [
        SpokenWord("yes", 1000.0, 1400.0),
        SpokenWord("нет", 2500.5, None, "a.wav", 3.5),
        SpokenWord("a b", 4e3, 4.1e3),
    ]
    seeds = []
    for kind in KINDS:
        write_truth(path, words, kind)
        seeds.append(path.read_text(encoding="utf-8"))

    def check(mutant: bytes) -> str:
        path.write_bytes(mutant)
        read = read_truth(path)
        assert all(word.label == word.label.strip() and 0 <= word.start_ms <= 1e12 for word in read), read
        return "read"

    return partial(_mutate_texts, seeds), check


def _mutate_texts(seeds: Sequence[str], rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return mutate_bytes([seed.encode() for seed in seeds], rng)
    return to_bytes(mutate_text(rng.choice(seeds), rng, ",;\t|"), rng)


def archives(folder: Path) -> tuple[Mutate, Check]:
    """``.tar.gz`` archives: the bytes of the tar, its headers with mended checksums, or the bytes of the gzip."""
    from wordspot.data.unpack import unpack
    from wordspot.files import atomic_folder
    from wordspot.progress import ignore

    tars = [_tar(form) for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)]
    archive, out = folder / "archive.tar.gz", folder / "out"

    def mutate(rng: random.Random) -> bytes:
        kind = rng.randrange(4)
        if kind == 0:
            return mutate_bytes([gzip.compress(tar, 1, mtime=0) for tar in tars], rng)
        mutant = mutate_bytes(tars, rng)
        return gzip.compress(mutant if kind == 1 else _with_tar_checksums(mutant), 1, mtime=0)

    def check(mutant: bytes) -> str:
        archive.write_bytes(mutant)
        try:
            with atomic_folder(out) as place:
                unpack(archive, place, ignore)
            assert out.is_dir(), "nothing was unpacked"
            return "unpacked"
        except OSError as error:
            if isinstance(error, WordspotError):
                assert not out.exists(), "a folder is left of an archive that failed"
                raise
            if error.errno not in (errno.EFBIG, errno.ENAMETOOLONG):
                raise
            return f"rejected by the system, {errno.errorcode[error.errno]}"
        finally:
            shutil.rmtree(out, ignore_errors=True)
            assert [path.name for path in folder.iterdir()] == [archive.name], "files outside of the folder"

    return mutate, check


def _tar(form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, size in (
            ("./yes/a_nohash_0.wav", 700),
            ("no/b.wav", 10),
            ("no/" + "long" * 20 + ".wav", 3),
            ("empty", 0),
        ):
            member = tarfile.TarInfo(name)
            member.size = size
            tar.addfile(member, io.BytesIO(bytes(size)))
        for name, kind, target in (("link", tarfile.SYMTYPE, "no/b.wav"), ("hard", tarfile.LNKTYPE, "no/b.wav")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
        member = tarfile.TarInfo("folder")
        member.type = tarfile.DIRTYPE
        tar.addfile(member)
    return buffer.getvalue()


def _with_tar_checksums(data: bytes) -> bytes:
    """Every block that looks like a header gets the checksum that it should have."""
    mended = bytearray(data)
    for start in range(0, len(mended) - 511, 512):
        if mended[start + 257 : start + 262] == b"ustar":
            block = mended[start : start + 512]
            block[148:156] = b" " * 8
            mended[start + 148 : start + 156] = f"{sum(block):06o}\0 ".encode()
    return bytes(mended)


FILE_TARGETS = (
    Target("models", "exported files and their cards", models),
    Target("checkpoints", "checkpoints of a run", checkpoints),
    Target("runs", "configuration, log, metrics and lists of a run", runs),
    Target("manifests", "CSV files of recordings", manifests),
    Target("truth", "ground-truth files", truth),
    Target("archives", "tar.gz archives", archives),
)
