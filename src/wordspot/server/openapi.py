"""What the server offers over HTTP, as OpenAPI 3.1. A test compares it with the routes and with what they answer."""

from __future__ import annotations

from typing import Any

from wordspot import __version__
from wordspot.server.config import ServerSettings
from wordspot.server.label import DEFAULT_TOP, MAX_TOP
from wordspot.server.record import MAX_TAKE

_NAME = {"type": "string"}
_NUMBER = {"type": "number"}
_LABELS = {"type": "array", "items": {"type": "string"}}


def describe(settings: ServerSettings) -> dict[str, Any]:
    """The description of a server with these settings."""
    paths: dict[str, Any] = {
        "/": {"get": _get("The page.", "text/html")},
        "/{path}": {"get": _get("A file of the page.", "*/*", [_path("path")], missing=True)},
        "/models.json": {"get": _get("The models with their cards, for the page.", schema=_listing("Description"))},
        "/models/{name}.onnx": {
            "get": _get("A model's file.", "application/octet-stream", [_path("name")], missing=True)
        },
        "/healthz": {"get": _get("Whether the server answers.", schema=_object(status=_NAME))},
        "/metrics": {"get": _get("Counts, as Prometheus reads them.", "text/plain")},
        "/openapi.json": {"get": _get("This description.", schema={"type": "object"})},
        "/v1/models": {"get": _get("The models.", schema=_listing("Model"))},
        "/v1/listen": {"get": _listen()},
        "/v1/label": {"post": _label(settings)},
    }
    if settings.record_dir is not None:
        paths["/v1/record"] = {"post": _record(settings)}
    if settings.token:
        for path, methods in paths.items():
            for operation in methods.values():
                if path.startswith("/v1/"):
                    operation["security"] = [{"token": []}]
                    operation["responses"]["401"] = _problem("The token is missing or wrong.")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "wordspot", "version": __version__, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Words in sound, by the models that this server was started with.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }  # fmt: skip


def _schemas() -> dict[str, Any]:
    model = _object(
        name=_NAME, labels=_LABELS, sample_rate={"type": "integer"}, kind={"enum": ["stream", "clip"]},
        task={"enum": ["words", "trigger", "recordings"]}, bytes={"type": "integer"}, sha256=_NAME,
    )  # fmt: skip
    more = _object(file=_NAME, card={"type": "object"})
    answer = _object(model=_NAME, labels={"type": "array", "items": _object(label=_NAME, score=_NUMBER)})
    whole = dict.fromkeys(("score", "start_s", "stop_s", "seconds"), _NUMBER)
    answer["properties"] |= {"label": {**_NAME, "description": "of a whole recording"}, **whole}
    return {
        "Model": model,
        "Description": {"allOf": [{"$ref": "#/components/schemas/Model"}, more]},
        "Answer": answer,
        "Error": _object(error=_NAME),
    }


def _label(settings: ServerSettings) -> dict[str, Any]:
    size = f"at most {settings.max_upload_bytes} bytes and {settings.max_upload_seconds:g} s"
    return {
        "summary": "The top labels of a sound file.",
        "description": f"A clip, or a whole recording for a model of the task recordings; {size}.",
        "parameters": [
            _query("model", _NAME, "its name; the first where it is left out"),
            _query("top", {"type": "integer", "minimum": 1, "maximum": MAX_TOP, "default": DEFAULT_TOP}, "labels"),
        ],
        "requestBody": _body({
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {"schema": _object(file={"type": "string", "format": "binary"})},
        }),
        "responses": {
            "200": _answer("application/json", {"$ref": "#/components/schemas/Answer"}),
            "404": _problem("No such model."), **_upload_problems(),
        },
    }  # fmt: skip


def _record(settings: ServerSettings) -> dict[str, Any]:
    return {
        "summary": "Save a recording of a word.",
        "description": f"At most {settings.max_recordings} while the server runs; nothing is overwritten.",
        "parameters": [
            _query("word", _NAME, "the folder", required=True),
            _query("session", {"type": "string", "pattern": "^[A-Za-z0-9]{1,32}$"}, "the speaker", required=True),
            _query("take", {"type": "integer", "minimum": 0, "maximum": MAX_TAKE}, "its number", required=True),
        ],
        "requestBody": _body({"audio/wav": {"schema": {"type": "string", "format": "binary"}}}),
        "responses": {
            "201": _answer("application/json", _object(file=_NAME)),
            "409": _problem("There is one of that name."), "507": _problem("Enough were saved."), **_upload_problems(),
        },
    }  # fmt: skip


def _listen() -> dict[str, Any]:
    return {
        "summary": "A WebSocket: sound in, detections out.",
        "description": "docs/protocol.md says how the two ends speak. A plain GET is refused.",
        "parameters": [_query("token", _NAME, "the token, where no header can carry it")],
        "responses": {"101": {"description": "The stream begins."}, "404": _problem("No WebSocket.")},
    }


def _upload_problems() -> dict[str, Any]:
    return {
        "400": _problem("The file broke off."),
        "408": _problem("The file came too slowly."), "413": _problem("The file is too large."),
        "415": _problem("A form without the field file."), "422": _problem("The file, or a parameter, cannot be used."),
        "503": _problem("Too many files at the same time."),
    }  # fmt: skip


def _get(
    summary: str,
    kind: str = "application/json",
    parameters: list[Any] | None = None,
    *,
    schema: dict[str, Any] | None = None,
    missing: bool = False,
) -> dict[str, Any]:
    responses = {"200": _answer(kind, schema or {"type": "string"})}
    if missing:
        responses["404"] = _problem("There is none of that name.")
    return {"summary": summary, "parameters": parameters or [], "responses": responses}


def _listing(name: str) -> dict[str, Any]:
    models = {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}}
    return _object(models=models, version=_NAME, record={"type": "boolean"}, token={"type": "boolean"})


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _answer(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": "It is.", "content": {kind: {"schema": schema}}}


def _problem(meaning: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": meaning, "content": content}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _NAME}


def _query(name: str, schema: dict[str, Any], meaning: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": meaning}
