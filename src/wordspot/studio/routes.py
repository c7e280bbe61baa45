"""What the page asks for: ``/v1/studio/…`` as JSON, recordings as WAV, and the page itself below ``/studio/``.

`server.guard` has checked the host, the origin and the token. A name from a client is looked up in a listing; bodies are
bounded; an expected error becomes a status with one sentence.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from wordspot.audio.files import encode_wav, read_audio
from wordspot.errors import ConfigError, NotFoundError, WordspotError
from wordspot.formats import shown
from wordspot.server.pages import Page
from wordspot.server.uploads import Uploads
from wordspot.studio import kept
from wordspot.studio.exports import exports_json, make_export
from wordspot.studio.overview import overview, project_json
from wordspot.studio.project import StudioFolder, StudioProject, TrainingSettings
from wordspot.studio.sounds import discard_sound, find_sound, restore_sound, save_background, save_take, trim_sound
from wordspot.studio.training import Training
from wordspot.studio.versions import Version, find_version, list_versions, set_threshold
from wordspot.studio.voices import sounds_like, speak_sample

WEB = Path(__file__).with_name("web")
_MOST_BODY = 16 << 10  # bytes of JSON
_MOST_SAMPLES = 1000  # of a word by voices, which differ
_LEAST_FREE = 200 << 20  # bytes on the disk, below which nothing more is saved
_FRESH = {"Cache-Control": "no-store"}

Handler = Callable[[Request], Awaitable[Response]]


class StudioRoutes:
    """The handlers of one studio. `link` gives the address of the page for other machines; empty: there is none."""

    def __init__(self, folder: StudioFolder, training: Training, uploads: Uploads, link: Callable[[], str] = lambda: "") -> None:
        self._folder, self._training, self._uploads, self._link = folder, training, uploads, link

    def routes(self) -> list[BaseRoute]:
        """All routes, in the order in which they are tried."""
        one = "/v1/studio/projects/{project}"
        places = "/sounds/{place:str}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/v1/studio/projects", self._answer(self._overview)),
            ("POST", "/v1/studio/projects", self._answer(self._create, status=201)),
            ("GET", one, self._answer(self._project)),
            ("POST", f"{one}/words", self._answer(self._add_word, status=201)),
            ("DELETE", f"{one}/words/{{word}}", self._answer(self._remove_word)),
            ("GET", f"{one}/voices/{{word}}", self._answer(self._sounds_like)),
            ("GET", f"{one}/voices/{{word}}/{{number}}", self._voice),
            ("POST", f"{one}{places}", self._save_sound),
            ("GET", f"{one}{places}/{{file}}", self._sound),
            ("DELETE", f"{one}{places}/{{file}}", self._answer(self._discard)),
            ("POST", f"{one}{places}/{{file}}/trim", self._answer(self._trim)),
            ("POST", f"{one}{places}/{{file}}/restore", self._answer(self._restore)),
            ("POST", f"{one}/kept", self._keep),
            ("GET", f"{one}/kept/{{file:path}}", self._kept_sound),
            ("POST", f"{one}/kept/{{file:path}}", self._answer(self._judge)),
            ("PUT", f"{one}/settings", self._answer(self._settings)),
            ("GET", f"{one}/training", self._answer(self._state)),
            ("POST", f"{one}/training", self._answer(self._start, status=202)),
            ("DELETE", f"{one}/training", self._answer(self._stop, status=202)),
            ("GET", f"{one}/versions/{{number}}", self._answer(self._version)),
            ("POST", f"{one}/versions/{{number}}/threshold", self._answer(self._threshold)),
            ("GET", f"{one}/versions/{{number}}/exports", self._answer(self._exports)),
            ("GET", f"{one}/versions/{{number}}/exports/{{kind}}", self._export),
        ]
        page = Page(WEB)
        return [
            *(Route(path, handler, methods=[method]) for method, path, handler in table),
            Route("/studio", _to_page),
            Route("/studio/models/{file}", self._model),
            Route("/studio/{path:path}", page.serve),
        ]

    def _answer(self, work: Callable[[Request, Any], Any], status: int = 200) -> Handler:
        """A handler that runs `work` with the request's JSON in a thread, and sends what it returns as JSON."""

        async def handler(request: Request) -> Response:
            value = await _json(request) if request.method in ("POST", "PUT") else None
            result = await run_in_threadpool(_expecting_errors, partial(work, request, value))
            return JSONResponse(result, status_code=status, headers=_FRESH)

        return handler

    def _of(self, request: Request) -> StudioProject:
        return self._folder.project(request.path_params["project"])

    def _version_of(self, request: Request) -> Version:
        return find_version(self._of(request), request.path_params["number"])

    def _overview(self, request: Request, _: Any) -> Any:
        return {**overview(self._folder, self._training), "link": self._link()}

    def _create(self, request: Request, value: Any) -> Any:
        _check_space(self._folder.path)
        return {"name": self._folder.create(_text(value, "name")).name}

    def _project(self, request: Request, _: Any) -> Any:
        return project_json(self._of(request), self._training)

    def _add_word(self, request: Request, value: Any) -> Any:
        return {"word": self._of(request).add_word(_text(value, "word"))}

    def _remove_word(self, request: Request, _: Any) -> Any:
        self._of(request).remove_word(request.path_params["word"])
        return {}

    def _sounds_like(self, request: Request, _: Any) -> Any:
        return {"texts": sounds_like(self._of(request), request.path_params["word"])}

    async def _voice(self, request: Request) -> Response:
        number = int(_number({"number": _as_number(request.path_params["number"])}, "number")) % _MOST_SAMPLES
        work = partial(_expecting_errors, lambda: speak_sample(self._of(request), request.path_params["word"], number))
        return Response(await run_in_threadpool(work), media_type="audio/wav", headers=_FRESH)

    def _place(self, request: Request) -> Path:
        """The folder of recordings that a request names."""
        project, place = self._of(request), request.path_params["place"]
        if place == "takes":
            return project.word_folder(request.query_params.get("word", ""))
        folders = {"not-words": project.not_words, "backgrounds": project.backgrounds}
        if place not in folders:
            raise NotFoundError(f"there is no place {shown(place)}; expected takes, not-words or backgrounds")
        return folders[place]

    async def _save_sound(self, request: Request) -> Response:
        folder = await run_in_threadpool(_expecting_errors, partial(self._place, request))
        _check_space(self._folder.path)
        if request.path_params["place"] == "backgrounds":
            work: Callable[[Path], Any] = partial(save_background, folder)
        else:
            work = partial(save_take, folder, request.query_params.get("speaker", ""))
        saved = await self._uploads.judge(request, work)
        return JSONResponse(saved.to_json(), status_code=201, headers=_FRESH)

    async def _sound(self, request: Request) -> Response:
        def find() -> bytes:
            return _wav(find_sound(self._place(request), request.path_params["file"]))

        return Response(await run_in_threadpool(_expecting_errors, find), media_type="audio/wav", headers=_FRESH)

    def _discard(self, request: Request, _: Any) -> Any:
        folder, project = self._place(request), self._of(request)
        return {"discarded": discard_sound(folder, request.path_params["file"], project.discarded / folder.name)}

    def _restore(self, request: Request, _: Any) -> Any:
        folder, project = self._place(request), self._of(request)
        return restore_sound(folder, request.path_params["file"], project.discarded / folder.name).to_json()

    def _trim(self, request: Request, value: Any) -> Any:
        folder, project = self._place(request), self._of(request)
        start, stop = _number(value, "start"), _number(value, "stop")
        return trim_sound(folder, request.path_params["file"], start, stop, project.discarded / folder.name).to_json()

    async def _keep(self, request: Request) -> Response:
        query = request.query_params
        project = await run_in_threadpool(_expecting_errors, partial(self._of, request))
        _check_space(self._folder.path)
        score = _number({"score": _as_number(query.get("score", "0"))}, "score")
        work = partial(_keep_upload, project, query.get("word", ""), score, query.get("missed", "") == "1")
        return JSONResponse(await self._uploads.judge(request, work), status_code=201, headers=_FRESH)

    async def _kept_sound(self, request: Request) -> Response:
        def find() -> bytes:
            return _wav(kept.find_kept(self._of(request), request.path_params["file"]).path)

        return Response(await run_in_threadpool(_expecting_errors, find), media_type="audio/wav", headers=_FRESH)

    def _judge(self, request: Request, value: Any) -> Any:
        word = value.get("word", "") if isinstance(value, dict) else ""
        kept.judge(self._of(request), request.path_params["file"], _text(value, "answer"), word)
        return {}

    def _settings(self, request: Request, value: Any) -> Any:
        self._of(request).write_settings(TrainingSettings.from_json(value))
        return {}

    def _state(self, request: Request, _: Any) -> Any:
        return self._training.state(self._of(request))

    def _start(self, request: Request, _: Any) -> Any:
        _check_space(self._folder.path)
        project = self._of(request)
        self._training.start(project)
        return self._training.state(project)

    def _stop(self, request: Request, _: Any) -> Any:
        project = self._of(request)
        self._training.stop(project)
        return self._training.state(project)

    def _version(self, request: Request, _: Any) -> Any:
        version = self._version_of(request)
        shown_name = f"{self._of(request).name} {version.number}"
        return {**version.read(), "model": {**version.page_model().description(), "name": shown_name}}

    def _threshold(self, request: Request, value: Any) -> Any:
        set_threshold(self._version_of(request), _number(value, "threshold"))
        return {}

    def _exports(self, request: Request, _: Any) -> Any:
        project = self._of(request)
        return {"exports": exports_json(project, self._version_of(request))}

    async def _export(self, request: Request) -> Response:
        def make() -> tuple[str, bytes]:
            project = self._of(request)
            return make_export(project, self._version_of(request), request.path_params["kind"])

        _, content = await run_in_threadpool(_expecting_errors, make)
        return Response(content, media_type="application/octet-stream", headers=_FRESH)

    async def _model(self, request: Request) -> Response:
        """A model's file by its digest, which only those know who may read the report: the page's engine sends no token."""
        asked = f"models/{request.path_params['file']}"

        def find() -> bytes:
            for version in (one for project in self._folder.projects() for one in list_versions(project)):
                if version.digest in asked:  # only this one is opened: others may be damaged, and opening one takes a while
                    model = version.page_model()
                    files = {model.onnx_path: model.model.data, model.blob_path: model.blob}
                    if content := files.get(asked):
                        return content
            raise NotFoundError("there is no such model; it may have been replaced. Reload the page")

        return Response(await run_in_threadpool(_expecting_errors, find), media_type="application/octet-stream", headers=_FRESH)


async def _to_page(request: Request) -> Response:
    return RedirectResponse("/studio/", status_code=308)


def _keep_upload(project: StudioProject, word: str, score: float, was_missed: bool, upload: Path) -> Any:
    file = kept.keep_sound(project, word, score, upload, was_missed=was_missed)
    return {"path": file.path.relative_to(project.kept).as_posix()}


def _wav(path: Path) -> bytes:
    """A recording of any format as WAV, which every browser plays."""
    return encode_wav(*read_audio(path))


def _expecting_errors(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except NotFoundError as error:
        raise HTTPException(404, str(error)) from error
    except FileNotFoundError as error:
        raise HTTPException(404, "it was moved or removed meanwhile; reload the page") from error
    except WordspotError as error:
        raise HTTPException(422, str(error)) from error
    except OSError as error:
        raise HTTPException(507, f"it cannot be saved: {error.strerror or type(error).__name__}") from error


async def _json(request: Request) -> Any:
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                raise HTTPException(413, f"the request is larger than {_MOST_BODY} bytes", {"Connection": "close"})
    except ClientDisconnect as error:
        raise HTTPException(400, "the request is incomplete: the connection ended") from error
    try:
        return json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, "the request's body is no JSON") from error


def _text(value: Any, name: str) -> str:
    if not isinstance(value, dict) or not isinstance(value.get(name), str):
        raise ConfigError(f"expected an object with the text `{name}`")
    return str(value[name])


def _number(value: Any, name: str) -> float:
    given = value.get(name) if isinstance(value, dict) else None
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not abs(given) < 1e9:
        raise HTTPException(422, f"expected the number `{name}`")
    return float(given)


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _check_space(folder: Path) -> None:
    if shutil.disk_usage(folder).free < _LEAST_FREE:
        raise HTTPException(507, "the disk is nearly full; nothing more is saved until there is room")
