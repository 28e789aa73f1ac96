"""What MLflow is told and asks, for people: ``seatrial mlflow status``."""

from __future__ import annotations

from typing import Any

from seatrial.control.mlflow.alias import UNKNOWN
from seatrial.control.mlflow.sync import HEALTH_KEY
from seatrial.control.mlflow.truth import pointers_of, tags_of
from seatrial.control.mlflow.view import View
from seatrial.control.project import Project
from seatrial.store.canonical import iso_z
from seatrial.store.db import Transaction
from seatrial.store.mlflow import Link, MlflowRequest

LATEST = 20


def status_document(tx: Transaction, project: Project) -> dict[str, Any]:
    """``seatrial.mlflow.v1``: what is published of each linked model and what waits, and the latest requests."""
    health = tx.settings.get(HEALTH_KEY)
    troubled = health is not None and bool(health.value["trouble"])
    return {
        "schema": "seatrial.mlflow.v1",
        "trouble": health.value["trouble"] if health and troubled else None,
        "since": health.value["since"] if health and troubled else None,
        "models": [_link(tx, project, link) for link in tx.mlflow.links()],
        "requests": [_request(one) for one in tx.mlflow.requests()[-LATEST:]],
    }


def _link(tx: Transaction, project: Project, link: Link) -> dict[str, Any]:
    view, published = View.of(link.view), project.config.mlflow.published
    deliveries = [one for stored in tx.rollouts.list(link.model) for one in tx.mlflow.deliveries(stored.id)]
    aliases = []
    for pointer, wanted in pointers_of(tx, link, published).items():
        memory = view.aliases.get(alias := str(published[pointer]))
        known = wanted is not UNKNOWN
        aliases.append({
            "alias": alias,
            "truth": wanted if known else None,
            "known": known,
            "published": memory.published if memory else None,
            "inOrder": memory is not None and not memory.writing and (not known or memory.published == wanted),
        })  # fmt: skip
    return {
        "model": link.model,
        "registered": link.registered,
        "linkedBy": link.linked_by,
        "versions": {str(number): version for number, version in tx.mlflow.numbers(link.registered).items()},
        "aliases": aliases,
        "tagsWaiting": sum(1 for _ in view.behind(tags_of(tx, link))),
        "evidenceWaiting": sum(one.state == "pending" for one in deliveries),
        "evidenceDelivered": sum(one.state == "delivered" for one in deliveries),
    }


def _request(one: MlflowRequest) -> dict[str, Any]:
    return {
        "request": one.seq, "model": one.model, "version": one.number, "via": one.via, "state": one.state,
        "rollout": one.rollout, "text": one.text, "askedAt": iso_z(one.asked_at),
        "answeredAt": iso_z(one.answered_at) if one.answered_at else None,
    }  # fmt: skip
