"""``POST /v1/label``: the top labels of a sound file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from wordspot.audio.resample import resample
from wordspot.errors import ConfigError, WordspotError
from wordspot.runtime.detector import Classifier
from wordspot.runtime.label import top_labels
from wordspot.server.served import ServedModel, find_model
from wordspot.server.uploads import Uploads, check_length, read_bounded

DEFAULT_TOP, MAX_TOP = 3, 1000


def label_route(models: Sequence[ServedModel], uploads: Uploads) -> Callable[[Request], Awaitable[Response]]:
    """The handler of the requests."""
    max_seconds = uploads.max_seconds

    async def label(request: Request) -> Response:
        try:
            model = find_model(models, request.query_params.get("model"))
        except WordspotError as error:
            raise HTTPException(404, str(error)) from error
        top = _top(request.query_params.get("top", str(DEFAULT_TOP)))
        judge = _judge_recording if model.card.task.predicts_recordings else _judge_clip
        return JSONResponse(await uploads.judge(request, partial(judge, model, top, max_seconds)))

    return label


def _top(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_TOP):
        raise HTTPException(422, f"top must be a number from 1 to {MAX_TOP}, got {text[:20]!r}")
    return int(text)


def _judge_clip(model: ServedModel, top: int, max_seconds: float, path: Path) -> dict[str, Any]:
    """The labels of a clip, as `wordspot label` gives them: cropped or padded at its end."""
    card = model.card
    if card.task.predicts_steps:
        raise ConfigError(
            f"{model.name} detects {card.labels[-1]!r} in streams and does not label clips; use the WebSocket /v1/listen"
        )
    clip_s = card.clip_samples / card.sample_rate
    audio, rate = read_bounded(path, min(2 * clip_s, max_seconds))
    audio = resample(audio, rate, card.sample_rate)[: card.clip_samples]
    posteriors = Classifier(model.model).classify(audio)[0]
    return {"model": model.name, "labels": [one.to_json() for one in top_labels(card.labels, posteriors, top)]}


def _judge_recording(model: ServedModel, top: int, max_seconds: float, path: Path) -> dict[str, Any]:
    """The class of a whole recording, as `wordspot classify` gives it."""
    check_length(path, max_seconds)
    classifier = model.classifier
    result = classifier.classify_file(path)
    return {
        "model": model.name,
        "labels": [one.to_json() for one in top_labels(classifier.labels, result.posteriors, top)],
        "label": result.label,
        "score": round(result.score, 6),
        "doubts": [doubt.to_json() for doubt in result.doubts],
        "start_s": round(result.start_s, 3),
        "stop_s": round(result.stop_s, 3),
        "seconds": round(result.seconds, 3),
    }
