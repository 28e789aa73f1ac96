"""``seatrial change triage`` and ``baseline``: is a change material, against what, and who reviews it?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seatrial.cli import output
from seatrial.cli.change.sending import done
from seatrial.cli.session import actor, opened, project_of
from seatrial.errors import Exit, NotFound, UsageError

if TYPE_CHECKING:
    from seatrial.control.changes.desk import ChangeDesk
    from seatrial.governance.change_rules import Rules


def add_to(app: typer.Typer) -> None:
    app.command("triage")(triage)
    app.command("baseline")(baseline)


def triage(
    context: typer.Context,
    model: Annotated[str | None, typer.Argument(help="The model.")] = None,
    before: Annotated[
        int | None, typer.Option("--from", min=1, help="The version to compare with.", show_default="the baseline")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--to", min=1, help="The version that is to be released.", show_default="the latest")
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="The documented cases, by the rules in force.")] = False,
    as_json: output.Json = False,
) -> None:
    """Is a change material? By declared rules, from the lineage alone, with every reason. Exit 5 if it needs approvals.

    With --examples exit 3 if a documented case comes out otherwise.
    """
    if examples == (model is not None):
        raise UsageError("ST1405", "triage is of a MODEL, or of the --examples.", remedy="Give one of them.")
    if model is None:
        _run_examples(_rules(context), as_json)
        return
    document = _document(context, model, before, after)
    if as_json:
        output.data(document)
    else:
        output.text("\n".join(_lines(document)))
    if document["requires"]["approvals"]:
        raise typer.Exit(Exit.APPROVAL_NEEDED)


def baseline(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model.")],
    version: Annotated[int | None, typer.Argument(min=1, help="Hold changes against this version from now on.")] = None,
    reason: Annotated[str, typer.Option(help="Where its review is on record.")] = "",
    as_json: output.Json = False,
) -> None:
    """The version that changes are held against: the last one that was approved as a whole."""
    from seatrial.control.changes.baseline import baseline_document

    if version is None:
        with opened(project_of(context)) as store, store.read() as tx:
            document = baseline_document(tx, model)
    else:
        number = version

        def directly(desk: ChangeDesk) -> dict[str, Any]:
            return desk.set_baseline(model, number, reason=reason, actor=actor(), own=False)

        body = {"version": version, "reason": reason}
        document = done(context, "PUT", f"/v1/changes/{model}/baseline", body, directly)
    if as_json:
        output.data(document)
    elif document["version"] is None:
        output.text(f"{model}: no version was approved as a whole; every change is material")
    else:
        output.text(f"{model} v{document['version']} by {document['by']}, {document['at'][:10]}: {document['reason']}")


def _document(context: typer.Context, model: str, before: int | None, after: int | None) -> dict[str, Any]:
    from seatrial.control.changes.triage import assess, latest

    project = project_of(context)
    with opened(project) as store, store.read() as tx:
        version = latest(tx, model) if after is None else after
        return assess(tx, project, model, version, against=before).document()


def _rules(context: typer.Context) -> Rules:
    """Of the project, if there is one here."""
    from seatrial.control.changes.rules import rules_of
    from seatrial.governance.change_rules import Rules

    try:
        return rules_of(project_of(context))
    except NotFound:
        if isinstance(context.find_root().obj, Path):
            raise
        return Rules()


def _run_examples(rules: Rules, as_json: bool) -> None:
    from seatrial.governance.change_examples import EXAMPLES

    found = [(example, example.triage(rules)) for example in EXAMPLES]
    cases: list[dict[str, Any]] = [
        {
            "title": example.title, "expected": "material" if example.material else "nonMaterial", "found": made.kind,
            "passed": made.material == example.material, "reasons": [reason.text for reason in made.reasons],
            "notes": list(made.notes),
        }
        for example, made in found
    ]  # fmt: skip
    passed = all(case["passed"] for case in cases)
    if as_json:
        output.data({"schema": "seatrial.change_examples.v1", "passed": passed, "cases": cases})
    else:
        for case in cases:
            output.text(f"{'✔' if case['passed'] else '✖'} {_CLASS[case['found']]}: {case['title']}")
            for text in case["reasons"] or case["notes"]:
                output.text(f"    {text}")
    if not passed:
        raise typer.Exit(Exit.GATE_FAILED)


_CLASS = {"material": "material", "nonMaterial": "not material"}


def _lines(d: dict[str, Any]) -> Iterator[str]:
    before = "nothing" if d["from"] is None else f"v{d['from']}"
    yield f"{d['model']} {before} → v{d['to']}: {'material' if d['material'] else 'not material'}"
    yield from (f"  ⚠ {reason['text']}" for reason in d["reasons"])
    yield from (f"  · {note}" for note in d["notes"])
    if d["from"] is None:
        declare = f"`seatrial change baseline {d['model']} VERSION --reason ...`"
        yield f"    hold it against one: --from VERSION, or for good: {declare}"
    if d["envelope"] is not None:
        yield f"  {'✔' if d['envelope'] == 'inside' else '✖'} its change envelope: {d['envelope']}"
    if not d["reasons"] and not d["notes"]:
        yield "  nothing that is known differs"
    needs, days = d["requires"], d["requires"]["within"] / 86_400
    roles = f" ({', '.join(needs['roles'])} among them)" if needs["roles"] else ""
    count = f"{needs['approvals'] or 'no'} approval{'s' if needs['approvals'] != 1 else ''}"
    yield f"  needs {count}{roles} within {days:g} days (tier {d['tier']}): {needs['depth']}"
