"""A server that is asked for a check: what it does not answer in time is a failure, not a wait."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from seatrial.ci.candidate import scores
from seatrial.errors import Unavailable
from seatrial.serving.process import HostProcess
from seatrial.serving.spec import HostSpec


def test_a_host_that_accepts_and_never_answers_is_not_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        spec = HostSpec(model="fraud", version="3", port=silent.getsockname()[1], features=("x",), kind="proxy",
                        url="http://127.0.0.1:9/")  # fmt: skip
        for patience in (0.2, -1.0):
            with pytest.raises(Unavailable, match="ST1226 fraud v3 did not answer all rows in time"):
                scores(HostProcess(spec, tmp_path), [{"x": 1.0}], until=time.monotonic() + patience)
