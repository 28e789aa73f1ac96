"""Host specs survive the trip through their file, and refuse what cannot be served."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from seatrial.errors import UsageError
from seatrial.events.wire import ResponseSpec
from seatrial.serving.spec import HostSpec

ARTIFACT = HostSpec(
    "credit",
    "3",
    artifact_dir="/models/credit/3",
    features=("amount", "country"),
    dtypes=("number", "string"),
    example={"amount": 1.0, "country": "DE"},
    emit_features=("amount",),
    trusted_types=("a.B",),
    memory_limit_mb=2048,
)
PROXY = HostSpec(
    "credit", "4", kind="proxy", url="http://127.0.0.1:9000", wire="json", response=ResponseSpec(score="/risk")
)


@pytest.mark.parametrize("spec", [ARTIFACT, PROXY])
def test_the_file_says_the_same(spec: HostSpec) -> None:
    assert HostSpec.from_json(spec.to_json()) == spec
    assert HostSpec.from_json(spec.to_json()).digest() == spec.digest()


def test_the_digest_is_what_is_served_and_not_where() -> None:
    assert dataclasses.replace(ARTIFACT, port=9999).digest() == ARTIFACT.digest()
    assert dataclasses.replace(ARTIFACT, output="predict").digest() != ARTIFACT.digest()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"artifact_dir": None}, "needs 'artifact_dir'"),
        ({"features": (), "dtypes": ()}, "needs 'features'"),
        ({"dtypes": ("number",)}, "not as long as"),
        ({"dtypes": ("number", "date")}, "'dtypes' are"),
        ({"features": ("a", "a")}, "named twice"),
        ({"kind": "proxy"}, "http"),
        ({"kind": "proxy", "url": "file:///etc/passwd"}, "http"),
        ({"format": "tar"}, "format 'tar'"),
        ({"model": "../x"}, "names are"),
        ({"version": "3\r\nx: y"}, "names are"),
        ({"memory_limit_mb": 10}, "at least 256"),
    ],
)
def test_what_cannot_be_served_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        dataclasses.replace(ARTIFACT, **change)


def test_an_unknown_key_is_an_error() -> None:
    text = json.dumps({**json.loads(ARTIFACT.to_json()), "max_bach": 3})
    with pytest.raises(UsageError, match="max_bach"):
        HostSpec.from_json(text)
    with pytest.raises(UsageError, match="ST0752"):
        HostSpec.from_json("[]")
