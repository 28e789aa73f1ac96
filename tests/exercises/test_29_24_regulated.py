"""29.24 and 29.22, the regulated flow on real credit data: another version of a source, from triage to bundle."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from apisystem import Api
from commandline import run_command
from livesystem import HOUR, SALT, T0, Live
from seatrial.client import Client
from seatrial.errors import Conflict
from seatrial.events.outcomes import Outcome
from seatrial.registry.lifecycle import Stage
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.safety import Safety
from seatrial.registry.version import Serving
from seatrial.signing import SigningKey
from seatrial.store import releases
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import digest_of

pytestmark = [pytest.mark.live, pytest.mark.slow]

CREDIT = Path(__file__).parent / "data" / "credit.parquet"
BUREAU = ("Income", "Assets", "Debt")
APPLICATION = ("Seniority", "Time", "Age", "Expenses", "Amount", "Price")
FEATURES = (*APPLICATION, *BUREAU)

POLICY = """
approvals:
  people: {rita: [rita.k@example.com]}
  roles: {risk: [rita, ben]}
  teams: {credit-team: [carl]}
  least: {count: 2, roles: [risk]}
audit: {key: KEY}
"""
PLAN = yaml.safe_load("""
name: credit
timeBucket: 1h
lookEvery: 1h
deadline: 10d
metrics:
  - {name: errors, kind: error_rate, margin: 30pp}
  - name: log_loss
    kind: loss
    loss: log_loss
    outcome: bad
    horizon: 1h
    margin: 40%
    justification: 1,200 decisions of a rehearsal; the model risk committee accepts what they can show
steps:
  - setWeight: 50%
  - pause: {duration: 3h}
""")
ENVELOPE = {
    "name": "credit scorecard 2026",
    "cumulative": "all of it together may cost at most 0.1 of AUC against the champion",
    "outside": "a full validation by model risk (MRM-7)",
    "modifications": [{
        "name": "next version of the bureau", "rationale": "the bureau retires v2",
        "protocol": {"dataManagement": "reconcile both versions", "retraining": "same pipeline",
                     "evaluation": "holdout of 600", "update": "canary of half"},
        "criteria": [{"metric": "auc", "step": "holdout", "min": 0.7, "maxLoss": 0.1, "minRows": 500}],
        "impact": {"benefit": "none is lost", "risk": "coarser debts", "mitigation": "the canary"},
        "sources": {name: ["credit_bureau_v3"] for name in BUREAU},
        "changes": ["data digest", "model digest"], "importance": 0.5,
    }],
}  # fmt: skip
CI = {"steps": [{
    "name": "holdout", "group": "model", "events": ["commit"],
    "validate": {"file": "holdout.parquet", "label": "bad", "metric": "auc", "required": 0.7, "margin": 0.1},
}]}  # fmt: skip


def applications() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """To train on, to validate on, and to decide live; as the bureau's v2 tells them."""
    table = pd.read_parquet(CREDIT)
    table = table.dropna(subset=list(FEATURES)).sample(frac=1.0, random_state=7)
    table["bad"] = (table.pop("Status") == "bad").astype(int)
    table = table[[*FEATURES, "bad"]].astype(float)
    return table[:1800], table[1800:2400], table[2400:3600]


def of_v3(table: pd.DataFrame) -> pd.DataFrame:
    """What the next version of the bureau tells of the same people: amounts in whole hundreds."""
    return table.assign(**{name: (table[name] / 100).round() * 100 for name in ("Assets", "Debt")})


class Bank:
    """The running system with its two versions, and the people around it, each with a token of their own."""

    def __init__(self, live: Live) -> None:
        self.live, self.root = live, live.project.root
        live.model = "credit"
        self.train, holdout, self.today = applications()
        holdout.to_parquet(self.root / "holdout.parquet")
        (self.root / "ci.yaml").write_text(yaml.safe_dump(CI))
        (self.root / "plan.yaml").write_text(yaml.safe_dump(PLAN))
        (self.root / "envelope.yaml").write_text(yaml.safe_dump(ENVELOPE))
        self.api: Any = Api(live.operations, live.project, live.store)  # type: ignore[arg-type]
        self._tokens: dict[str, Any] = {}

    def register(self, table: pd.DataFrame, bureau: str, *, made_by: str, algorithm: str = "logistic") -> int:
        scaled = make_column_transformer((StandardScaler(), list(range(len(FEATURES)))))
        model = make_pipeline(scaled, LogisticRegression(C=1.0)).fit(table[list(FEATURES)].to_numpy(), table["bad"])
        path = self.root / "model.skops"
        skops.io.dump(model, path)
        digest = ArtifactStore(self.live.project.artifacts).put_file(path)
        weights = {name: float(abs(w)) for name, w in zip(FEATURES, model[-1].coef_[0], strict=True)}
        sources = {name: bureau if name in BUREAU else "application_form" for name in FEATURES}
        lineage = ArtifactLineage(
            CodeRef("1f0c2aa", dirty=False),
            DataRef(digest_of(table.to_dict("list")), len(table), T0 - timedelta(days=365), T0, "loans", sources,
                    target="default on the loan", population="consumer loans"),
            ModelRef(digest, "scikit-learn", {"C": 1.0}, {"auc": 0.8}, weights, algorithm=algorithm),
        )  # fmt: skip
        serving = Serving(kind="artifact", artifact=digest, format="skops", features=FEATURES)
        return self.live.operations.register("credit", serving, lineage, actor=made_by).number

    def call(self, name: str, path: str, body: object) -> Any:
        if name not in self._tokens:
            self._tokens[name] = self.api.person(name, "operator" if name == "olga" else "approver")
        return self.api.post(path, body, headers=self._tokens[name])

    def start(self, version: int) -> Any:
        body = {"model": "credit", "version": version, "plan": PLAN, "salt": SALT}
        return self.call("olga", "/v1/rollouts", body)

    def sign(self, name: str, request: str = "a-0001", **more: str) -> Any:
        digest = self.api.get(f"/v1/approvals/{request}").json()["digest"]
        return self.call(name, f"/v1/approvals/{request}/approve", {"digest": digest, **more})

    def decide(self, hour: int) -> None:
        """A third of today's applicants, what became of them an hour later, and the clock."""
        mine = of_v3(self.today)[hour * 400 : (hour + 1) * 400]
        jobs = [(f"applicant-{hour}-{n}", row) for n, (_, row) in enumerate(mine.iterrows())]
        with ThreadPoolExecutor(6) as pool:
            done = [*pool.map(self._ask, [jobs[n::6] for n in range(6)], [hour] * 6)]
        self.live.operations.ingest([outcome for part in done for outcome in part])
        self.live.operations.advance(T0 + (hour + 1) * HOUR)

    def _ask(self, jobs: list[tuple[str, pd.Series]], hour: int) -> list[Outcome]:
        client, at = Client(self.live.project.config.gateway.url, timeout_s=10), T0 + hour * HOUR + HOUR / 4
        found = []
        for unit, row in jobs:
            body = {"dataframe_records": [{name: row[name] for name in FEATURES}]}
            answer = client.predict("credit", body, unit=unit, headers={"x-event-time": at.isoformat()})
            if answer.id:
                found.append(Outcome("credit", answer.id, "bad", row["bad"], at + HOUR / 4))
        client.close()
        return found


@pytest.fixture
def bank(make: Any, tmp_path: Path) -> Bank:
    """v1 is the old scorecard behind a URL; v2, on credit_bureau_v2, was validated on paper and serves."""
    key = tmp_path / "audit.pem"
    SigningKey.create(key)
    live = make("bank", more=POLICY.replace("KEY", str(key)))
    bank = Bank(live)
    live.operations.adopt("credit", live.server("scorecard").url, actor="mia", owner="credit-team",
                          purpose="whether a consumer loan is paid back")  # fmt: skip
    live.operations.secure("credit", Safety(tier=1), actor="rita")
    v2 = bank.register(bank.train, "credit_bureau_v2", made_by="mia")
    with live.store.begin() as tx:
        now = live.operations.clock.now()
        for stage in (Stage.STAGING, Stage.CANARY):
            tx.models.set_stage("credit", v2, stage, actor="mia", now=now)
        releases.promote(tx.models, "credit", v2, expected_champion=1, actor="mia", now=now)
    live.operations.changes.set_baseline("credit", v2, reason="MRM-2025-101", actor="rita", own=True)
    live.controller.reconcile()
    live.controller.hosts.settle()
    return bank


def test_another_version_of_a_source_from_triage_to_bundle(
    bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live, here = bank.live, ("--project", bank.root)
    v3 = bank.register(of_v3(bank.train), "credit_bureau_v3", made_by="mia")

    # the change is material, and says why
    triage = run_command(capsys, *here, "change", "triage", "credit", "--json", code=5)
    assert (triage["from"], triage["to"], triage["material"]) == (2, v3, True)
    told = {(reason["rule"], reason["what"]) for reason in triage["reasons"]}
    assert {("source", name) for name in BUREAU} <= told
    assert not any(rule == "unknown" for rule, _ in told)

    # the envelope: what is not declared is refused whatever anybody signs; what is declared needs its criterion
    live.operations.changes.set_envelope("credit", (bank.root / "envelope.yaml").read_text(), source="envelope.yaml",
                                         reason="MRM-7, 3 March", actor="rita", own=True)  # fmt: skip
    other = bank.register(of_v3(bank.train), "credit_bureau_v3", made_by="mia", algorithm="boosted trees")
    for version in (other, v3):
        ran = run_command(capsys, *here, "ci", "run", "credit", version, "--json")
        assert ran["status"] == "passed", ran["steps"]
    refused = bank.start(other).json()
    assert refused["code"] == "ST1422"
    assert "algorithm" in refused["message"]
    assert "MRM-7" in refused["remedy"]
    checked = run_command(capsys, *here, "change", "envelope", "check", "credit", v3, "--json")
    assert checked["status"] == "inside"
    assert [line["met"] for line in checked["traceability"]] == [True]

    # two people, one of risk, neither of them its author under whatever name
    waits = bank.start(v3)
    assert (waits.status_code, waits.json()["code"], waits.json()["exitCode"]) == (409, "ST1450", 5)
    assert "1 approval of role risk; 1 approval of anybody" in waits.json()["message"]
    for own in ("MIA", "mia+risk", "Olga"):
        assert bank.sign(own).json()["code"] == "ST1452", own
    assert bank.sign("carl").json()["code"] == "ST1469", "of the team that owns it"
    assert bank.sign("rita", reason="validated on the holdout").status_code == 200
    assert bank.sign("Rita.K@example.com").json()["code"] == "ST1454", "once a person"
    assert bank.start(v3).json()["code"] == "ST1450"
    assert bank.sign("anna", meaning="responsibility").json()["status"] == "approved"

    # released, on the loans of a day
    begun = bank.start(v3)
    assert begun.status_code == 201, begun.text
    rollout = begun.json()["rollout"]
    with pytest.raises(Conflict, match="ST0313"):
        live.operations.start_rollout("credit", other, live_plan(bank), actor="olga")
    for hour in range(3):
        bank.decide(hour)
    for hour in (4, 5):
        live.operations.advance(T0 + hour * HOUR)
    assert live.status(rollout) == "promoted", live.decisions(rollout)[-1]
    assert live.pointers()["champion"] == v3
    document = bank.api.get("/v1/approvals/a-0001").json()
    assert (document["status"], document["rollout"]) == ("released", rollout)
    assert [s["holds"] for s in document["signatures"]] == ["holds", "holds"]

    # on the record: the change, and everything of it for somebody who has no store
    record = run_command(capsys, *here, "change", "record", "credit", v3, "--json")
    assert record["author"] == "mia"
    assert {(s["by"], s["meaning"]) for s in record["signatures"]} >= {("rita", "approval"), ("anna", "responsibility")}
    assert [one["rollout"] for one in record["releases"]] == [rollout]
    out = tmp_path / "history"
    made = run_command(capsys, *here, "audit", "export", "--model", "credit", "--out", out, "--json")
    verify = ("audit", "verify-bundle", out, "--public-key", made["key"], "--json")
    assert run_command(capsys, *verify)["ok"]

    # and whoever edits a signature in it is found, by name
    signed = out / "approvals" / "a-0001.json"
    signed.chmod(0o644)
    signed.write_text(signed.read_text().replace("anna", "annb"))
    capsys.readouterr()
    broken = run_command(capsys, *verify, code=6)
    assert not broken["ok"]
    assert "approvals/a-0001.json" in json.dumps(broken)


def live_plan(bank: Bank) -> Any:
    from seatrial.store.plans import plan_of

    return plan_of(PLAN)
