"""29.2: accelerator tests outside of commits, and the bug that only an accelerator has, found without one.

And 29.1b (3): code, data and model are told apart, each fault fails its own group, and what is red is not released.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.linear_model import LogisticRegression

from seatrial.cli import main
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.errors import Conflict
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.store.alert import Alert
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.db import Store
from seatrial.store.plans import parse_plan

FEATURES = ("amount", "age")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAN = parse_plan("""
name: p
metrics: [{name: errors, kind: error_rate, margin: 10pp}]
steps: [{setWeight: 10%}, {pause: {duration: 1d}}]
deadline: 9d
""")

UNITS = {"name": "units", "group": "code", "run": "test ! -e broken"}
DATA = {
    "name": "data", "group": "data",
    "data": {"file": "train.parquet", "rows": 100, "columns": {"amount": {"type": "number", "nulls": "1%"}}},
}  # fmt: skip
HOLDOUT = {
    "name": "holdout", "group": "model",
    "validate": {"file": "holdout.parquet", "label": "fraud", "metric": "auc", "required": 0.7, "margin": 0.02,
                 "slices": ["country"]},
}  # fmt: skip
GOLDEN = {"file": "golden.json", "tolerance": 1e-5, "threshold": 0.5}
GPU = {
    "name": "gpu", "group": "model", "run": "true", "gpu": True, "events": ["nightly"], "maxAge": "36h",
    "schedule": "0 2 * * *", "paths": ["serving/**"], "costPerHour": 4.0,
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    def step(self, name: str) -> dict[str, Any]:
        return next(step for step in self.json["steps"] if step["name"] == name)


def frame(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"amount": rng.normal(size=rows), "age": rng.normal(size=rows)})
    data["country"] = rng.choice(["DE", "FR"], size=rows)
    data["fraud"] = (rng.uniform(size=rows) < 1 / (1 + np.exp(-2 * data["amount"] + data["age"]))).astype(float)
    return data


class Shop:
    """A project with a champion and candidates that are files; no control plane runs."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        (root / "seatrial.yaml").write_text("project: shop\n")
        self.project = Project.open(root)
        self.project.prepare()
        train = frame(800, 1)
        train.to_parquet(root / "train.parquet")
        frame(2_000, 2).to_parquet(root / "holdout.parquet")
        self.good = LogisticRegression().fit(train[list(FEATURES)].to_numpy(), train["fraud"])
        self.pipeline(UNITS)
        self.register(self.good)
        with Store.open(self.project.store_url) as store, store.begin() as tx:
            tx.models.move_pointer("fraud", "champion", expected=None, to=1, actor="ann", now=NOW)

    def pipeline(self, *steps: dict[str, Any], **more: Any) -> None:
        (self.root / "ci.yaml").write_text(yaml.safe_dump({"steps": list(steps), **more}))

    def register(self, model: Any) -> int:
        """The number of a new version."""
        path = self.root / "model.skops"
        skops.io.dump(model, path)
        digest = ArtifactStore(self.project.artifacts).put_file(path)
        serving = Serving(kind="artifact", artifact=digest, format="skops", features=FEATURES)
        lineage = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(digest, 800), ModelRef(digest, "sklearn"))
        with Store.open(self.project.store_url) as store:
            return Operations(self.project, store).register("fraud", serving, lineage, actor="ann").number

    def run(self, *words: object) -> Said:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["--project", str(self.root), *map(str, words)])
        told = self._capsys.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, told.out, told.err)

    def ci(self, version: int, *words: object) -> Said:
        return self.run("ci", "run", "fraud", version, *words, "--json")

    def alerts(self) -> list[Alert]:
        with Store.open(self.project.store_url) as store, store.read() as tx:
            return [stored.alert for stored in tx.alerts.latest(100)]


@pytest.fixture
def shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shop:
    return Shop(tmp_path, capsys)


@pytest.fixture
def no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an accelerator, whatever this one has."""
    driver(tmp_path, monkeypatch, None)


def driver(root: Path, monkeypatch: pytest.MonkeyPatch, told: str | None) -> None:
    """Programs of this machine by another path: with a driver that says so, or without one."""
    programs = root / "bin"
    programs.mkdir(exist_ok=True)
    for name in ("sh", "true", "false", "test", "sleep", "git"):
        if not (programs / name).exists():
            (programs / name).symlink_to(next(p for p in (f"/usr/bin/{name}", f"/bin/{name}") if os.path.exists(p)))
    (programs / "nvidia-smi").unlink(missing_ok=True)
    if told is not None:
        (programs / "nvidia-smi").write_text(f"#!/bin/sh\necho '{told}'\n")
        (programs / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))


# ── 29.2a and b: where accelerator tests run ───────────────────────────────────────────────────────────────────────


def test_without_an_accelerator_its_steps_are_skipped_and_told(shop: Shop, no_driver: None) -> None:
    shop.pipeline(UNITS, {**GPU, "events": ["commit", "nightly"]})
    said = shop.ci(1)
    assert said.code == 0
    assert said.json["counts"] == {"passed": 1, "failed": 0, "skipped": 1, "left_out": 0}
    assert said.step("gpu")["reason"] == "no driver: nvidia-smi is not installed"
    assert "○ model gpu: no driver" in said.err
    assert "✔ model gpu" not in said.err
    demanded = shop.ci(1, "--require-gpu")
    assert demanded.code == 3
    assert demanded.json["lastGpu"] is None, "what never ran took no time and cost nothing"


def test_checks_of_a_version_are_skipped_where_a_run_is_about_none(shop: Shop) -> None:
    """A push knows of no version. What it skips makes nothing green."""
    shop.pipeline(UNITS, HOLDOUT)
    said = shop.run("ci", "run", "--json")
    assert (said.code, said.json["counts"]["skipped"]) == (0, 1)
    assert said.step("holdout")["reason"] == "it is about a version: run it with MODEL and VERSION"
    assert "step 'holdout' never ran for this model" in shop.run("ci", "green", "fraud", 1).out
    shop.pipeline(HOLDOUT)
    assert shop.run("ci", "run").code == 3, "nothing passed"


def test_before_the_first_commit_every_file_is_new(shop: Shop) -> None:
    shop.pipeline(UNITS, GPU)
    (shop.root / "serving").mkdir()
    (shop.root / "serving" / "host.py").touch()
    subprocess.run(["git", "init", "-q"], cwd=shop.root, check=True)
    subprocess.run(["git", "add", "serving"], cwd=shop.root, check=True)
    for nothing in ("", "0" * 40):
        steps = shop.run("ci", "plan", "--since", nothing, "--json").json["steps"]
        assert [step["included"] for step in steps] == [True, True]
    assert "ST1232" in shop.run("ci", "plan", "--since", "nonsense").err


def test_a_driver_without_a_device_and_a_month_without_budget_are_other_reasons(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.pipeline(UNITS, GPU, gpuBudget=1e-9)
    driver(shop.root, monkeypatch, "No devices found.")
    assert shop.ci(1, "--event", "nightly").step("gpu")["reason"] == "no device: the driver lists none"
    driver(shop.root, monkeypatch, "GPU 0: one")
    ran = shop.ci(1, "--event", "nightly")
    assert ran.step("gpu")["status"] == "passed"
    assert ran.step("gpu")["cost"] > 0
    assert ran.json["lastGpu"]["cost"] == ran.step("gpu")["cost"], "what the last one took and cost is told"
    assert shop.ci(1, "--event", "nightly").step("gpu")["reason"].startswith("budget: ")


def test_a_commit_leaves_it_out_and_a_change_of_serving_asks_for_it(shop: Shop) -> None:
    shop.pipeline(UNITS, GPU)

    def asked(*words: str) -> dict[str, bool]:
        document = shop.run("ci", "plan", *words, "--json").json
        return {step["name"]: step["included"] for step in document["steps"]}

    assert asked("--event", "commit") == {"units": True, "gpu": False}
    assert asked("--event", "nightly") == {"units": False, "gpu": True}
    assert asked("--changed", "docs/a.md") == {"units": True, "gpu": False}
    assert asked("--changed", "serving/host.py") == {"units": True, "gpu": True}


def test_one_alert_for_nights_that_fail_and_a_green_one_clears_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    driver(shop.root, monkeypatch, "GPU 0: one")
    shop.pipeline(UNITS, {**GPU, "run": "false"})
    for _ in range(3):
        assert shop.ci(1, "--event", "nightly").code == 3
    assert [alert.kind for alert in shop.alerts()] == ["ci.failed"]
    shop.ci(1)
    assert shop.run("ci", "green", "fraud", 1).code == 3
    shop.pipeline(UNITS, GPU)
    assert shop.ci(1, "--event", "nightly").code == 0
    assert shop.run("ci", "green", "fraud", 1).code == 0
    shop.pipeline(UNITS, {**GPU, "run": "false"})
    shop.ci(1, "--event", "nightly")
    assert len(shop.alerts()) == 2, "the next failure is another one"


def test_a_step_that_takes_too_long_has_failed(shop: Shop) -> None:
    shop.pipeline({**UNITS, "run": "echo begun; sleep 60 & sleep 60", "timeout": "300ms"})
    said = shop.ci(1)
    assert (said.code, said.step("units")["status"]) == (3, "failed")
    assert said.step("units")["reason"] == "it ran longer than 0.3 s and was ended: begun"


@pytest.mark.live
def test_a_check_of_the_model_that_takes_too_long_has_failed_too(shop: Shop) -> None:
    shop.pipeline({**HOLDOUT, "timeout": "1ms"})
    said = shop.ci(1)
    assert (said.code, said.step("holdout")["status"]) == (3, "failed")
    assert "did not come up in 0.001 s" in said.step("holdout")["reason"]


# ── 29.1b (3): three groups, and what is red is not released ───────────────────────────────────────────────────────


@pytest.mark.live
@pytest.mark.slow
def test_each_fault_fails_its_own_group_and_keeps_the_version_from_release(shop: Shop) -> None:
    candidate = shop.register(
        LogisticRegression(C=0.5).fit(frame(800, 3)[list(FEATURES)].to_numpy(), frame(800, 3)["fraud"])
    )
    worse = shop.register(LogisticRegression().fit(frame(800, 1)[list(FEATURES)].to_numpy(), frame(800, 9)["fraud"]))
    shop.pipeline(UNITS, DATA, HOLDOUT)
    sound = shop.ci(candidate)
    assert (sound.code, sound.json["groups"]) == (0, {"code": "passed", "data": "passed", "model": "passed"})
    assert [one["slice"] for one in sound.step("holdout")["detail"]["slices"]] == [
        "overall",
        "country=DE",
        "country=FR",
    ]

    (shop.root / "broken").touch()
    assert shop.ci(candidate).json["groups"] == {"code": "failed", "data": "passed", "model": "passed"}
    (shop.root / "broken").unlink()
    holes = frame(800, 1)
    holes.loc[holes.index % 10 < 3, "amount"] = np.nan
    holes.to_parquet(shop.root / "train.parquet")
    said = shop.ci(candidate)
    assert said.json["groups"] == {"code": "passed", "data": "failed", "model": "passed"}
    assert "column 'amount': 240 of 800 rows are missing (30.00%)" in said.step("data")["reason"]
    frame(800, 1).to_parquet(shop.root / "train.parquet")
    said = shop.ci(worse)
    assert said.json["groups"] == {"code": "passed", "data": "passed", "model": "failed"}
    assert "overall: auc is" in said.step("holdout")["reason"]


@pytest.mark.live
@pytest.mark.slow
def test_a_loss_against_the_champion_that_cannot_be_excluded_does_not_pass(shop: Shop) -> None:
    blind = LogisticRegression().fit(frame(800, 1)[list(FEATURES)].to_numpy(), frame(800, 1)["fraud"])
    blind.coef_[0, 1] = 0.0  # it does not see age: still an area of 0.8, and worse than the champion's
    lenient = {**HOLDOUT, "validate": {**HOLDOUT["validate"], "required": 0.6}}  # type: ignore[dict-item]
    shop.pipeline(lenient)
    reason = shop.ci(shop.register(blind)).step("holdout")["reason"]
    assert "worse than the champion's, and a loss of" in reason
    assert shop.ci(shop.register(shop.good)).code == 0, "the champion once more is no loss"


def test_what_is_red_stale_or_of_another_model_is_not_released(shop: Shop) -> None:
    candidate = shop.register(LogisticRegression(C=0.5).fit(np.eye(2), [0, 1]))

    def refused(override: str = "") -> str:
        with Store.open(shop.project.store_url) as store, store.read() as tx:
            from seatrial.control.quality import require_green

            version = tx.models.get_version("fraud", candidate)
            try:
                passed = require_green(tx, shop.project, version, datetime.now(UTC), override=override)
            except Conflict as error:
                return error.message
            return " and ".join(passed)

    assert "step 'units' never ran for this model" in refused()
    shop.ci(1)
    assert "it last ran for sha256:" in refused(), "green for another model is not green"
    (shop.root / "broken").touch()
    shop.ci(candidate)
    assert "step 'units' failed in ci-0002" in refused()
    assert "step 'units' failed in ci-0002" in refused("we know; the test is wrong"), "what was passed over is told"
    (shop.root / "broken").unlink()
    shop.ci(candidate)
    assert refused() == ""
    shop.pipeline({**UNITS, "maxAge": "1ms"})
    assert "more than 1ms ago" in refused()


# ── 29.2c: a bug that only an accelerator has ──────────────────────────────────────────────────────────────────────


@pytest.fixture
def recorded(shop: Shop) -> Callable[..., Said]:
    """Answers of version 1, as some accelerator gave them: changed by a function of the scores."""
    rows = frame(300, 7)[list(FEATURES)]
    rows.to_csv(shop.root / "rows.csv", index=False)
    shop.run("ci", "golden", "fraud", 1, "--rows", shop.root / "rows.csv", "--to", shop.root / "golden.json")
    golden = json.loads((shop.root / "golden.json").read_text())

    def run(change: Callable[[Any], Any], **more: Any) -> Said:
        scores = change(np.array(golden["scores"]))
        changed = {**golden, "scores": [None if s != s else float(s) for s in scores], "device": "cuda:0"}
        (shop.root / "golden.json").write_text(json.dumps(changed))
        shop.pipeline({"name": "golden", "group": "model", "golden": {**GOLDEN, **more}})
        return shop.ci(1)

    return run


@pytest.mark.live
def test_recorded_answers_are_compared_by_score_decision_and_rank(recorded: Callable[..., Said]) -> None:
    same = recorded(lambda s: s + 1e-7)
    assert same.code == 0
    assert same.step("golden")["detail"]["recordedOn"] == "cuda:0"
    parity = same.step("golden")["detail"]["parity"]
    assert (parity["rows"], parity["beyondTolerance"], parity["flips"]) == (300, 0, 0)
    assert parity["rankAgreement"] == pytest.approx(1.0)
    far = recorded(lambda s: s + 1e-2)
    assert far.code == 3
    assert "300 of 300 scores differ by up to 0.01" in far.step("golden")["reason"]


@pytest.mark.slow
@pytest.mark.live
def test_a_change_too_small_to_see_that_crosses_the_threshold_is_a_flip(recorded: Callable[..., Said]) -> None:
    def nudged(scores: Any) -> Any:
        changed = scores.copy()
        changed[0] += 1e-6
        return changed

    between = recorded_score(recorded) + 5e-7
    said = recorded(nudged, threshold=between)
    assert said.step("golden")["detail"]["parity"]["beyondTolerance"] == 0
    assert said.step("golden")["reason"] == "1 of 300 decisions flip, 0 may"
    assert recorded(nudged).code == 0, "across nothing it is rounding"


def recorded_score(recorded: Callable[..., Said]) -> float:
    """The first recorded score."""
    found: list[float] = []
    recorded(lambda s: found.append(float(s[0])) or s)
    return found[0]


@pytest.mark.slow
@pytest.mark.live
def test_a_row_without_an_answer_on_one_side_fails(recorded: Callable[..., Said]) -> None:
    def holed(scores: Any) -> Any:
        changed = scores.copy()
        changed[4] = np.nan
        return changed

    assert recorded(holed).step("golden")["reason"] == "1 of 300 rows have an answer on one side only"


@pytest.mark.live
@pytest.mark.slow
def test_reduced_precision_is_tried_on_any_machine(recorded: Callable[..., Said]) -> None:
    fine = recorded(lambda s: s, precision=["float32", "bfloat16"], reducedTolerance=0.02, reducedFlips="2%")
    assert fine.code == 0
    low = fine.step("golden")["detail"]["bfloat16"]
    assert 1e-4 < low["largestDifference"] < 0.02
    assert low["arraysRounded"] >= 2, "coefficients and intercept"
    assert fine.step("golden")["detail"]["float32"]["largestDifference"] < 1e-6
    strict = recorded(lambda s: s, precision=["bfloat16"], reducedTolerance=1e-5)
    assert "in bfloat16, " in strict.step("golden")["reason"]


@pytest.mark.slow
@pytest.mark.live
def test_golden_answers_of_another_model_are_stale(shop: Shop, recorded: Callable[..., Said]) -> None:
    assert recorded(lambda s: s).code == 0
    said = shop.ci(shop.register(LogisticRegression(C=0.5).fit(np.eye(2), [0, 1])))
    assert said.code == 3
    assert "'golden.json' is stale" in said.step("golden")["reason"]
