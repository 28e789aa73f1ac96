"""Exercise 29.24(c): changes declared before, a test set that nobody trains on, and drift that changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from changeparts import Bank
from commandline import run_command
from seatrial.ci.results import Run, StepResult
from seatrial.control.changes.gate import require_declared
from seatrial.control.changes.row_hashes import row_hashes
from seatrial.control.changes.test_sets import hashed
from seatrial.control.changes.tickets import ticket_from_trigger
from seatrial.errors import Conflict, UsageError
from seatrial.governance.tickets import Stratum
from seatrial.retrain.manager import Reading, State, asked, observed, step
from seatrial.retrain.policy import Policy, Trigger
from seatrial.signing import SigningKey

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ENVELOPE = """
name: chest-xray plan of 2026
cumulative: sensitivity at no site falls below 0.85 by all modifications together
modifications:
  - name: training on newer studies
    rationale: scanners and patients change
    changes: [data digest, data rows, data time range, model digest]
    importance: 0.5
    hyperParameters: {C: {min: 0.1, max: 1}}
    protocol:
      dataManagement: studies of the sites under contract, labels by two readers
      retraining: the pipeline of the device as it is, on the last twelve months
      evaluation: locked test set, by site and sex
      update: canary by site, labelling names the version
    criteria:
      - {metric: sensitivity, step: reads, min: 0.85}
      - {metric: sensitivity, step: reads, slice: site=*, min: 0.8, maxLoss: 0.03, minRows: 50}
    impact: {benefit: fewer missed cases, risk: a site gets worse, mitigation: floors by site}
"""


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Bank]:
    made = Bank(tmp_path)
    made.register()
    made.serve(1)
    made.operations.changes.set_baseline("credit", 1, reason="K261234", actor="ra", own=True)
    yield made
    made.close()


@pytest.fixture
def run(clinic: Bank, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object, code: int = 0) -> Any:
        return run_command(capsys, "--project", clinic.project.root, *words, code=code)

    return run


def declare(clinic: Bank) -> Path:
    path = clinic.project.root / "envelope.yaml"
    path.write_text(ENVELOPE)
    clinic.operations.changes.set_envelope(
        "credit", ENVELOPE, source="envelope.yaml", reason="K261234", actor="ra", own=True
    )
    return path


def found(site_b: float, *, rows: int = 200, metric: str = "sensitivity", **overall: Any) -> StepResult:
    """What ML CI measured: the lower end of the interval of a metric, overall and at two sites."""

    def slice_of(name: str, bound: float) -> dict[str, Any]:
        value = {"estimate": bound + 0.02, "bound": bound}
        return {"slice": name, "rows": rows, "value": value, "loss": {"estimate": 0.0, "bound": 0.01}, "problem": "",
                "counts": True}  # fmt: skip

    slices = [slice_of("overall", 0.9), slice_of("site=A", 0.9), slice_of("site=B", site_b)]
    return StepResult(
        name="reads", group="model", status="passed", detail={"metric": metric, **overall, "slices": slices}
    )


def measured(clinic: Bank, version: int, step: StepResult) -> None:
    run = Run(id="", event="release", started_at=NOW, actor="", model="credit", version=version, steps=(step,))
    clinic.operations.record_ci(run, actor="ci")


def start(clinic: Bank, version: int) -> None:
    """What every rollout asks first."""
    with clinic.store.read() as tx:
        require_declared(tx, tx.models.get_version("credit", version))


# ── the envelope ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_declared_and_meets_its_criteria_takes_the_short_path(clinic: Bank, run: Any) -> None:
    run("change", "envelope", "set", "credit", declare(clinic), "--reason", "K261234")
    clinic.register(hyperparameters={"C": 0.7})
    assert clinic.triage(2)["requires"]["approvals"] == 2
    with pytest.raises(Conflict, match=r"ST1423.*found nothing about overall"):
        start(clinic, 2)
    measured(clinic, 2, found(0.82))
    said = run("change", "envelope", "check", "credit", 2, "--json")
    assert said["status"] == "inside"
    assert [(line["criterion"], line["met"]) for line in said["traceability"]] == [
        ("sensitivity of overall at least 0.85", True),
        ("sensitivity of site=* at least 0.8, loss at most 0.03", True),
    ]
    assert [one["slice"] for one in said["traceability"][1]["evidence"]] == ["site=A", "site=B"]
    assert said["traceability"][0]["evidence"][0]["source"] == "ci-0001"
    assert set(said["traceability"][0]["protocol"]) == {"dataManagement", "retraining", "evaluation", "update"}
    short = clinic.triage(2)
    assert (short["material"], short["envelope"], short["requires"]["approvals"]) == (True, "inside", 1)
    start(clinic, 2)


def test_what_is_not_declared_is_refused_with_what_to_file(clinic: Bank) -> None:
    declare(clinic)
    clinic.register(algorithm="vision transformer", hyperparameters={"C": 0.7})
    measured(clinic, 2, found(0.82))
    said = clinic.envelope_check(2)
    assert said["status"] == "outside"
    assert said["outside"] == ["model algorithm: logistic regression → vision transformer"]
    assert "new submission" in said["file"]
    with pytest.raises(Conflict, match=r"ST1422.*vision transformer.*new submission"):
        start(clinic, 2)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (found(0.79), "site=B: sensitivity is 0.79"),
        (found(0.82, rows=49), "49 rows are fewer than 50"),
        (found(0.82, metric="accuracy"), "step 'reads' of ML CI measures accuracy, not sensitivity"),
        (StepResult(name="other", group="model", status="passed", detail={"slices": []}), "found nothing"),
    ],
)
def test_one_subgroup_is_enough_to_fail(clinic: Bank, step: StepResult, problem: str) -> None:
    declare(clinic)
    clinic.register()
    measured(clinic, 2, step)
    with pytest.raises(Conflict, match=problem):
        start(clinic, 2)


def test_evidence_of_another_model_is_none(clinic: Bank) -> None:
    declare(clinic)
    clinic.register()
    clinic.register()
    measured(clinic, 2, found(0.82))
    start(clinic, 2)
    with pytest.raises(Conflict, match="ST1423"):
        start(clinic, 3)


def test_beyond_a_declared_bound_lies_outside(clinic: Bank, run: Any) -> None:
    declare(clinic)
    clinic.register(hyperparameters={"C": 1.1})
    clinic.register(importances={"income": 0.41, "score": 0.9})
    assert clinic.envelope_check(2)["outside"] == ["hyper-parameter C: 0.5 → 1.1"]
    assert "importance of score" in run("change", "envelope", "check", "credit", 3, code=3)


def test_an_envelope_that_leaves_something_open_is_refused(clinic: Bank, run: Any) -> None:
    empty, toothless = "evaluation: locked test set, by site and sex", "{metric: sensitivity, step: reads, min: 0.85}"
    for wrong, problem in ((ENVELOPE.replace(empty, "evaluation: ''"), "evaluation is empty"),
                           (ENVELOPE.replace(toothless, "{metric: x, step: reads}"), "give min, max or maxLoss"),
                           (ENVELOPE.replace("sensitivity, step: reads, min", "recall, step: reads, min"),
                            r"ST1424.*measures no 'recall'"),
                           (ENVELOPE.replace("criteria:", "criterions:"), "did you mean 'criteria'")):  # fmt: skip
        with pytest.raises(UsageError, match=problem):
            clinic.operations.changes.set_envelope("credit", wrong, source="x.yaml", reason="x", actor="ra", own=True)
    run("change", "envelope", "show", "credit", code=1)


# ── the locked test set ────────────────────────────────────────────────────────────────────────────────────────────


def table(path: Path, start: int, rows: int, *, csv: bool = False) -> Path:
    ids = np.arange(start, start + rows)
    made = pa.table({"study": ids, "age": 40.0 + ids % 50, "sex": np.where(ids % 2, "f", "m")})
    if csv:
        from pyarrow.csv import write_csv

        write_csv(made.select(["sex", "study", "age"]), path)
    else:
        pq.write_table(made, path)
    return path


def test_training_data_and_a_locked_test_set_are_kept_apart(clinic: Bank, run: Any, tmp_path: Path) -> None:
    locked = run("change", "testset", "lock", "credit", table(tmp_path / "reads.parquet", 0, 300), "--json")
    assert (locked["id"], locked["rows"], locked["left"]) == ("s-0001", 300, 20)
    apart = run("change", "testset", "check", "credit", table(tmp_path / "train.parquet", 300, 500), "--json")
    assert apart["apart"]
    mixed = table(tmp_path / "mixed.csv", 293, 500, csv=True)  # other format, other order of columns
    said = run("change", "testset", "check", "credit", mixed, "--json", code=3)
    assert said["testSets"] == [{"id": "s-0001", "rows": 7, "of": 500}]
    register = ("model", "register", "credit", "--url", "http://127.0.0.1:9/", "--code-commit", "1f0c2aa",
                "--model-digest", "sha256:" + "a" * 64, "--model-framework", "x")  # fmt: skip
    run(*register, "--data", mixed, code=1)
    run(*register, "--data", tmp_path / "train.parquet")
    run("change", "testset", "lock", "credit", tmp_path / "reads.parquet", code=1)
    pq.write_table(pa.table({"study": [1, 2]}), tmp_path / "narrow.parquet")
    with pytest.raises(AssertionError, match=r"ST1436 .*no column 'age', which makes a row of the locked test set"):
        run(*register, "--data", tmp_path / "narrow.parquet")


def test_a_version_that_was_trained_on_the_test_set_itself_does_not_start(clinic: Bank) -> None:
    path = table(clinic.project.root / "reads.parquet", 0, 10)
    given = hashed(clinic.project, "credit", path, (), name="reads", limit=20)
    clinic.operations.changes.lock_test_set(given, actor="ann")
    with clinic.store.read() as tx:
        version = tx.models.get_version("credit", 1)
        assert version.lineage is not None
        assert version.lineage.data is not None
        digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
        object.__setattr__(version.lineage.data, "digest", digest)
        with pytest.raises(Conflict, match="ST1435"):
            require_declared(tx, version)
    start(clinic, 1)


def test_each_look_at_a_test_set_counts_once_and_too_many_wear_it(clinic: Bank, run: Any) -> None:
    path = table(clinic.project.root / "reads.parquet", 0, 10)
    run("change", "testset", "lock", "credit", path, "--limit", 2)
    digest = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    clinic.register()
    measured(clinic, 2, found(0.82, table=digest))
    measured(clinic, 2, found(0.82, table=digest))  # nothing more is learned from the same number
    measured(clinic, 2, found(0.82, table="sha256:" + "0" * 64))
    shown = run("change", "testset", "show", "s-0001", "--json")
    assert [(use["version"], use["purpose"]) for use in shown["uses"]] == [(2, "ci reads")]
    assert shown["warning"] is None
    worn = run("change", "testset", "use", "s-0001", 1, "--purpose", "threshold chosen", "--json")
    assert worn["left"] == 0
    assert worn["warning"] == "used 2 times, the limit is 2: lock a fresh one"
    with clinic.store.read() as tx:
        assert [one.alert.kind for one in tx.alerts.latest(9)] == ["testset.worn"]


def test_a_test_set_that_was_locked_by_mistake_is_retired_and_stays_on_record(clinic: Bank, run: Any) -> None:
    path = table(clinic.project.root / "train.parquet", 0, 10)
    run("change", "testset", "lock", "credit", path)
    run("change", "testset", "check", "credit", path, code=3)
    run("change", "testset", "retire", "s-0001", "--reason", " ", code=2)
    retired = run("change", "testset", "retire", "s-0001", "--reason", "the wrong file", "--json")["retired"]
    assert retired["reason"] == "the wrong file"
    assert run("change", "testset", "check", "credit", path, "--json")["apart"]
    assert "retired by" in run("change", "testset", "list")
    run("change", "testset", "retire", "s-0001", "--reason", "again", code=1)
    run("change", "testset", "lock", "credit", path, "--columns", "study")
    run("change", "testset", "check", "credit", path, code=3)
    with clinic.store.read() as tx:
        assert [entry.action for entry in tx.audit.entries() if entry.action.startswith("testset")] == [
            "testset.lock", "testset.retire", "testset.lock",
        ]  # fmt: skip


def test_a_row_is_its_content(tmp_path: Path) -> None:
    from seatrial.ci.tables import Table

    one = Table(table(tmp_path / "a.parquet", 0, 20))
    other = Table(table(tmp_path / "b.csv", 0, 20, csv=True))
    names = ("age", "sex", "study")
    assert row_hashes(one, names) == row_hashes(other, ("study", "age", "sex"))
    assert len(set(row_hashes(one, names))) == 20
    assert not set(row_hashes(one, names)) & set(row_hashes(Table(table(tmp_path / "c.parquet", 20, 20)), names))


# ── drift ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def scans(path: Path, seed: int, *, shifted: str = "", sites: str = "ABC") -> Path:
    rng = np.random.default_rng(seed)
    site = rng.choice(list(sites), 3000)
    dose = rng.normal(2.0, 0.5, 3000) + np.where(site == shifted, 0.7, 0.0)
    pq.write_table(pa.table({"site": site, "dose": dose, "age": rng.normal(60, 12, 3000)}), path)
    return path


def production(clinic: Bank) -> list[Any]:
    """Everything about what users get: pointers, versions with their digests, rollouts."""
    with clinic.store.read() as tx:
        pointers, rollouts = tx.models.pointers("credit"), tx.rollouts.list("credit")
        versions = [(v.number, v.stage, v.serving.artifact, v.lineage) for v in tx.models.list_versions("credit")]
    return [pointers, versions, rollouts]


def test_drift_at_a_site_is_a_ticket_and_changes_nothing(clinic: Bank, run: Any, tmp_path: Path) -> None:
    reference = scans(tmp_path / "reference.parquet", 1)
    before = production(clinic)
    opened = ("change", "tickets", "open", "credit", "--reference", reference, "--by", "site", "--json", "--current")
    quiet = run(*opened, scans(tmp_path / "quiet.parquet", 2))
    assert quiet["tickets"] == []
    ticket = run(*opened, scans(tmp_path / "now.parquet", 3, shifted="B", sites="ABD"))
    assert [(s["column"], s["value"], s["what"]) for s in ticket["strata"]] == [
        ("site", "B", "drift"), ("site", "C", "gone"), ("site", "D", "new"),
    ]  # fmt: skip
    assert {shift["column"] for shift in ticket["strata"][0]["shifts"]} == {"dose"}
    assert ticket["version"] == 1
    assert ticket["artifact"] == before[1][0][2]
    assert run(*opened, tmp_path / "now.parquet")["id"] == ticket["id"]
    assert production(clinic) == before
    run("change", "tickets", "close", ticket["id"], "--reason", "scanner B recalibrated, sensitivity 0.91 on 210 reads")
    assert run("change", "tickets", "list", "--open", "--json")["tickets"] == []
    run("change", "tickets", "close", ticket["id"], "--reason", "again", code=1)
    assert "scanner B recalibrated" in run("change", "tickets", "show", ticket["id"])
    with clinic.store.read() as tx:
        assert [entry.action for entry in tx.audit.entries() if entry.action.startswith("ticket")] == [
            "ticket.open", "ticket.close",
        ]  # fmt: skip


def test_a_training_run_that_drift_started_opens_one_too(clinic: Bank) -> None:
    triggers = (Trigger(name="inputs", drift=0.2), Trigger(name="ask", manual=True))
    policy = Policy(model="credit", primary="inputs", triggers=triggers)
    state, _ = step(policy, observed(policy, State(looked=NOW), Reading(at=NOW, psi={"age": 0.3, "sex": 0.1})), NOW)
    by_hand, _ = step(policy, asked(policy, State(looked=NOW), "ask", NOW, "ann"), NOW)
    before = production(clinic)
    with clinic.store.begin() as tx:
        assert ticket_from_trigger(tx, policy, state, NOW) is None  # no envelope: training is not regulated here
    declare(clinic)
    with clinic.store.begin() as tx:
        assert ticket_from_trigger(tx, policy, by_hand, NOW) is None
        ticket = ticket_from_trigger(tx, policy, state, NOW)
    assert ticket is not None
    assert (
        json.loads(json.dumps(ticket.document))["strata"][0]["text"] == "model=credit drifted in age (psi 0.30), 0 rows"
    )
    assert production(clinic) == before


# ── on the record ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_all_of_it_is_in_the_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Baseline, envelope to the letter, the test set with its uses, the ticket: for whoever has no store."""
    key, out = SigningKey.create(tmp_path / "key.pem"), tmp_path / "history"
    (tmp_path / "shop").mkdir()
    clinic = Bank(tmp_path / "shop", "audit: {key: ../key.pem}\n")
    here = ("--project", clinic.project.root)
    clinic.register()
    clinic.serve(1)
    clinic.operations.changes.set_baseline("credit", 1, reason="K261234", actor="ra", own=True)
    declare(clinic)
    run_command(capsys, *here, "change", "testset", "lock", "credit", table(tmp_path / "reads.parquet", 0, 10))
    run_command(capsys, *here, "change", "testset", "use", "s-0001", 1, "--purpose", "threshold chosen")
    clinic.operations.changes.open_ticket("credit", [Stratum("site", "B", "new", 40)], cause="a look", actor="ann")
    run_command(capsys, *here, "audit", "export", "--model", "credit", "--out", out)
    clinic.close()
    verify = ("audit", "verify-bundle", out, "--public-key", key.public.text)
    run_command(capsys, *verify)
    told = {path.parent.name: json.loads(path.read_text()) for path in (out / "governance").glob("*/*.json")}
    assert told["change-baselines"]["reason"] == "K261234"
    assert told["change-envelopes"]["document"] == ENVELOPE
    assert [use["purpose"] for use in told["test-sets"]["uses"]] == ["threshold chosen"]
    assert told["tickets"]["document"]["strata"][0]["value"] == "B"
    path = out / "governance" / "test-sets" / "0001.json"
    path.chmod(0o644)
    path.write_text(path.read_text().replace("threshold chosen", "nothing"))
    with pytest.raises(AssertionError, match=r"ST1508.*governance/test-sets/0001.json"):
        run_command(capsys, *verify)
