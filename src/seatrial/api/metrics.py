"""Prometheus gauges, computed from the store at each scrape: nothing to keep in step, nothing lost at a restart.

Names and meanings follow Argo Rollouts and Flagger (``rollout_info``, ``canary_weight`` in per cent, a status number).
Each model shows its active rollout or the latest one, so the number of series does not grow with history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from seatrial.control.documents import catalog
from seatrial.control.documents.catalog import Weights
from seatrial.store.db import Store, Transaction

CONTENT_TYPE = CONTENT_TYPE_LATEST
STATUS = {"running": 0, "paused": 1, "promoted": 2, "aborted": 3}
VERDICT = {"pass": 1, "fail": -1}

_ROLLOUT = ("rollout", "model")
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "model_info": ("Champion and previous champion of a model (1).", ("model", "champion", "previous")),
    "model_killed": ("Whether the kill switch of a model is on.", ("model",)),
    "model_champion_since_timestamp_seconds": ("When the champion became it; its age is the time since.", ("model",)),
    "model_data_end_timestamp_seconds": ("End of the data that the champion learned from.", ("model",)),
    "model_loss_increase_ratio": (
        "How much the champion's matured loss rose since its first window, relatively; 0 where noise explains it.",
        ("model",),
    ),
    "training_run_info": ("The latest training run of a model (1).", ("model", "run", "status", "trigger")),
    "training_run_started_timestamp_seconds": ("When it was started.", ("model",)),
    "training_cost": ("What all training runs of a model cost, in the policy's money.", ("model",)),
    "training_blocked": ("Whether failing data keep the model from being trained.", ("model",)),
    "alerts_undelivered": ("Alerts that a target lacks: pending ones are tried again, failed ones are not.",
                           ("target", "state")),
    "rollout_info": ("A rollout: candidate, champion, plan, status, stage (1).",
                     (*_ROLLOUT, "candidate", "champion", "plan", "status", "stage")),
    "rollout_status": ("0 running, 1 paused, 2 promoted, 3 aborted.", _ROLLOUT),
    "rollout_weight": ("Per cent of units that the plan gives the canary now.", _ROLLOUT),
    "rollout_actual_weight": ("Per cent of units that the gateway gives the canary now.", _ROLLOUT),
    "rollout_step": ("Step the rollout is at, from 1.", _ROLLOUT),
    "rollout_steps": ("Steps of the plan, everyone included.", _ROLLOUT),
    "rollout_strikes": ("Times evidence of harm sent the rollout back.", _ROLLOUT),
    "rollout_looks": ("Looks taken at the evidence.", _ROLLOUT),
    "rollout_started_timestamp_seconds": ("Event time of the start.", _ROLLOUT),
    "rollout_looked_timestamp_seconds": ("Event time of the latest look.", _ROLLOUT),
    "rollout_metric_verdict": ("1 pass, 0 undecided, -1 fail.", (*_ROLLOUT, "metric", "arms", "role")),
    "rollout_metric_estimate": ("Candidate minus champion.", (*_ROLLOUT, "metric", "arms", "scale")),
    "rollout_metric_lower": ("Lower bound, valid at every look.", (*_ROLLOUT, "metric", "arms", "scale")),
    "rollout_metric_upper": ("Upper bound, valid at every look.", (*_ROLLOUT, "metric", "arms", "scale")),
    "rollout_metric_bound": ("What the interval must exclude now.", (*_ROLLOUT, "metric", "arms", "scale")),
}  # fmt: skip


def scrape(store: Store, killed: Collection[str], weights: Weights) -> bytes:
    """The page of one scrape."""
    with store.read() as tx:
        families = _families(tx, killed, weights)
    registry = CollectorRegistry()
    registry.register(_Once(families))
    return generate_latest(registry)


class _Once(Collector):
    """A collector of what was already computed."""

    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _families(tx: Transaction, killed: Collection[str], weights: Weights) -> list[GaugeMetricFamily]:
    families = {
        name: GaugeMetricFamily(f"seatrial_{name}", text, labels=labels) for name, (text, labels) in _GAUGES.items()
    }
    for model in tx.models.list_models():
        pointers = tx.models.pointers(model.name)
        versions = [str(pointers.get(name, "")) for name in ("champion", "previous")]
        families["model_info"].add_metric([model.name, *versions], 1)
        families["model_killed"].add_metric([model.name], model.name in killed)
        _add_training(families, tx, model.name)
        if tx.rollouts.list(model.name):
            _add_rollout(families, catalog.rollout(tx, model.name, weights))
    for (target, state), count in tx.alerts.undelivered().items():
        families["alerts_undelivered"].add_metric([target, state], count)
    return list(families.values())


def _add_training(families: Mapping[str, GaugeMetricFamily], tx: Transaction, model: str) -> None:
    """Times, not ages: they are right whenever somebody scrapes."""
    moves = tx.models.pointer_history(model, "champion")
    if moves and moves[-1].to_version is not None:
        families["model_champion_since_timestamp_seconds"].add_metric([model], moves[-1].at.timestamp())
        lineage = tx.models.get_version(model, moves[-1].to_version).lineage
        if lineage is not None and lineage.data is not None and lineage.data.end is not None:
            families["model_data_end_timestamp_seconds"].add_metric([model], lineage.data.end.timestamp())
    for stored in tx.training.policies():
        if stored.model == model:
            families["training_blocked"].add_metric([model], stored.state["checks_failed"] is not None)
            measured = [one for one in stored.state["readings"].values() if one["loss"] is not None]
            if measured:
                latest = max(measured, key=lambda one: datetime.fromisoformat(one["at"]))
                families["model_loss_increase_ratio"].add_metric([model], latest["loss"])
    if runs := tx.training.runs(model):
        last = runs[-1]
        families["training_run_info"].add_metric([model, last.id, last.status, last.document["trigger"]], 1)
        families["training_run_started_timestamp_seconds"].add_metric([model], last.started_at.timestamp())
        families["training_cost"].add_metric([model], sum(run.document["cost"] or 0.0 for run in runs))


def _add_rollout(families: Mapping[str, GaugeMetricFamily], r: dict[str, Any]) -> None:
    labels = [r["id"], r["model"]]
    info = [str(r["candidate"]), str(r["champion"]), r["plan"], r["status"], r["step"]["name"]]
    families["rollout_info"].add_metric([*labels, *info], 1)
    values = {
        "status": STATUS[r["status"]],
        "weight": r["setWeight"],
        "actual_weight": r["actualWeight"],
        "step": r["step"]["current"],
        "steps": r["step"]["of"],
        "strikes": r["strikes"]["total"],
        "looks": r["look"],
        "started_timestamp_seconds": _seconds(r["started"]),
        "looked_timestamp_seconds": _seconds(r["lookedAt"]),
    }
    for name, value in values.items():
        if value is not None:
            families[f"rollout_{name}"].add_metric(labels, value)
    for verdict in (*r["verdicts"], *r["signals"]):
        _add_verdict(families, labels, verdict)


def _add_verdict(families: Mapping[str, GaugeMetricFamily], labels: list[str], v: dict[str, Any]) -> None:
    of = [*labels, v["metric"], v["arms"]]
    families["rollout_metric_verdict"].add_metric([*of, v["role"]], VERDICT.get(v["verdict"], 0))
    for name in ("estimate", "lower", "upper", "bound"):
        if v[name] is not None:
            families[f"rollout_metric_{name}"].add_metric([*of, v["scale"]], v[name])


def _seconds(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()
