"""What a training command hands in, whole and in every way wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from seatrial.errors import SeatrialError
from seatrial.training.progress import latest
from seatrial.training.result import read_result

WHOLE: dict[str, Any] = {
    "schema": "seatrial.training-result.v1",
    "artifact": "model.skops",
    "format": "skops",
    "features": ["km", "hour"],
    "framework": "scikit-learn 1.7",
    "code": {"commit": "1f0c2aa", "dirty": False},
    "data": {"digest": "sha256:d", "rows": 10, "start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z",
             "sources": {"km": "flights"}},
    "metrics": {"auc": 0.7},
    "importances": {"km": 0.9},
}  # fmt: skip


def _write(directory: Path, **changes: Any) -> Path:
    (directory / "model.skops").write_bytes(b"model")
    path = directory / "result.json"
    path.write_text(json.dumps({**WHOLE, **changes}))
    return path


def test_a_whole_result_is_read_with_its_artifact(tmp_path: Path) -> None:
    result, artifact = read_result(_write(tmp_path), until=datetime(2026, 2, 1, tzinfo=UTC))
    assert artifact == tmp_path.resolve() / "model.skops"
    assert (result.features, result.data.rows, result.data.sources) == (("km", "hour"), 10, {"km": "flights"})


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"artefact": "x"}, "ST1312", "artefact is unknown, did you mean 'artifact'"),
        ({"data": {**WHOLE["data"], "row": 1}}, "ST1312", "did you mean 'rows'"),
        ({"schema": "v0"}, "ST1312", "schema"),
        ({"features": []}, "ST1312", "there are none"),
        ({"metrics": {"auc": float("nan")}}, "ST1312", "metrics.auc is nan"),
        ({"data": {**WHOLE["data"], "rows": 0}}, "ST1312", "data.rows is 0"),
        ({"data": {**WHOLE["data"], "end": "2026-01-01T00:00:00Z"}}, "ST1312", "not after data.start"),
        ({"data": {**WHOLE["data"], "start": "2026-01-01T00:00:00"}}, "ST1312", "timezone"),
        ({"artifact": "../secrets.json"}, "ST1313", "not in the run's directory"),
        ({"artifact": "other.skops"}, "ST1313", "there is no artifact"),
    ],
)
def test_a_result_that_is_wrong_says_how(tmp_path: Path, changes: dict[str, Any], code: str, words: str) -> None:
    with pytest.raises(SeatrialError, match=words) as raised:
        read_result(_write(tmp_path, **changes))
    assert raised.value.code == code


def test_a_link_out_of_the_directory_is_no_artifact(tmp_path: Path) -> None:
    inside = tmp_path / "run"
    inside.mkdir()
    (tmp_path / "elsewhere").write_bytes(b"model")
    path = _write(inside, artifact="link")
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SeatrialError, match="ST1313"):
        read_result(path)


def test_no_result_and_no_json_are_told(tmp_path: Path) -> None:
    with pytest.raises(SeatrialError, match="ST1311 the command succeeded and left no result"):
        read_result(tmp_path / "result.json")
    (tmp_path / "result.json").write_text("done")
    with pytest.raises(SeatrialError, match=r"ST1312.*not JSON"):
        read_result(tmp_path / "result.json")


def test_rows_after_the_cut_off_are_refused_and_rows_up_to_it_are_not(tmp_path: Path) -> None:
    path = _write(tmp_path)
    read_result(path, until=datetime(2026, 2, 1, tzinfo=UTC))
    with pytest.raises(SeatrialError, match=r"ST1314.*after the cut-off"):
        read_result(path, until=datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", (None, "")),
        ("epoch 1\n", (None, "")),
        ('{"loss": 0.4}\n', (None, "")),
        ('{"progress": 7}', (1.0, "")),
        ('{"progress": true}', (None, "")),
        ('{"message": "two\\nlines"}\n{"progress": 0.25}\n{"progress": ', (0.25, "two lines")),
    ],
)
def test_progress_is_what_was_told_last(text: str, told: tuple[float | None, str]) -> None:
    assert latest(text) == told
