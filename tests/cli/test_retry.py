"""A model's impact holds against any plan, and a release is tried again: through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PLAN = """
name: flip
metrics: [{name: errors, kind: error_rate, margin: 1pp}]
steps: [{shadow: {}}, {pause: {duration: 2h}}]
"""


def test_a_grave_model_takes_a_plan_that_flips_only_by_override(run: Any, shop: Path, api: Any) -> None:
    (shop / "flip.yaml").write_text(PLAN)
    begin = ("rollout", "start", "fraud", 2, "--plan", "flip.yaml")
    assert run("model", "safety", "fraud", "--impact", "irreversible").code == 0
    refused = run(*begin)
    assert (refused.code, "ST0344" in refused.err, "irreversible" in refused.err) == (2, True, True), refused.err
    assert run("rollout", "list", "--json").json["rollouts"] == []
    assert run(*begin, "--override", "the champion is down").code == 0
    entries = run("audit", "log", "--json").json["entries"]
    (told,) = [entry for entry in entries if entry["action"] == "rollout.override"]
    assert told["detail"]["reason"] == "the champion is down"
    assert "irreversible" in told["detail"]["passed"][0]


def test_a_release_is_tried_again_once_it_is_over(run: Any, shop: Path, api: Any) -> None:
    (shop / "flip.yaml").write_text(PLAN)
    assert run("rollout", "start", "fraud", 2, "--plan", "flip.yaml").code == 0
    busy = run("rollout", "retry", "fraud")
    assert (busy.code, "ST0313" in busy.err) == (1, True)
    assert run("rollout", "abort", "fraud").code == 0
    again = run("rollout", "retry", "fraud", "--reason", "fixed", "--json")
    assert (again.code, again.json["rollout"], again.json["retries"]) == (0, "r-0002", "r-0001")
    first, second = (run("rollout", "get", name, "--json").json for name in ("r-0001", "r-0002"))
    assert (first["plan"], first["candidate"]) == (second["plan"], second["candidate"])
    assert first["salt"] != second["salt"]
    assert run("rollout", "abort", "r-0002").code == 0
    assert "by the plan of r-0002" in run("rollout", "retry", "r-0002").out
