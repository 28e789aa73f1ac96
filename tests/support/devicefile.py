"""A model with everything that a device history file has a part for, in a project whose audit log is anchored."""

from __future__ import annotations

import json
import zlib
from datetime import timedelta
from pathlib import Path

from aftermath import MODEL, ROLLOUT, T0, Aftermath
from drillevidence import evidence as drill_evidence
from seatrial.ci.results import Run, StepResult, run_document
from seatrial.control.declarations import declare
from seatrial.governance.approvals.acts import Act, Request, Reviewed
from seatrial.ids import Digest
from seatrial.registry.declaration import Declaration
from seatrial.registry.people import Role
from seatrial.signing import SigningKey
from seatrial.store.artifacts import ArtifactStore
from seatrial.store.canonical import canonical, digest_of
from seatrial.store.db import Store, Transaction

NOW = T0 + timedelta(days=20)
DECLARED = Declaration(
    intended_use="second reading of mammograms", users="radiologists", out_of_scope="patients below 18",
    limits=("not validated on tomosynthesis",), upstream=("pacs",), downstream=("reading-list",), regulated=("MDR",),
)  # fmt: skip


class DeviceFile(Aftermath):
    """Version 2 is tested, approved, released and followed; there was a drill, an incident and a recall."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        self.key = SigningKey.create(root / "key.pem")
        audit = "audit: {key: ../key.pem, anchors: [{name: vault, file: ../worm/anchors.jsonl}]}\n"
        super().__init__(root / "shop", more=audit)
        self.promote()
        with Store.open(self.project.store_url) as store, store.begin() as tx:
            self._tell(tx)

    def _tell(self, tx: Transaction) -> None:
        declare(tx, MODEL, DECLARED, actor="ann", now=NOW)
        self._test(tx)
        self._approve(tx)
        self._judge(tx)
        tx.incidents.open("harm/retention", ROLLOUT, MODEL, canonical({"text": "retention is lower"}), now=NOW)
        recall = tx.recalls.open(
            MODEL, 2, T0, T0 + timedelta(days=1),
            reason="wrong threshold", found=1, document="{}", actor="ann", now=NOW,
        )  # fmt: skip
        tx.recalls.mark(recall.id, "notified", [("q1", 0)], note="by mail", actor="bob", now=NOW)
        drill = drill_evidence()
        told = {"actor": "ann", "owner": "ann", "unannounced": False, "version": 3, "rollout": None, "closed": None,
                "endedAt": None, "review": {}}  # fmt: skip
        tx.drills.create(MODEL, {**told, "share": 100, "targets": drill["targets"], "steps": []}, NOW)

    def _test(self, tx: Transaction) -> None:
        found = {"value": {"estimate": 0.91, "bound": 0.9}, "loss": None, "problem": "", "counts": True}
        slices = [{"slice": "overall", "rows": 900, **found}, {"slice": "site=A", "rows": 300, **found}]
        steps = (StepResult(name="validate", group="model", status="passed", detail={"slices": slices}),)
        run = Run(id=tx.ci_runs.next_id(), event="release", started_at=T0, actor="ci", model=MODEL, version=2,
                  digest="sha256:" + "a" * 64, steps=steps)  # fmt: skip
        tx.ci_runs.add(run.id, MODEL, run.started_at, canonical(run_document(run)))
        tx.audit.append("ci", "ci.run", run.id, {"status": run.status}, T0)

    def _approve(self, tx: Transaction) -> None:
        request = tx.approvals.ask(Request(
            id="", kind="release", model=MODEL, version=2, subject="plan", requested_by="ann", requested_at=T0,
            authors=("ann",), reason="better on dense tissue",
        ))  # fmt: skip
        digest = digest_of({"evidence": 1})
        signed = Act(kind="sign", by="carl", at=T0, role=Role.APPROVER, meaning="approval", reviewed=Reviewed(digest))
        tx.approvals.add(request.id, signed)

    def _judge(self, tx: Transaction) -> None:
        """One more decision with evidence of its own, as a look leaves it."""
        data = zlib.compress(b'{"evidence": "as it was"}', 6)
        digest: Digest = ArtifactStore(self.project.artifacts).put_bytes(data)
        last = tx.decisions.last(ROLLOUT)
        assert last is not None
        tx.decisions.append(
            ROLLOUT, last.seq + 1, last.at, last.action, last.rule, last.step, last.document, digest, json.dumps({})
        )
