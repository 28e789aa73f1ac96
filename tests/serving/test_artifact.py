"""An artifact host speaks the prediction protocols and refuses to pass on what is no prediction."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seatrial.serving import artifact
from seatrial.serving.artifact import Artifact
from seatrial.serving.asgi import Call, Reply
from seatrial.serving.loaders import LoadedModel
from seatrial.serving.spec import HostSpec

Predict = Callable[[Any], Any]
ROW = {"amount": 0.25, "country": "DE"}


def risk(frame: Any) -> Any:
    """Trouble on demand: what each row asks for by its country."""
    wanted = frame["country"].tolist()
    if "raise" in wanted:
        raise ValueError("no such country")
    scores = np.array([np.nan if country == "nan" else amount for amount, country in zip(frame["amount"], wanted)])  # noqa: B905
    return np.column_stack([1 - scores, scores])[: -1 if "short" in wanted else None]


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch) -> dict[str, Predict]:
    """The model of the hosts in a test; replace ``current`` to serve another."""
    chosen: dict[str, Predict] = {"current": risk}
    monkeypatch.setattr(artifact, "load", lambda spec: LoadedModel(chosen["current"], True, {"country": ("DE",)}))
    return chosen


def spec(tmp_path: Path, **changes: Any) -> HostSpec:
    return HostSpec("credit", "3", artifact_dir=str(tmp_path), features=("amount", "country"), **changes)


def post(path: str, body: Any, kind: str = "application/json") -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call("POST", path, path.encode(), [(b"content-type", kind.encode())], content)


def get(path: str) -> Call:
    return Call("GET", path, path.encode(), [], b"")


def serve(spec: HostSpec, *calls: Call) -> list[Reply]:
    async def run() -> list[Reply]:
        host = Artifact(spec)
        await host.start()
        try:
            return await asyncio.gather(*(host.handle(call) for call in calls))
        finally:
            await host.close()

    return asyncio.run(run())


def document(reply: Reply) -> Any:
    return json.loads(reply.body)


@pytest.mark.parametrize(
    "call",
    [
        post("/invocations", {"dataframe_split": {"columns": ["country", "amount"], "data": [["DE", 0.25]]}}),
        post("/invocations", {"dataframe_records": [ROW]}),
        post("/invocations", gzip.compress(json.dumps({"dataframe_records": [ROW]}).encode())),
        post("/invocations", {"instances": [ROW]}),
        post("/invocations", {"instances": [[0.25, "DE"]]}),
        post("/invocations", {"inputs": {"amount": [0.25], "country": ["DE"]}}),
        post("/invocations", b"amount,country\n0.25,DE\n", "text/csv"),
        post("/v1/models/credit:predict", {"instances": [ROW]}),
    ],
)
def test_every_form_of_a_request_gets_the_same_answer(predict: Any, tmp_path: Path, call: Call) -> None:
    (reply,) = serve(spec(tmp_path), call)
    assert (reply.status, document(reply)) == (200, {"predictions": [[0.75, 0.25]]})
    assert dict(reply.headers)[b"x-seatrial-features"] == b'[{"amount":0.25,"country":"DE"}]'


def test_a_host_speaks_the_format_that_was_agreed_on_and_no_other(predict: Any, tmp_path: Path) -> None:
    headless = post("/invocations", b"0.25,DE\n0.5,FR\n", "text/csv")
    tensorflow = post("/v1/models/credit:predict", {"instances": [ROW]})
    for wire, statuses in [
        (None, [400, 200]),  # the first line of a CSV names the columns, unless it was agreed that it does not
        ("sagemaker", [200, 400]),
        ("vertex", [400, 200]),
        ("opaque", [400, 200]),
    ]:
        replies = serve(spec(tmp_path, wire=wire), headless, tensorflow)
        assert [reply.status for reply in replies] == statuses, wire
    assert "credit speaks vertex" in document(serve(spec(tmp_path, wire="vertex"), headless)[0])["error"]


def test_binary_tensors_are_refused_and_not_guessed(predict: Any, tmp_path: Path) -> None:
    tensor = {"name": "amount", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    body = json.dumps({"inputs": [tensor]}).encode() + bytes(8)
    (reply,) = serve(spec(tmp_path), post("/v2/models/credit/infer", body, "application/octet-stream"))
    assert (reply.status, "send their data as JSON" in document(reply)["error"]) == (415, True)


def test_open_inference_answers_with_tensors_and_echoes_the_id(predict: Any, tmp_path: Path) -> None:
    inputs = [
        {"name": "amount", "shape": [2, 1], "datatype": "FP64", "data": [0.25, 0.5]},
        {"name": "country", "shape": [2, 1], "datatype": "BYTES", "data": ["DE", "FR"]},
    ]
    (reply,) = serve(spec(tmp_path), post("/v2/models/credit/versions/3/infer", {"id": "q-1", "inputs": inputs}))
    assert document(reply) == {
        "model_name": "credit",
        "model_version": "3",
        "id": "q-1",
        "outputs": [
            {"name": "predict_proba", "shape": [2, 2], "datatype": "FP64", "data": [0.75, 0.25, 0.5, 0.5]},
        ],
    }


def test_labels_are_answered_in_their_own_type(predict: Any, tmp_path: Path) -> None:
    predict["current"] = lambda frame: np.array(["good"] * len(frame))
    inputs = [{"name": name, "shape": [1], "datatype": "X", "data": [value]} for name, value in ROW.items()]
    calls = post("/invocations", {"instances": [ROW]}), post("/v2/models/credit/infer", {"inputs": inputs})
    mlflow, oip = serve(spec(tmp_path, output="predict"), *calls)
    assert document(mlflow) == {"predictions": ["good"]}
    assert document(oip)["outputs"] == [{"name": "predict", "shape": [1], "datatype": "BYTES", "data": ["good"]}]


def test_health_and_metadata(predict: Any, tmp_path: Path) -> None:
    paths = ["/ping", "/health", "/v2", "/v2/models/credit", "/v2/models/credit/versions/3/ready", "/v2/models/other"]
    replies = serve(spec(tmp_path), *(get(path) for path in [*paths, "/nothing", "/invocations"]))
    assert [reply.status for reply in replies] == [200, 200, 200, 200, 200, 404, 404, 405]
    metadata = document(replies[3])
    assert metadata["versions"] == ["3"]
    assert [tensor["datatype"] for tensor in metadata["inputs"]] == ["FP64", "BYTES"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"instances": [{"amount": 1.0}]}, "'country' is missing"),
        ({"instances": [[1.0]]}, "needs 2"),
        ({"rows": []}, "exactly one of"),
        (b"{", "not JSON"),
    ],
)
def test_a_request_that_cannot_be_answered_is_the_clients_fault(
    predict: Any, tmp_path: Path, body: Any, says: str
) -> None:
    (reply,) = serve(spec(tmp_path), post("/invocations", body))
    assert reply.status == 400
    assert says in document(reply)["error"]


@pytest.mark.parametrize("trouble", ["nan", "raise", "short"])
def test_trouble_in_one_request_leaves_its_neighbours_alone(predict: Any, tmp_path: Path, trouble: str) -> None:
    bodies = [{"instances": [{"amount": i / 10, "country": "DE"}]} for i in range(9)]
    bodies[4] = {"instances": [ROW, {"amount": 0.5, "country": trouble}]}
    replies = serve(spec(tmp_path), *(post("/invocations", body) for body in bodies))
    assert [reply.status for reply in replies] == [200] * 4 + [500] + [200] * 4
    assert document(replies[4])["error"].startswith("the model failed")
    assert [document(replies[i])["predictions"][0][1] for i in (3, 5)] == [0.3, 0.5]


def test_an_empty_batch_is_answered_without_the_model(predict: Any, tmp_path: Path) -> None:
    (reply,) = serve(spec(tmp_path), post("/invocations", {"instances": []}))
    assert (reply.status, document(reply)) == (200, {"predictions": []})


def test_a_model_that_hangs_times_out_and_is_no_longer_ready(predict: Any, tmp_path: Path) -> None:
    release = threading.Event()

    async def run() -> tuple[int, bool, bool]:
        host = Artifact(spec(tmp_path, timeout_s=0.05))
        await host.start()
        before = await host.ready()
        predict_now["wait"] = True
        reply = await host.handle(post("/invocations", {"instances": [ROW]}))
        after = await host.ready()
        release.set()
        await host.close()
        return reply.status, before, after

    predict_now = {"wait": False}

    def slow(frame: Any) -> Any:
        if predict_now["wait"]:
            release.wait(20)
        return risk(frame)

    predict["current"] = slow
    assert asyncio.run(run()) == (504, True, False)


def test_the_declared_example_must_be_answered_before_the_host_is_ready(predict: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such country"):
        serve(spec(tmp_path, example={"amount": 1.0, "country": "raise"}))

    def refuse(frame: Any) -> Any:
        raise ValueError("never fitted")

    predict["current"] = refuse
    (reply,) = serve(spec(tmp_path), get("/ping"))
    assert reply.status == 200  # an invented row may be refused
    assert serve(spec(tmp_path), post("/invocations", {"instances": [ROW]}))[0].status == 500


def test_only_allowed_features_leave(predict: Any, tmp_path: Path) -> None:
    call = post("/invocations", {"instances": [ROW]})
    (some,) = serve(spec(tmp_path, emit_features=("country",)), call)
    (none,) = serve(spec(tmp_path, emit_features=()), call)
    assert dict(some.headers)[b"x-seatrial-features"] == b'[{"country":"DE"}]'
    assert b"x-seatrial-features" not in dict(none.headers)
