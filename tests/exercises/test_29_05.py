"""Exercise 29.5: what a shadow of a search engine costs, and what its report says without outcomes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seatrial.cli import main
from seatrial.gateway.assignment import arm_of, assign
from seatrial.values import Share

UNITS = 100_000


def analyzed(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(["analyze", "shadow", *map(str, words), "--json"])
    assert ended.value.code in (0, None)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.parametrize("share", ["1%", "5%", "20%"])
def test_b_the_share_that_is_copied_is_the_share_that_was_asked_for(share: str) -> None:
    """29.5b 1: within a tenth of it on 100,000 units, and the same units every time."""
    per_10k = Share.parse(share).per_10k
    slots = [arm_of(assign("r-0007", f"u{n}"), canary=0, mirrored=per_10k).mirrored for n in range(UNITS)]
    assert sum(slots) / UNITS == pytest.approx(per_10k / 10_000, rel=0.1)
    assert [arm_of(assign("r-0007", f"u{n}"), canary=0, mirrored=per_10k).mirrored for n in range(1_000)] == slots[
        :1_000
    ]
    other = [arm_of(assign("r-0008", f"u{n}"), canary=0, mirrored=per_10k).mirrored for n in range(UNITS)]
    assert other != slots, "another rollout copies other units"


def queries(root: Path, worse: str | None, n: int = 600) -> Path:
    """Ranked lists of two rankers by class of query; in the class ``worse`` the challenger knows nothing."""
    rng = random.Random(11)
    rows: dict[str, list[Any]] = {"query_class": [], "user_id": [], "champion_list": [], "challenger_list": []}
    for number in range(n):
        kind = rng.choice(["navigational", "head", "tail"])
        ours = [f"d{k}" for k in rng.sample(range(40), 12)]
        theirs = [*ours]
        place = rng.randrange(11)
        theirs[place], theirs[place + 1] = theirs[place + 1], theirs[place]
        if kind == worse:
            theirs = [f"d{k}" for k in rng.sample(range(40), 12)]
        rows["query_class"].append(kind)
        rows["user_id"].append(f"u{number // 3}")
        rows["champion_list"].append(ours)
        rows["challenger_list"].append(theirs)
    path = root / f"{worse}.parquet"
    pq.write_table(pa.table(rows), path)
    return path


def test_b_the_report_extrapolates_the_cost_and_states_the_effective_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """29.5b 2: $12,000 a day for everything is $600 for a twentieth."""
    log = queries(tmp_path, None)
    found = analyzed(capsys, "--log", log, "--segment", "query_class", "--share", "5%", "--cost-per-day", "12000")
    assert found["cost"] == {"servingPerDay": 12_000.0, "share": 0.05, "extraPerDay": pytest.approx(600.0)}
    full = analyzed(capsys, "--log", log, "--share", "100%", "--cost-per-day", "12000")
    assert full["cost"]["extraPerDay"] == 12_000.0
    assert all(150 < s["units"] < 250 for s in found["segments"][:1]), "200 users asked three times each"
    assert all(0 < s["units"] <= s["pairs"] for s in found["segments"])


def test_c_lists_are_compared_by_class_of_query(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """29.5c 1: without outcomes, and it says what it is not."""
    segment = ("--segment", "query_class", "--min-pairs", "100")
    healthy = analyzed(capsys, "--log", queries(tmp_path, None), *segment)
    planted = analyzed(capsys, "--log", queries(tmp_path, "tail"), *segment)
    assert healthy["about"] == planted["about"] == "agreement, not quality"
    assert planted["worst"][0]["value"] == "tail"
    for document, low in ((healthy, 0.9), (planted, 0.3)):
        found = {s["segment"]: s for s in document["segments"]}
        assert min(found[f"query_class={kind}"]["rbo"]["value"] for kind in ("head", "navigational")) > 0.9
        assert (found["query_class=tail"]["rbo"]["value"] > 0.9) == (low == 0.9)
        assert found["query_class=tail"]["topK"]["value"] > low - 0.05
        assert found["query_class=tail"]["rbo"]["lower"] < found["query_class=tail"]["rbo"]["value"]


def test_c_identical_rankers_agree_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """29.5c 4: exactly 1.0; constant scores are degenerate and not perfect."""
    scores = [random.Random(n).random() for n in range(500)]
    for shadow, status, value in ((scores, "ok", 1.0), ([0.5] * 500, "degenerate", None)):
        path = tmp_path / f"{status}.parquet"
        pq.write_table(pa.table({"champion": scores, "shadow": shadow}), path)
        total = analyzed(capsys, "--log", path)["segments"][0]
        assert (total["status"], (total["spearman"] or {}).get("value")) == (status, value)
