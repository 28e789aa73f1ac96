"""Hosts as real processes: a whole pipeline under concurrency, a scrubbed environment, adoption, and a clean end."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from seatrial.errors import Unavailable
from seatrial.processes import started
from seatrial.serving.process import HostProcess, host_info, scrubbed_environment
from seatrial.serving.spec import HostSpec

pytestmark = pytest.mark.live

FEATURES = ("country", "amount", "age")


def frame(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    amount = rng.normal(size=rows)
    amount[::7] = np.nan
    return pd.DataFrame(
        {
            "country": rng.choice(["DE", "FR", "IT", "unseen"], size=rows),
            "amount": amount,
            "age": rng.integers(18, 80, size=rows),
        }
    )


@pytest.fixture(scope="module")
def model() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore")
    encode = ColumnTransformer([("numbers", numbers, ["amount", "age"]), ("text", text, ["country"])])
    data = frame(400).query("country != 'unseen'")
    return Pipeline([("encode", encode), ("model", LogisticRegression())]).fit(data, data["age"] > 45)


@pytest.fixture(scope="module")
def host(model: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("artifact")
    skops.io.dump(model, folder / "model.skops")
    spec = HostSpec("credit", "3", artifact_dir=str(folder), features=FEATURES, memory_limit_mb=8192)
    os.environ["SEATRIAL_TOKEN"] = os.environ["PYTHONPATH"] = "secret"
    process = HostProcess(spec, tmp_path_factory.mktemp("host"))
    try:
        process.start()
        assert process.ready(60)
        yield process
    finally:
        process.stop()
        del os.environ["SEATRIAL_TOKEN"], os.environ["PYTHONPATH"]


def predict(host: HostProcess, rows: list[dict[str, Any]]) -> tuple[dict[str, str], list[Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", host.port, timeout=30)
    try:
        body = json.dumps({"dataframe_records": rows})
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status == 200, answer
        return {k.lower(): v for k, v in response.getheaders()}, answer["predictions"]
    finally:
        connection.close()


def test_answers_under_concurrency_are_those_of_each_row_alone(host: HostProcess, model: Pipeline) -> None:
    data = frame(160)
    rows = [{k: None if v != v else v for k, v in row.items()} for row in data.to_dict("records")]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda row: predict(host, [row])[1][0], rows))
    expected = [model.predict_proba(data.iloc[i : i + 1])[0] for i in range(len(data))]
    np.testing.assert_allclose(answers, expected, rtol=1e-12)
    headers, together = predict(host, rows[:20])
    np.testing.assert_allclose(together, expected[:20], rtol=1e-12)
    assert headers["x-seatrial-host-version"] == "3"
    used = json.loads(headers["x-seatrial-features"])
    assert [list(row) for row in used] == [list(FEATURES)] * 20
    assert used[0]["amount"] is None
    assert used[1] == rows[1]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
def test_the_host_sees_no_secrets_and_has_its_limits(host: HostProcess) -> None:
    environment = Path(f"/proc/{host.pid}/environ").read_bytes().decode()
    assert "secret" not in environment
    assert f"HOME={host.directory.resolve()}" in environment
    assert "OMP_NUM_THREADS=1" in environment
    limits = Path(f"/proc/{host.pid}/limits").read_text()
    assert str(8192 * 2**20) in next(line for line in limits.splitlines() if line.startswith("Max address space"))
    assert os.getsid(host.pid or 0) == host.pid


def test_the_environment_is_an_allow_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = scrubbed_environment(tmp_path)
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert environment["LANG"] == "C.UTF-8"


def test_a_healthy_host_of_the_same_spec_is_adopted(host: HostProcess) -> None:
    other = HostProcess(host.spec, host.directory)
    assert other.ensure()
    assert (other.pid, other.port, other.alive()) == (host.pid, host.port, True)
    changed = HostProcess(dataclasses.replace(host.spec, output="predict"), host.directory)
    assert not changed.adopt()
    elsewhere = HostProcess(host.spec, host.directory / "elsewhere")
    assert not elsewhere.adopt()


def test_a_recycled_process_number_is_not_adopted(host: HostProcess, tmp_path: Path) -> None:
    record = json.loads((host.directory / "host.pid").read_text())
    (tmp_path / "host.pid").write_text(json.dumps({**record, "started": "1"}))
    stranger = HostProcess(host.spec, tmp_path)
    assert not stranger.adopt()
    stranger.stop()  # must not touch the process that has this number now
    assert host.alive()


def proxy(**changes: Any) -> HostSpec:
    return HostSpec("credit", "4", kind="proxy", url="http://127.0.0.1:9", **changes)


def up(process: HostProcess) -> HostProcess:
    """Wait until the host answers at all; one in front of a dead server never becomes ready."""
    deadline = time.monotonic() + 60
    while host_info("127.0.0.1", process.port) is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not process.ready()
    return process


def test_stop_ends_a_host_that_somebody_else_started(tmp_path: Path) -> None:
    first = HostProcess(proxy(), tmp_path)
    first.start()
    try:
        up(first)
    finally:
        HostProcess(proxy(), tmp_path).stop()
    assert not first.alive()
    assert not (tmp_path / "host.pid").exists()
    lines = [json.loads(line) for line in (tmp_path / "stderr.log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["ready", "stopped"]
    assert {(line["model"], line["version"]) for line in lines} == {("credit", "4")}


def test_a_host_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    process = HostProcess(proxy(), tmp_path)
    process.start()
    try:
        os.kill(up(process).pid or 0, signal.SIGSTOP)
    finally:
        process.stop(grace=0.2)
    assert not process.alive()


def test_a_version_that_cannot_be_served_says_why(tmp_path: Path) -> None:
    joblib.dump(LogisticRegression(), tmp_path / "model.joblib")
    spec = HostSpec("credit", "9", artifact_dir=str(tmp_path), format="joblib", features=("x",))
    process = HostProcess(spec, tmp_path / "host")
    process.start()
    with pytest.raises(Unavailable, match=r"ST0760 the host of credit/9 ended: ST0757 .*pickle.*--trust-pickle"):
        process.ready(60)
    assert not process.alive()
    process.stop()


def test_the_start_time_tells_processes_apart() -> None:
    assert started(os.getpid()) == started(os.getpid())
    assert started(2**22 + 1) == ""


def test_importing_the_host_is_light() -> None:
    """A proxy host must not pay for libraries that only artifacts need."""
    import subprocess

    code = "import sys, seatrial.serving.__main__, seatrial.serving.proxy; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sklearn", "pandas", "numpy", "pydantic", "fastapi", "httpx"} & set(done.stdout.split())
