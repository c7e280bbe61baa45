"""A real browser for tests: Chromium without a window, driven over the DevTools protocol with `websockets`.

    with Browser(tmp_path) as browser:
        page = browser.open("http://localhost:8765/")
        page.wait_for("document.title === 'wordspot'")

Nothing here sleeps: a wait ends when its condition holds, or fails after `TIMEOUT` seconds with what the page shows.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

TIMEOUT = 120.0
"""Seconds until a wait fails: long, for machines that are slow or busy."""

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--mute-audio",
    "--no-default-browser-check", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows", "--remote-debugging-port=0",
)  # fmt: skip


def find_browser() -> str | None:
    """The program, or None where no Chromium is installed."""
    return next((path for path in map(shutil.which, _NAMES) if path), None)


class BrowserError(AssertionError):
    """The browser or the page did not do what a test waited for."""


class Browser:
    """A browser process with a fresh profile in `folder`; `microphone` is a WAV file that it hears as one.

    Args:
        flags: more of Chromium's flags.
    """

    def __init__(self, folder: Path, *flags: str, microphone: Path | None = None) -> None:
        program = find_browser()
        if program is None:
            raise BrowserError("no Chromium is installed")
        self._profile = folder / "profile"
        self._profile.mkdir(parents=True)
        if microphone is not None:
            flags += (
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone}%noloop",
            )
        with (folder / "chromium.log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, *_FLAGS, f"--user-data-dir={self._profile}", *flags, "about:blank"], stdout=log, stderr=log
            )
        self._open = contextlib.ExitStack()
        self._n_calls = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        """All events so far, of every page: `method`, `params`, `sessionId`."""
        try:
            self._socket = self._connect()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    @property
    def pid(self) -> int:
        """The number of its process, from which all others of the browser descend."""
        return self._process.pid

    def _connect(self) -> ClientConnection:
        file, deadline = self._profile / "DevToolsActivePort", time.monotonic() + TIMEOUT
        while not (file.is_file() and len(file.read_text().splitlines()) == 2):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise BrowserError(f"Chromium did not come up; see {self._profile.parent / 'chromium.log'}")
            time.sleep(0.05)
        port, path = file.read_text().splitlines()
        address = f"ws://127.0.0.1:{port}{path}"
        return self._open.enter_context(connect(address, max_size=None, open_timeout=TIMEOUT, ping_interval=None))

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(
        self, method: str, params: dict[str, Any] | None = None, session: str = "", *, seconds: float = TIMEOUT
    ) -> dict[str, Any]:
        """One call of the protocol; its result.

        Raises:
            BrowserError: the browser refuses it, or does not answer in `seconds`.
        """
        self._n_calls += 1
        number = self._n_calls
        message = {"id": number, "method": method, "params": params or {}}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        self.pump(lambda: number in self._answers, f"an answer to {method}", seconds)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise BrowserError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def pump(self, done: Callable[[], bool], what: str, seconds: float = TIMEOUT) -> None:
        """Take in messages until `done()`.

        Raises:
            BrowserError: it did not come to that in `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not done():
            try:
                message = json.loads(self._socket.recv(max(deadline - time.monotonic(), 0.001)))
            except TimeoutError:
                raise BrowserError(f"waited {seconds:g} s for {what}") from None
            if "id" in message:
                self._answers[message["id"]] = message
            else:
                self.events.append(message)

    def open(self, url: str, *, width: int = 1280, height: int = 800, before: str = "", scale: float = 1) -> Page:
        """A new page. `before` is JavaScript that runs before any of the page's own."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        page.resize(width, height, scale)
        if before:
            page.call("Page.addScriptToEvaluateOnNewDocument", source=before)
        page.go(url)
        return page


class Page:
    """One tab."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self.browser, self._target, self._session = browser, target, session

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, params, self._session)

    def events(self, method: str) -> list[dict[str, Any]]:
        """The `params` of this page's events of a kind so far."""
        return [
            event["params"]
            for event in self.browser.events
            if event["method"] == method and event.get("sessionId") == self._session
        ]

    def go(self, url: str) -> None:
        """Go to `url`, until its document is loaded."""
        seen = len(self.events("Page.loadEventFired"))
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self.browser.pump(lambda: len(self.events("Page.loadEventFired")) > seen, f"{url} to load")

    def evaluate(self, expression: str, *, seconds: float = TIMEOUT) -> Any:
        """The value of JavaScript, as JSON; a promise's once it is kept. Counts as the user's own act.

        Raises:
            BrowserError: it throws.
        """
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True, "userGesture": True}
        answer = self.browser.call("Runtime.evaluate", params, self._session, seconds=seconds)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_for(self, condition: str, *, seconds: float = TIMEOUT) -> None:
        """Until the JavaScript `condition` is true.

        Raises:
            BrowserError: never within `seconds`; says what the page shows.
        """
        is_met = self.evaluate(
            f"""new Promise((resolve) => {{
                const end = performance.now() + {seconds * 1000};
                const look = () => {{
                    const isMet = Boolean({condition});
                    if (isMet || performance.now() > end) resolve(isMet);
                    else setTimeout(look, 30);
                }};
                look();
            }})""",
            seconds=seconds + TIMEOUT,
        )
        if not is_met:
            raise BrowserError(f"waited {seconds:g} s for {condition}; the page shows: {self.shown()[:600]!r}")

    def shown(self) -> str:
        return self.evaluate("document.body.innerText")

    def text(self, selector: str) -> str:
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    def choose_files(self, selector: str, *paths: Path) -> None:
        """Give files to an `<input type="file">`."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def press(self, key: str, code: int = 0, text: str = "") -> None:
        """A key, as the keyboard sends it."""
        common = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def resize(self, width: int, height: int, scale: float = 1) -> None:
        """The window's size in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )

    def prefer(self, **features: str) -> None:
        """Media features, such as ``prefers_color_scheme="dark"``."""
        named = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.call("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, path: Path) -> None:
        """What the window shows, as PNG."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def problems(self) -> list[str]:
        """Errors that the page's console holds."""
        logged = [entry["entry"]["text"] for entry in self.events("Log.entryAdded") if entry["entry"]["level"] == "error"]
        thrown = [
            details["exceptionDetails"].get("exception", {}).get("description") or details["exceptionDetails"]["text"]
            for details in self.events("Runtime.exceptionThrown")
        ]
        return logged + thrown

    def close(self) -> None:
        self.browser.call("Target.closeTarget", {"targetId": self._target})
