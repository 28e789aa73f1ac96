"""Training commands as real processes: what they are given, how they end, and what a crash leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seatrial import processes
from seatrial.errors import UsageError
from seatrial.training.launcher import Job, Standing
from seatrial.training.process import ProcessLauncher

pytestmark = pytest.mark.live

PATIENCE_S = 60.0
STARTER = """
import json, os, signal, sys
from pathlib import Path
from seatrial.training.launcher import Job
from seatrial.training.process import ProcessLauncher
directory, script = sys.argv[1:]
ProcessLauncher().start(Job(run="t-1", model="m", command=(sys.executable, script), directory=Path(directory),
                            timeout_s=600))
os.kill(os.getpid(), signal.SIGKILL)
"""

Make = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Make]:
    """``job(script, timeout_s=...)``: a run of some Python; whatever still runs is cancelled."""
    made: list[Job] = []

    def of(script: str, *, timeout_s: float = 600.0, **environment: str) -> Job:
        number = len(made)
        path = tmp_path / f"train{number}.py"
        path.write_text(script)
        made.append(
            Job(
                run=f"t-{number}",
                model="m",
                command=(sys.executable, str(path)),
                directory=tmp_path / f"run{number}",
                timeout_s=timeout_s,
                environment=environment,
            )
        )
        return made[-1]

    yield of
    for one in made:
        ProcessLauncher().cancel(one)
        if (one.directory / "launched.json").exists():
            _ended(one)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def _ended(job: Job) -> Standing:
    _wait(lambda: ProcessLauncher().poll(job).ended)
    return ProcessLauncher().poll(job)


def _started(job: Job, name: str = "here") -> int:
    """The process number that the command wrote down."""
    path = job.directory / name
    _wait(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


HERE = "import os, time; open('here', 'w').write(f'{os.getpid()}\\n')\n"


def test_a_run_has_its_own_directory_and_a_bare_environment(job: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET", "not for commands")
    one = job(
        "import json, os\n"
        "print(json.dumps({'progress': 0.5, 'message': 'half'}))\n"
        "json.dump(dict(os.environ, cwd=os.getcwd()), open(os.environ['SEATRIAL_RESULT'], 'w'))\n",
        GIVEN="yes",
    )
    ProcessLauncher().start(one)
    ended = _ended(one)
    assert (ended.status, ended.progress, ended.message, ended.reason) == ("succeeded", 0.5, "half", "")
    seen = json.loads(one.result.read_text())
    assert "AWS_SECRET" not in seen
    assert (seen["GIVEN"], seen["SEATRIAL_RUN"], seen["SEATRIAL_MODEL"]) == ("yes", "t-0", "m")
    assert Path(seen["cwd"]) == one.directory.resolve() == Path(seen["HOME"])
    assert one.directory.stat().st_mode & 0o077 == 0
    assert "half" in ProcessLauncher().log(one)


def test_a_command_that_fails_is_told_with_its_last_words(job: Make) -> None:
    one = job("print('loading'); raise SystemExit('no such table: flights')")
    ProcessLauncher().start(one)
    ended = _ended(one)
    assert ended.status == "failed"
    assert "exit code 1" in ended.reason
    assert "no such table: flights" in ended.reason
    assert ProcessLauncher().log(one, last=1) == "no such table: flights\n"


def test_a_run_whose_time_is_over_is_ended_with_all_it_began(job: Make) -> None:
    one = job(
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('here', 'w').write(f'{child.pid}\\n')\n"
        "time.sleep(600)\n",
        timeout_s=3.0,
    )
    ProcessLauncher().start(one)
    child = _started(one)
    ended = _ended(one)
    assert ended.status == "timed_out"
    assert "longer than 3 s" in ended.reason
    _wait(lambda: not processes.started(child))


def test_a_cancelled_run_ends_and_one_that_is_let_alone_goes_on(job: Make) -> None:
    launcher, one, other = ProcessLauncher(), job(HERE + "time.sleep(600)"), job(HERE + "time.sleep(600)")
    launcher.start(one)
    launcher.start(other)
    numbers = _started(one), _started(other)
    launcher.cancel(one)
    assert _ended(one).status == "cancelled"
    _wait(lambda: not processes.started(numbers[0]))
    assert launcher.poll(other).status == "running"
    assert processes.started(numbers[1])


def test_a_run_outlives_who_started_it_and_is_not_started_again(job: Make, tmp_path: Path) -> None:
    one = job(HERE + "open('times', 'a').write('x')\nwhile not os.path.exists('go'): time.sleep(0.02)\n")
    starter = [sys.executable, "-c", STARTER, str(one.directory), one.command[1]]
    assert subprocess.run(starter, check=False).returncode == -signal.SIGKILL
    launcher = ProcessLauncher()
    _started(one)
    launcher.start(one)
    assert launcher.poll(one).status == "running"
    (one.directory / "go").touch()
    assert _ended(one).status == "succeeded"
    launcher.start(one)
    assert launcher.poll(one).status == "succeeded"
    assert (one.directory / "times").read_text() == "x"


def test_of_two_who_start_a_run_at_once_one_does(job: Make) -> None:
    one = job("open('times', 'a').write('x')\n")
    ProcessLauncher().start(one)
    (one.directory / "launched.json").unlink()  # as if this process had crashed before it wrote it down
    ProcessLauncher().start(one)
    assert _ended(one).status == "succeeded"
    _wait(lambda: (one.directory / "times").exists())
    assert (one.directory / "times").read_text() == "x"


def test_a_run_that_was_killed_is_lost_and_leaves_nothing_that_trains_on(job: Make) -> None:
    one = job(HERE + "time.sleep(600)")
    launcher = ProcessLauncher()
    launcher.start(one)
    number = _started(one)
    _wait(lambda: (one.directory / "child.json").exists())
    supervisor = json.loads((one.directory / "process.json").read_text())["pid"]
    os.kill(supervisor, signal.SIGKILL)
    ended = _ended(one)
    assert ended.status == "lost"
    assert "nobody saw how" in ended.reason
    _wait(lambda: not processes.started(number))


def test_a_program_that_is_not_there_is_refused(tmp_path: Path) -> None:
    one = Job(run="t-1", model="m", command=("no-such-program",), directory=tmp_path / "run", timeout_s=1)
    with pytest.raises(UsageError, match=r"ST1310.*no-such-program"):
        ProcessLauncher().start(one)
    assert ProcessLauncher().poll(one).status == "lost"
