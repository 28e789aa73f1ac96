"""Taking an anchor to where it is kept. A sink is a call that returns when the anchor is there, and raises if not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from seatrial.control.alerting.delivery import send
from seatrial.control.alerting.messages import Message
from seatrial.control.anchoring.policy import AnchorTarget
from seatrial.control.project import Project
from seatrial.errors import Unavailable
from seatrial.store.audit_anchors import SignedAnchor, append_line

Sink = Callable[[SignedAnchor], None]
SetTag = Callable[[str, str], None]
"""Sets a tag somewhere: name, value."""

TAG_PREFIX = "seatrial.audit-anchor."


def sink_of(project: Project, target: AnchorTarget, environment: Mapping[str, str] = os.environ) -> Sink:
    """What a target of seatrial.yaml means."""
    if target.file:
        path = project.at(target.file)
        return lambda anchor: append_line(path, anchor.line())
    return lambda anchor: _post(project, target, anchor, environment)


def mlflow_sink(project: Project) -> Sink:
    """Tags of the registered models that seatrial.yaml links (``mlflow.models``). Asks the server when it is called."""
    registered = sorted(set(project.config.mlflow.models.values()))

    def set_tag(name: str, value: str) -> None:
        from seatrial.control.mlflow.linking import tracking_of

        tracking = tracking_of(project)
        for model in registered:
            tracking.tag_model(model, name, value)

    return tag_sink(project, set_tag)


def tag_sink(project: Project, set_tag: SetTag) -> Sink:
    """Anchors as tags ``seatrial.audit-anchor.PROJECT.SEQ``: one a tag, so that none takes the place of another."""
    return lambda anchor: set_tag(f"{TAG_PREFIX}{project.config.project}.{anchor.statement.seq}", anchor.line())


def _post(project: Project, target: AnchorTarget, anchor: SignedAnchor, environment: Mapping[str, str]) -> None:
    url = target.url or _variable(target, target.url_env, environment)
    secret = _variable(target, target.secret_env, environment) if target.secret_env else ""
    key = f"{project.config.project}/anchor/{anchor.statement.seq}"
    reply = send(url, Message(key, anchor.line().encode(), secret))
    if not reply.ok:
        raise Unavailable(
            "ST1493", f"audit.anchors: target '{target.name}' does not take the anchor: {reply}.",
            remedy="It is tried again; see to the receiver, or add a second target.",
        )  # fmt: skip


def _variable(target: AnchorTarget, name: str, environment: Mapping[str, str]) -> str:
    if value := environment.get(name, ""):
        return value
    raise Unavailable(
        "ST1494", f"audit.anchors: target '{target.name}': the environment variable {name} is not set.",
        remedy="Set it where the control plane starts.",
    )  # fmt: skip
