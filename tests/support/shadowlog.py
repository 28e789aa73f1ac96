"""A project with one rollout in shadow and a log of both models' answers, looked at once, without any traffic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from seatrial.control.documents.catalog import load
from seatrial.control.operations import Operations
from seatrial.control.project import Project
from seatrial.control.recorder import record
from seatrial.control.states import state_to_json
from seatrial.control.watch import Watch
from seatrial.events.parts import model_directory, write_part
from seatrial.events.schema import event_schema, to_table
from seatrial.ids import Digest, ModelName, RolloutId, VersionNumber
from seatrial.registry.lineage import ArtifactLineage, CodeRef, DataRef, ModelRef
from seatrial.registry.version import Serving
from seatrial.rollout.plan import Plan
from seatrial.rollout.start import start
from seatrial.rollout.verdicts import Decision, Signals
from seatrial.store.canonical import canonical
from seatrial.store.db import Store
from seatrial.store.plans import plan_to_json

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DIGEST = Digest("sha256:" + "a" * 64)
LINEAGE = ArtifactLineage(CodeRef("1f0c2aa", dirty=False), DataRef(DIGEST, 1000), ModelRef(DIGEST, "sklearn"))
ROLLOUT, MODEL = "r-0001", "rank"


def looked_at(root: Path, plan: Plan, rows: Sequence[dict[str, Any]], at: datetime, begun: datetime = T0) -> Decision:
    """Make the project in ``root``, with ``rows`` of events (rollout and phase are filled in), and take a look."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "seatrial.yaml").write_text("project: shadow\n")
    project = Project.open(root)
    project.prepare()
    common = {"rollout": ROLLOUT, "phase": 1, "row": 0, "error": False}
    table = to_table([common | row for row in rows], event_schema([segment.name for segment in plan.segments]))
    write_part(model_directory(project.events, MODEL), "live", "1a.2b", 0, 1, table)
    with Store.open(project.store_url) as store:
        operations = Operations(project, store)
        operations.adopt(MODEL, "http://127.0.0.1:9/", actor="ann")
        operations.register(MODEL, Serving(kind="url", url="http://127.0.0.1:9/"), LINEAGE, actor="ann")
        names = (RolloutId(ROLLOUT), ModelName(MODEL), VersionNumber(1), VersionNumber(2))
        decision, state = start(plan, *names, "salt", begun, "ann")
        with store.begin() as tx:
            text = canonical(plan_to_json(plan))
            made = tx.rollouts.create(ROLLOUT, MODEL, 2, 1, text, state_to_json(state), begun)
            record(tx, decision, state, revision=made.revision, digest=None, store_decision=True)
        with store.read() as tx:
            release = load(tx.rollouts.get(ROLLOUT))
        watch = Watch(project, release)
        try:
            looked = watch.look(release.state, at, {}, Signals())
        finally:
            watch.close()
        with store.begin() as tx:
            revision = tx.rollouts.get(ROLLOUT).revision
            record(tx, looked.decision, looked.state, revision=revision, digest=None, store_decision=True)
    return looked.decision
