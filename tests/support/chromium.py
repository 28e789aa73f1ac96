"""A headless Chromium driven by its own protocol over a websocket: enough to open pages, press things and look."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip
PATIENCE_S = 30.0


def find() -> str | None:
    """The browser's program, if one is installed."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Chromium:
    """The process; ``page`` opens a tab. A profile of its own is made and thrown away."""

    def __init__(self, program: str) -> None:
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        command = [program, *FLAGS, f"--user-data-dir={self._profile.name}", "--remote-debugging-port=0", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._address = self._find_address()

    def _find_address(self) -> str:
        """Port and path of the protocol, which the browser writes down once it listens."""
        file = Path(self._profile.name) / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE_S
        while not (file.exists() and file.read_text().count("\n")):
            assert self._process.poll() is None, "Chromium has ended"
            assert time.monotonic() < deadline, "Chromium does not start"
            time.sleep(0.05)
        port, path = file.read_text().split("\n")[:2]
        return f"ws://127.0.0.1:{port}{path}"

    def page(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        return Page(self._address, width, height, dark)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)
        self._profile.cleanup()


class Page:
    """One tab. ``complaints``: errors of its console and scripts, and requests that failed."""

    def __init__(self, address: str, width: int, height: int, dark: bool) -> None:
        self._ends = ExitStack()
        connection = connect(address, max_size=None, open_timeout=PATIENCE_S)
        self._socket: ClientConnection = self._ends.enter_context(connection)
        self._last, self._session = 0, ""
        self.complaints: list[str] = []
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self._call("Emulation.setDeviceMetricsOverride", **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url: str) -> None:
        """Until the page and everything on it is loaded."""
        self._call("Page.navigate", url=url)
        self.wait(f"location.href === {json.dumps(url)} && document.readyState === 'complete'")

    def show(self) -> None:
        """Bring this tab before the others; the one that was there is hidden from now on."""
        self._call("Page.bringToFront")

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        told = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true; also while a page gives way to the next one."""
        deadline = time.monotonic() + PATIENCE_S
        while not self._holds(script):
            assert time.monotonic() < deadline, f"never true: {script}\n{self.text()}"
            time.sleep(0.05)

    def _holds(self, script: str) -> bool:
        told = self._call("Runtime.evaluate", expression=f"Boolean({script})", returnByValue=True)
        return "exceptionDetails" not in told and bool(told["result"]["value"])

    def text(self) -> str:
        return str(self.run("document.body.innerText"))

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def fill(self, selector: str, text: str) -> None:
        """Typed by the keyboard, into what has the focus then."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self._call("Input.insertText", text=text)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        given = self._call("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(given["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self._call("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def close(self) -> None:
        self._call("Page.close")
        self._ends.close()

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        self._socket.send(json.dumps(message | ({"sessionId": self._session} if self._session else {})))
        while True:
            told = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if told.get("id") == self._last:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._notice(told.get("method", ""), told.get("params", {}))

    def _notice(self, event: str, params: dict[str, Any]) -> None:
        if event == "Runtime.exceptionThrown":
            self.complaints.append(f"exception: {params['exceptionDetails']}")
        elif event == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(f"console: {params['args']}")
        elif event == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"log: {params['entry']['text']} {params['entry'].get('url', '')}")
        elif event == "Network.loadingFailed" and not params.get("canceled"):
            self.complaints.append(f"request failed: {params['errorText']}")
