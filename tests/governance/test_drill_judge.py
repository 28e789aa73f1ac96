"""The verdict of a drill: a function of its evidence; one criterion that is not met fails it, and says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from drillevidence import changed, evidence
from seatrial.cli import main
from seatrial.errors import UsageError
from seatrial.governance.drills.judge import judge


def test_a_good_drill_passes_all_criteria() -> None:
    verdict = judge(evidence())
    assert verdict.passed
    assert len(verdict.criteria) == 9


@pytest.mark.parametrize(
    ("document", "failed"),
    [
        (changed("detect", detectedAfter=60.1), ["time_to_detect"]),
        (changed("detect", detectedAfter=None), ["time_to_detect"]),
        (changed("rollback", zeroAfter=60.1), ["time_to_zero"]),
        (changed("rollback", zeroAfter=None), ["time_to_zero"]),
        (changed("detect", userErrors=1), ["user_errors"]),
        (changed("verify", userErrors=1), ["user_errors"]),
        (changed("detect", weight=101), ["share"]),
        (changed("verify", answeredBy={"2": 99, "3": 1}), ["previous_version"]),
        (changed("verify", split={"v2": 0.99, "v3": 0.01}), ["previous_version"]),
        (changed("rollback", canaryRequestsAfter=1), ["previous_version"]),
        (changed("verify", standby={"serves": False, "text": "v1 does not serve"}), ["standby"]),
        (changed("verify", fallback=[{"level": "banner", "answers": False, "problem": "500"}]), ["fallback"]),
        (changed("verify", logged=899), ["data_intact"]),
        (changed("verify", auditWhole=False), ["data_intact"]),
        (changed("verify", pointers={"champion": 3, "previous": 2}), ["data_intact"]),
        (changed("restore", stage="Staging"), ["restored"]),
    ],
)
def test_one_criterion_fails_the_drill_by_its_name(document: dict[str, Any], failed: list[str]) -> None:
    verdict = judge(document)
    assert not verdict.passed
    assert [criterion.name for criterion in verdict.failed] == failed


def test_targets_are_met_at_the_limit_itself() -> None:
    assert judge(changed("detect", detectedAfter=60.0)).passed


def test_a_model_without_a_standby_is_not_failed_for_it() -> None:
    assert judge(changed("verify", standby=None)).passed


@pytest.mark.parametrize("levels", [[], [{"level": "banner", "answers": True, "problem": None}]])
def test_levels_below_the_standby_have_to_answer_where_there_are_any(levels: list[dict[str, Any]]) -> None:
    verdict = judge(changed("verify", fallback=levels))
    assert verdict.passed
    assert "fallback" in [criterion.name for criterion in verdict.criteria]


def test_a_drill_that_was_not_finished_fails() -> None:
    document = evidence()
    del document["steps"][3]
    assert [criterion.name for criterion in judge(document).failed] == ["complete"]


@pytest.mark.parametrize(
    "broken", [{}, {"schema": "x"}, {**evidence(), "steps": None}, changed("verify", logged="many")]
)
def test_what_is_no_evidence_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="ST0367"):
        judge(broken)


def test_the_command_judges_a_file_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evidence.json"
    for document, code in ((evidence(), 0), (changed("verify", logged=1), 3)):
        path.write_text(json.dumps(document))
        with pytest.raises(SystemExit) as left:
            main(["drill", "judge", str(path), "--json"])
        assert left.value.code in (code, None if code == 0 else code)
        told = json.loads(capsys.readouterr().out)
        assert told["passed"] == (code == 0)
        assert [c["name"] for c in told["criteria"]] == [c.name for c in judge(document).criteria]
