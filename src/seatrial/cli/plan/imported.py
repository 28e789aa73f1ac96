"""``seatrial plan import`` and ``seatrial plan templates``: plans that somebody else began."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli import output
from seatrial.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from seatrial.integrations.draft import Imported


def import_plan(
    file: Annotated[Path, typer.Argument(help="Manifests of Argo Rollouts or Flagger, in one YAML file.")],
    out: Annotated[Path | None, typer.Option(help="Write the plan here.", show_default="stdout")] = None,
    as_json: output.Json = False,
) -> None:
    """A plan from an Argo Rollout with its AnalysisTemplates, or from a Flagger Canary.

    Warnings say where their rule is weaker than a plan's. What cannot be expressed is refused.
    """
    from seatrial.integrations.manifests import read_manifests
    from seatrial.store.plans import check_plan, plan_of, plan_to_json

    imported = read_manifests(_text(file), str(file))
    plan = check_plan(plan_of(imported.plan, source=str(file)))
    written = _written(imported)
    if out is not None:
        if out.exists():
            raise Conflict("ST0309", f"'{out}' is there already; nothing was changed.", remedy="Choose another --out.")
        out.write_text(written, encoding="utf-8")
    if as_json:
        output.data({
            "schema": "seatrial.plan-import.v1", "source": imported.source, "file": None if out is None else str(out),
            "plan": plan_to_json(plan), "warnings": [*imported.warnings],
        })  # fmt: skip
        return
    if out is None:
        sys.stdout.write(written)
    else:
        output.text(f"✔ plan '{plan.name}' is in {out}: `seatrial plan explain {out}` says what it means")
    for warning in imported.warnings:
        output.note(f"⚠ {warning}")


def templates(
    name: Annotated[str | None, typer.Argument(help="Print this one.", show_default="a list of all")] = None,
    as_json: output.Json = False,
) -> None:
    """The plan library: plans to start from, with comments. With a name its YAML goes to stdout."""
    from seatrial.cli import tables
    from seatrial.cli.plan import library

    wanted = [library.template(one) for one in (library.NAMES if name is None else (name,))]
    if as_json:
        lines = [{"name": t.name, "description": t.about, "text": t.text} for t in wanted]
        output.data({"schema": "seatrial.plan-templates.v1", "templates": lines})
    elif name is None:
        output.show(tables.table(("NAME", "DESCRIPTION"), [(t.name, t.about) for t in wanted]))
        output.note("`seatrial plan templates NAME > plans/NAME.yaml` takes one")
    else:
        sys.stdout.write(wanted[0].text)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("ST0304", f"there is no file '{file}'.", remedy="Give the manifests' YAML file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("ST0304", f"'{file}' cannot be read: {error}.", remedy="Give a YAML file.") from None


def _written(imported: Imported) -> str:
    """The plan's YAML under its warnings, so that they are read wherever the plan is."""
    import yaml

    notes = [f"# Imported from {imported.source}. Where its rules were weaker, or could not be taken over:"]
    for warning in imported.warnings:
        notes += textwrap.wrap(warning, 116, initial_indent="# - ", subsequent_indent="#   ")
    return "\n".join(notes) + "\n" + yaml.safe_dump(dict(imported.plan), sort_keys=False, allow_unicode=True)
