"""``seatrial approve``, ``reject``, ``approvals``: what people say to a release before it begins, and to its stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import actor, opened, project_of

if TYPE_CHECKING:
    from seatrial.control.project import Project

app = typer.Typer(help="Who said yes to which release, on which evidence.", no_args_is_help=True)

Target = Annotated[
    str, typer.Argument(metavar="ID|MODEL", help="A request (a-0001), a rollout, or a model: what it waits for.")
]
Request = Annotated[str, typer.Argument(metavar="ID", help="A request: a-0001.")]
Digest = Annotated[
    str, typer.Option(metavar="HEX", help="The evidence that was reviewed, as `approvals show` names it; of a release.")
]
Why = Annotated[str, typer.Option(help="Why; goes into the audit log.")]


def add_to(root: typer.Typer) -> None:
    root.command()(approve)
    root.command()(reject)
    root.add_typer(app, name="approvals")


def approve(
    context: typer.Context,
    target: Target,
    digest: Digest = "",
    meaning: Annotated[
        str, typer.Option(help="Of the signature: approval, responsibility, review, author; of a release.")
    ] = "approval",
    reason: Annotated[str, typer.Option(help="What you looked at; goes into the audit log.")] = "",
    as_json: output.Json = False,
) -> None:
    """Say yes to a release, or to the stage a rollout is in. Whoever made it or began it cannot."""
    release, name = _find(context, target)
    if release:
        body = {"digest": digest, "meaning": meaning, "reason": reason}
        _say(_post(context, f"/v1/approvals/{name}/approve", body), f"{name} signed ({meaning})", as_json)
    else:
        decision = _post(context, f"/v1/rollouts/{name}/approve", {"reason": reason})
        _say_of_stage(name, decision, as_json)


def reject(
    context: typer.Context,
    target: Target,
    reason: Why,
    digest: Digest = "",
    as_json: output.Json = False,
) -> None:
    """Say no: a release does not begin on this evidence, a rollout pauses."""
    release, name = _find(context, target)
    if release:
        answer = _post(context, f"/v1/approvals/{name}/reject", {"digest": digest, "reason": reason})
        _say(answer, f"{name} rejected", as_json)
    else:
        _say_of_stage(name, _post(context, f"/v1/rollouts/{name}/reject", {"reason": reason}), as_json)


@app.command("request")
def request(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="The candidate.")],
    plan: Annotated[Path, typer.Option(help="The plan's YAML file.")],
    reason: Annotated[str, typer.Option(help="What it is for; approvers read it.")] = "",
    as_json: output.Json = False,
) -> None:
    """Ask for the approvals of a release. `rollout start` does so too, where nobody has asked."""
    from seatrial.cli.client import Client, NotRunning
    from seatrial.control.approvals.documents import approval_document
    from seatrial.control.operations import Operations
    from seatrial.store.plans import check_plan, plan_to_json, read_plan

    project, checked = project_of(context), check_plan(read_plan(plan), override=reason)
    body = {"model": model, "version": version, "plan": plan_to_json(checked), "reason": reason}
    try:
        document = Client(project).post("/v1/approvals", body)
    except NotRunning:
        with opened(project) as store:
            desk = Operations(project, store).approvals
            document = approval_document(desk.ask(model, version, checked, reason=reason, actor=actor()))
    _say(document, f"{document['id']} asks for {model} v{version} by {plan}", as_json)


@app.command("list")
def list_approvals(
    context: typer.Context,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for somebody.")] = False,
    as_json: output.Json = False,
) -> None:
    """Releases that were asked for, and stages that ask."""
    from seatrial.cli import tables
    from seatrial.control.approvals.documents import approvals_document

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        document = approvals_document(tx, project, _now(project, store), waiting=waiting)
    if as_json:
        output.data(document)
    else:
        output.show(tables.approvals(document))


@app.command("show")
def show(context: typer.Context, request: Request, as_json: output.Json = False) -> None:
    """What is reviewed, with its digest, who signed, and what is missing."""
    document = _document(project_of(context), request)
    if as_json:
        output.data(document)
    else:
        output.text(_told(document))


@app.command("withdraw")
def withdraw(context: typer.Context, request: Request, reason: Why, as_json: output.Json = False) -> None:
    """Take back a signature or a rejection of one's own; as who asked, the request."""
    _say(_post(context, f"/v1/approvals/{request}/withdraw", {"reason": reason}), f"{request}: taken back", as_json)


@app.command("emergency")
def emergency(context: typer.Context, request: Request, reason: Why, as_json: output.Json = False) -> None:
    """Let a release begin without its approvals, for a limited time, by whom the policy names; reviewed afterwards."""
    answer = _post(context, f"/v1/approvals/{request}/emergency", {"reason": reason})
    due = answer["reviews"][-1]["due"] if answer.get("reviews") else ""
    _say(answer, f"{request} may begin until {answer['emergencyUntil']}; to be reviewed by {due}", as_json)


@app.command("review")
def review(context: typer.Context, request: Request, reason: Why, as_json: output.Json = False) -> None:
    """What was found when an emergency was looked at afterwards, by somebody who had no part in it."""
    _say(_post(context, f"/v1/approvals/{request}/review", {"reason": reason}), f"{request}: reviewed", as_json)


def _find(context: typer.Context, target: str) -> tuple[bool, str]:
    """Whether it is a request for a release, and its id or that of the rollout. Raises NotFound."""
    from seatrial.control.documents import catalog
    from seatrial.store.approvals import PREFIX

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        if target.startswith(PREFIX):
            found = tx.approvals.get(target)
            return (True, target) if found.rollout is None else (False, found.rollout)
        active = {stored.id for stored in tx.rollouts.list(active=True)}
        models = {model.name for model in tx.models.list_models()}
        asked = [r for r in tx.approvals.list(target) if r.kind == "release"] if target in models else []
        if asked and not any(tx.rollouts.get(id).model == target for id in active):
            return True, asked[-1].id
        return False, catalog.find_rollout(tx, target)


def _document(project: Project, request: str) -> dict[str, Any]:
    from seatrial.control.approvals.case import read_case
    from seatrial.control.approvals.documents import approval_document, stage_document

    with opened(project) as store, store.read() as tx:
        found = tx.approvals.get(request)
        if found.kind == "step":
            return stage_document(tx, found)
        return approval_document(read_case(tx, project, found, _now(project, store)))


def _now(project: Project, store: Any) -> Any:
    from seatrial.control.way_home.emergency import clock_of

    return clock_of(project, store).now()


def _post(context: typer.Context, path: str, body: dict[str, str]) -> dict[str, Any]:
    from seatrial.cli.client import Client

    return Client(project_of(context)).post(path, body)


def _say(document: dict[str, Any], done: str, as_json: bool) -> None:
    if as_json:
        output.data(document)
        return
    output.text(f"✔ {done}")
    output.note(f"{document['status']}: {'; '.join(document['missing']) or 'nothing is missing'}")


def _say_of_stage(name: str, decision: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(decision)
    else:
        output.text(f"✔ rollout '{name}': {decision['reason']}")


def _told(a: dict[str, Any]) -> str:
    """One request, for a terminal."""
    why = f": {a['reason']}" if a["reason"] else ""
    return "\n".join([
        f"{a['id']}  {a['model']} v{a['version']}  {a['subject']}  {a['status']}",
        f"asked for by {a['requestedBy']} at {_minute(a['requestedAt'])}{why}",
        *(f"missing: {text}" for text in a["missing"]),
        *(map(_of_act, a["acts"]) if a["kind"] == "step" else _of_release(a)),
    ])  # fmt: skip


def _of_release(a: dict[str, Any]) -> Iterator[str]:
    change = a["evidence"]["change"]
    if triage := change["triage"]:
        yield f"change: {'material' if triage['material'] else 'not material'}, {triage['review']}"
        yield from (f"  {reason['text']}" for reason in triage["reasons"])
    for c in (change["diff"] or {"changes": ()})["changes"]:
        yield f"  {c['part']} {c['what']}: {c['before']} → {c['after']}"
    for step in a["evidence"]["ci"]:
        yield f"ci: {step['name']} {step['status']} in {step['run']}: {step['reason']}".removesuffix(": ")
    for m in a["margins"]:
        yield f"margin: {m['metric']} {m['margin'] or '-'} ({m['justification'] or 'no justification'})"
    for signature in a["signatures"]:
        yield f"{_of_act(signature)}: {signature['text'] or 'holds'}"
    yield f"evidence {a['digest']}"
    if a["status"] in ("waiting", "rejected"):
        yield f"to sign: `seatrial approve {a['id']} --digest {a['digest'].removeprefix('sha256:')[:12]}`"


def _of_act(act: dict[str, Any]) -> str:
    said = f", {act['reason']}" if act["reason"] else ""
    return f"{act['meaning'] or act['kind']} by {act['by']} ({act['role']}) at {_minute(act['at'])}{said}"


def _minute(at: str) -> str:
    return f"{at[:10]} {at[11:16]}"
