"""A reader of the quickstart: a shell in an empty directory that types its blocks and saves its files."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from seatrial import processes

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
STORY = ("What you have", "Put it behind the gateway", "A better version", "A worse version", "Look at it")
SERVERS = ("An MLflow model", "An Open Inference Protocol server")

_DONE = "-- the block is done --"
_LEFT = "-- the shell has ended --"


@dataclass(frozen=True)
class Step:
    """A fenced block of a page, by its kind; ``file`` is the name under which the text before it says to save it."""

    kind: str
    text: str
    file: str = ""


def steps(*headings: str) -> list[Step]:
    """What the page tells to type and to save, between the given headings and the next ones of their level."""
    text = PAGE.read_text(encoding="utf-8")
    parts = [part for part in re.split(r"^## ", text, flags=re.MULTILINE) if part.partition("\n")[0] in headings]
    assert len(parts) == len(headings), f"{PAGE} has not all of {headings}"
    return [step for part in parts for step in _steps(part)]


def _steps(part: str) -> Iterator[Step]:
    before = 0
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", part, re.DOTALL | re.MULTILINE):
        named = re.search(r"\bas\s+`([^`]+)`", part[before : found.start()])
        before = found.end()
        yield Step(found[1], found[2], named[1] if named else "")


Read = Callable[..., "Reader"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Read]:
    """``reader(9001, path=...)``: somebody in an empty directory; what was started there is stopped in the end."""
    made: list[Reader] = []

    def sit_down(*ports: int, path: str = "") -> Reader:
        (home := tmp_path / "shop").mkdir()
        made.append(Reader(home, (8700, 8710, *ports), path=path))
        return made[-1]

    yield sit_down
    for someone in made:
        someone.leave()


class Reader:
    """Ports of the page are replaced by free ones, wherever they are written; nothing else is."""

    def __init__(self, home: Path, ports: tuple[int, ...], *, path: str = "", patience_s: float = 240.0) -> None:
        self.home, self.patience_s = home, patience_s
        self.ports = {port: processes.free_port() for port in ports}
        self.said: list[str] = []
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SEATRIAL_", "GIT_"))},
            "PATH": os.pathsep.join(filter(None, (str(Path(sys.executable).parent), path, os.environ["PATH"]))),
            "HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200",
            "SEATRIAL_API_PORT": str(self.ports[8700]), "SEATRIAL_GATEWAY_PORT": str(self.ports[8710]),
            "SEATRIAL_API": f"http://127.0.0.1:{self.ports[8700]}",
            "SEATRIAL_GATEWAY": f"http://127.0.0.1:{self.ports[8710]}",
            **{f"GIT_{who}_{what}": "reader" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }  # fmt: skip
        self._shell = subprocess.Popen(
            ["bash", "-e"], cwd=home, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.type(f"trap \"printf '\\n%s\\n' '{_LEFT}'\" EXIT")  # servers that go on keep its output open

    def go_through(self, told: Sequence[Step]) -> dict[str, str]:
        """What was said, by the block that made it say so."""
        return {step.text: self.follow(step) for step in told}

    def follow(self, step: Step) -> str:
        """Save the file or type the block, and give what was said; AssertionError with all of it if a command fails."""
        if step.file:
            (self.home / step.file).write_text(step.text, encoding="utf-8")
            return ""
        return self.type(step.text) if step.kind == "bash" else ""

    def type(self, text: str) -> str:
        for port, free in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(free), text)
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"{text}\nprintf '\\n%s\\n' '{_DONE}'\n")
        self._shell.stdin.flush()
        said = self._listen(text)
        for port in re.findall(r"(?:--port |HTTP_PORT=)(\d+)[^\n]*&$", text, re.MULTILINE):
            self._wait_for(int(port))
        return said

    def page(self, port: int, path: str = "/") -> str:
        """What a browser gets; ``port`` as in the text."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[port]}{path}", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def leave(self) -> None:
        """Stop the project, and end the shell with everything that was started in it."""
        if (self.home / "seatrial.yaml").exists():
            command = [sys.executable, "-m", "seatrial.cli", "--project", str(self.home), "down"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.wait()
        for pipe in (self._shell.stdin, self._shell.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def _listen(self, text: str) -> str:
        assert self._shell.stdout is not None
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.strip() == _DONE:
                return "".join(lines)
            if line.strip() == _LEFT:
                break
            lines.append(line)
            self.said.append(line)
        raise AssertionError(f"this ended with an error:\n{text}\nand this was said:\n{''.join(self.said)}")

    def _wait_for(self, port: int) -> None:
        """As a reader waits until the server says that it runs."""
        deadline = time.monotonic() + self.patience_s
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert time.monotonic() < deadline, f"nothing listens on {port}:\n{''.join(self.said)}"
            time.sleep(0.1)


def answer_to(said: dict[str, str], words: str) -> str:
    """What was said to the blocks that hold these words."""
    return "".join(text for block, text in said.items() if words in block)
