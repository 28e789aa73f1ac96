"""``seatrial rollout``: begin one, watch it, move it by hand, and ask why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.session import opened, project_of
from seatrial.errors import UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project
    from seatrial.rollout.plan import Plan

app = typer.Typer(help="Bring a version to users, step by step.", no_args_is_help=True)

Rollout = Annotated[str, typer.Argument(metavar="ID|MODEL", help="A rollout, or a model: its active or latest one.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Follow it until it is over.")]
Timeout = Annotated[str, typer.Option(metavar="60s", help="How long to follow; after that it is undecided (exit 4).")]
Reason = Annotated[str, typer.Option(help="Why; goes into the audit log.")]


Override = Annotated[
    str, typer.Option(metavar="REASON", help="Why a plan may skip what its impact asks for; needs an approver.")
]


@app.command("start")
def start(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int, typer.Argument(help="The candidate.")],
    plan: Annotated[Path, typer.Option(help="The plan's YAML file.")],
    salt: Annotated[str | None, typer.Option(help="Assign units as another rollout did.", show_default="new")] = None,
    override: Override = "",
    watch: Watch = False,
    as_json: output.Json = False,
) -> None:
    """Begin: the candidate comes up, then the first step of the plan."""
    from seatrial.cli.client import Client
    from seatrial.store.plans import check_plan, plan_to_json, read_plan

    project = project_of(context)
    checked = check_plan(read_plan(plan), override=override)
    _warn_of_the_way_home(project, model)
    body = {"model": model, "version": version, "plan": plan_to_json(checked), "salt": salt, "override": override}
    answer = Client(project).post("/v1/rollouts", body)
    if as_json:
        output.data(answer)
    else:
        output.text(f"✔ rollout '{answer['rollout']}' started: {model} v{version} by {plan}")
        _tell_erosion(project, model, checked)
    if watch:
        _follow(project, answer["rollout"])


def _warn_of_the_way_home(project: Project, model: str) -> None:
    """Said before anything begins: a rollout that goes wrong ends there. What is wrong else, the start itself says."""
    from contextlib import suppress

    from seatrial.cli.client import Client
    from seatrial.errors import SeatrialError

    with suppress(SeatrialError):
        if warning := Client(project).get(f"/v1/models/{model}/standby")["warning"]:
            output.note(f"⚠ {warning}")


@app.command("list")
def list_rollouts(
    context: typer.Context,
    model: Annotated[str | None, typer.Option(help="Of one model.")] = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that are not over.")] = False,
    as_json: output.Json = False,
) -> None:
    """All rollouts, oldest first."""
    from seatrial.cli import tables
    from seatrial.control.documents import catalog

    with opened(project_of(context)) as store, store.read() as tx:
        document = catalog.rollouts(tx, model=model, active=True if active else None)
    if as_json:
        output.data(document)
    else:
        output.show(tables.rollouts(document))


@app.command("get")
def get(context: typer.Context, rollout: Rollout, watch: Watch = False, as_json: output.Json = False) -> None:
    """Where a rollout stands: steps, verdicts, what is missing, what was decided."""
    from seatrial.cli import render

    project = project_of(context)
    if watch and as_json:
        raise UsageError("ST0880", "--watch and --json do not go together.", remedy="Ask again with --json.")
    if watch:
        _follow(project, rollout)
    document = _read(project, rollout)
    if as_json:
        output.data(document)
    else:
        output.text(render.tree(document))


@app.command("status")
def status(
    context: typer.Context, rollout: Rollout, watch: Watch = False, timeout: Timeout = "", as_json: output.Json = False
) -> None:
    """In one line. Exit 0: promoted, or under way and fine; 3: rolled back; 4: undecided (it waits for somebody).

    With --watch it waits for the end, and what is not over by --timeout is undecided.
    """
    from seatrial.cli import render
    from seatrial.cli.watch import exit_code, wait

    project = project_of(context)
    document = wait(lambda: _read(project, rollout), _seconds(timeout)) if watch else _read(project, rollout)
    if as_json:
        output.data(document)
    else:
        output.text(render.status_line(document))
    raise typer.Exit(exit_code(document, waited=watch))


@app.command("pause")
def pause(context: typer.Context, rollout: Rollout, reason: Reason = "", as_json: output.Json = False) -> None:
    """Hold the split as it is; guardrails go on watching."""
    _by_hand(context, rollout, "pause", as_json, reason=reason)


@app.command("resume")
def resume(context: typer.Context, rollout: Rollout, reason: Reason = "", as_json: output.Json = False) -> None:
    """Go on after a pause."""
    _by_hand(context, rollout, "resume", as_json, reason=reason)


@app.command("promote")
def promote(
    context: typer.Context,
    rollout: Rollout,
    full: Annotated[bool, typer.Option("--full", help="To everyone now, past all gates; needs --reason.")] = False,
    reason: Reason = "",
    as_json: output.Json = False,
) -> None:
    """Release a step that waits for somebody; with --full skip what is left."""
    if full and not reason.strip():
        raise UsageError("ST0316", "promote --full overrides the gates.", remedy="Say why: --reason '...'.")
    _by_hand(context, rollout, "promote", as_json, reason=reason, full=full)


@app.command("abort")
def abort(context: typer.Context, rollout: Rollout, reason: Reason = "", as_json: output.Json = False) -> None:
    """Take the candidate out: everybody gets the champion. Of one that is over, nothing."""
    document = _read(project_of(context), rollout)
    if document["active"]:
        _by_hand(context, rollout, "abort", as_json, reason=reason)
    else:
        _nothing_to_do(document, as_json)


@app.command("retry")
def retry(
    context: typer.Context,
    rollout: Rollout,
    reason: Reason = "",
    override: Override = "",
    watch: Watch = False,
    as_json: output.Json = False,
) -> None:
    """Try a rollout that is over once more: the same version and plan, with units that are drawn anew."""
    from seatrial.cli.client import Client

    project = project_of(context)
    before = _read(project, rollout)
    answer = Client(project).post(f"/v1/rollouts/{before['id']}/retry", {"reason": reason, "override": override})
    if as_json:
        output.data(answer)
    else:
        what = f"{before['model']} v{before['candidate']}"
        output.text(f"✔ rollout '{answer['rollout']}' started: {what} by the plan of {before['id']}")
    if watch:
        _follow(project, answer["rollout"])


@app.command("undo")
def undo(
    context: typer.Context,
    rollout: Rollout,
    reason: Reason = "",
    force: Annotated[bool, typer.Option("--force", help="Also to a version that does not answer.")] = False,
    as_json: output.Json = False,
) -> None:
    """Take back what a rollout did: abort a running one; after a promotion bring the former champion back."""
    from seatrial.cli import switch

    project = project_of(context)
    document = _read(project, rollout)
    if document["active"]:
        _by_hand(context, rollout, "abort", as_json, reason=reason)
    elif document["status"] != "promoted":
        _nothing_to_do(document, as_json)
    else:
        switch.undo(project, document["id"], document["model"], reason, force, as_json)


@app.command("explain")
def explain(
    context: typer.Context,
    rollout: Rollout,
    look: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of this look.", show_default="the latest that decided")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """One decision: which rules were asked, what each saw, which one spoke, and on what evidence."""
    from seatrial.cli import render
    from seatrial.control.documents import catalog
    from seatrial.control.way_home.emergency import observed_weights

    project = project_of(context)
    weights = observed_weights(project)
    with opened(project) as store, store.read() as tx:
        document = catalog.explanation(tx, rollout, weights, look)
    if as_json:
        output.data(document)
    else:
        output.text(render.explanation(document))


@app.command("replay")
def replay(context: typer.Context, rollout: Rollout, as_json: output.Json = False) -> None:
    """Recompute every stored decision from its evidence; exit 6 names the first that comes out otherwise.

    From the store alone, through the gates and rules that decided: nothing has to run.
    """
    from seatrial.control import replay as replays
    from seatrial.control.documents import catalog
    from seatrial.store.artifacts import ArtifactStore

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        replayed = replays.replay(tx, ArtifactStore(project.artifacts), catalog.find_rollout(tx, rollout))
    if as_json:
        output.data(replays.document(replayed))
    elif replayed.identical:
        counts = f"{replayed.decisions:,} decisions, {replayed.looks:,} of them on evidence"
        output.text(f"✔ rollout '{replayed.rollout}': {counts}, are the same to the byte")
    replayed.require_identical()


@app.command("reconcile")
def reconcile(
    context: typer.Context,
    rollout: Rollout,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="As of this time, e.g. 2026-04-01T00:00:00Z.", show_default="now")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """What it did to the metrics that outlast it: the canary's arms compared, by first exposure. Harm is exit 3."""
    from seatrial.cli import reconciled
    from seatrial.cli.client import Client, NotRunning
    from seatrial.cli.session import actor
    from seatrial.control.documents import catalog
    from seatrial.control.offline import in_its_place
    from seatrial.control.operations import Operations
    from seatrial.errors import Exit

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        rollout = catalog.find_rollout(tx, rollout)
    try:
        document = Client(project).post(f"/v1/rollouts/{rollout}/reconcile", {"at": at})
    except NotRunning:
        with opened(project) as store, in_its_place(project, store) as controller:
            document = Operations(project, store, controller).reconcile(rollout, at, actor=actor())
    if as_json:
        output.data(document)
    else:
        output.text(reconciled.reconciliation(document))
    if any(metric["verdict"] == "fail" for metric in document["metrics"]):
        raise typer.Exit(Exit.GATE_FAILED)


def _tell_erosion(project: Project, model: str, plan: Plan) -> None:
    """What the releases before this one have used up already of what they may lose together."""
    from seatrial.control.anchors import erosion_document

    with opened(project) as store, store.read() as tx:
        tripped = [line["text"] for line in erosion_document(tx, model, plan) if line["tripped"]]
    for text in tripped:
        output.note(f"⚠ too much may be lost by now: {text}. It waits before everyone unless it wins that back.")


def _read(project: Project, rollout: str) -> dict[str, Any]:
    """From the store and the gateway, so that it also answers while the control plane is down."""
    from seatrial.control.documents import catalog
    from seatrial.control.way_home.emergency import observed_weights

    weights = observed_weights(project)
    with opened(project) as store, store.read() as tx:
        return catalog.rollout(tx, rollout, weights)


def _by_hand(
    context: typer.Context, rollout: str, verb: str, as_json: bool, *, reason: str, full: bool = False
) -> None:
    from seatrial.cli.client import Client
    from seatrial.control.documents import catalog

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        rollout = catalog.find_rollout(tx, rollout)
    decision = Client(project).post(f"/v1/rollouts/{rollout}/{verb}", {"reason": reason, "full": full})
    if as_json:
        output.data(decision)
        return
    done = {"pause": "paused", "resume": "resumed", "promote": "promoted", "abort": "aborted"}[verb]
    output.text(f"✔ rollout '{rollout}' {'fully ' if full else ''}{done}; canary {decision['weight'] / 100:g}%")


def _nothing_to_do(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.data(document)
    else:
        output.text(f"rollout '{document['id']}' is {document['status']}: nothing to do")


def _follow(project: Project, rollout: str) -> None:
    """Redraw the tree until the rollout is over, then leave with its exit code."""
    from seatrial.cli.watch import exit_code, follow

    raise typer.Exit(exit_code(follow(lambda: _read(project, rollout)), waited=True))


def _seconds(timeout: str) -> float | None:
    from seatrial.values import Duration

    try:
        return Duration.parse(timeout).seconds if timeout else None
    except ValueError as error:
        raise UsageError("ST0882", f"--timeout: {error}.") from None
