"""Plans that somebody else began, and the version that releases are held against, by command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CANARY = """
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: ranker}
spec:
  analysis:
    interval: 1m
    threshold: 5
    stepWeights: [5, 50]
    metrics: [{name: request-success-rate, thresholdRange: {min: 99}}]
"""


def test_an_imported_plan_is_written_with_its_warnings_and_never_over_another(root: Path, run: Any) -> None:
    (root / "canary.yaml").write_text(CANARY)
    said = run("plan", "import", "canary.yaml", "--out", "plans/ranker.yaml")
    assert (said.code, "✔ plan 'ranker'" in said.out, "threshold 5" in said.err) == (0, True, True)
    written = (root / "plans/ranker.yaml").read_text()
    assert "#   sample size, no interval, no champion beside it." in written
    assert run("plan", "validate", "plans/ranker.yaml").code == 0
    again = run("plan", "import", "canary.yaml", "--out", "plans/ranker.yaml")
    assert (again.code, "ST0309" in again.err) == (1, True)
    assert run("plan", "import", "canary.yaml").out == written, "without --out it goes to stdout"
    document = run("plan", "import", "canary.yaml", "--json").json
    assert (document["source"], len(document["warnings"]), document["plan"]["name"]) == ("Flagger", 5, "ranker")


def test_a_template_is_printed_as_it_is_kept(root: Path, run: Any) -> None:
    said = run("plan", "templates", "fast")
    (root / "plans/fast.yaml").write_text(said.out)
    assert said.out.startswith("# ")
    assert "can be honoured" in run("plan", "validate", "plans/fast.yaml").out
    assert run("plan", "templates", "standard").out == (root / "plans/standard.yaml").read_text()
    assert [line.split()[0] for line in run("plan", "templates").out.splitlines()[2:]] == [
        "standard", "fast", "clinical", "regulated", "shadow-only",
    ]  # fmt: skip


def test_the_anchor_is_shown_and_set_while_nothing_runs(shop: Path, run: Any) -> None:
    assert "v1 is the anchor; 0 releases since, v1 serves" in run("model", "anchor", "fraud").out
    document = run("model", "anchor", "fraud", "1", "--reason", "measured again", "--json").json
    assert (document["anchor"], document["reason"]) == (1, "measured again")
    assert "measured again" in run("model", "anchor", "fraud").out
    entries = run("audit", "log", "--json").json["entries"]
    assert entries[0]["action"] == "model.anchor"
    explained = run("plan", "explain", "plans/quick.yaml", "--model", "fraud")
    assert "No release of fraud has measured these guardrails since its anchor." in explained.out


def test_the_anchor_is_set_through_the_control_plane(api: Any, run: Any) -> None:
    said = run("model", "anchor", "fraud", "1", "--reason", "through the API")
    assert (said.code, "set by" in said.out) == (0, True)
    assert "ST0633" in run("model", "anchor", "fraud", 2**63, "--reason", "no such version").err
    refused = run("model", "anchor", "fraud", "2", "--reason", "never served")
    assert (refused.code, "ST0268" in refused.err) == (1, True)
