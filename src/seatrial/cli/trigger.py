"""``seatrial trigger``: what starts the training of a model, tried on a history before it is trusted."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from seatrial.cli import amounts, output, trigger_policy
from seatrial.errors import Exit, UsageError
from seatrial.instants import instant

app = typer.Typer(help="What starts the training of a model, and what has to wait.", no_args_is_help=True)
trigger_policy.add_to(app)

NAMES: Final = ("surge-pricing", "demand-forecast", "driver-churn")
ICONS: Final = {"started": "✔", "suppressed": "॥", "waiting": "॥", "blocked": "✖", "paged": "⚠", "recovered": "·",
                "missed": "⚠", "finished": "·"}  # fmt: skip

PolicyFile = Annotated[Path, typer.Argument(metavar="POLICY", help="A policy's YAML file.")]


@app.command("explain")
def explain(
    policy: PolicyFile,
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="A YAML list of what was measured, and when.")],
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Where the replay begins.", show_default="first entry")
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where it ends.", show_default="two intervals after the last entry"),
    ] = None,
    every: Annotated[
        str | None, typer.Option(metavar="CRON", help="Look only then, e.g. '0 3 * * *'.", show_default="at once")
    ] = None,
    run_time: Annotated[
        str, typer.Option(metavar="DURATION", help="What a run takes, if the history is silent.")
    ] = "1h",
    as_json: output.Json = False,
) -> None:
    """Replay a policy on a history: which triggers fired, which waited and until when, and why."""
    from seatrial.control.analyses.triggers import read_history, read_policy, replay, replay_document
    from seatrial.retrain.cron import Cron
    from seatrial.values import Duration

    read, entries = read_policy(policy), read_history(history)
    if not entries and (since is None or until is None):
        raise UsageError("ST0393", f"'{history}' has no entries.", remedy="Say from when until when: --from, --until.")
    start = _moment("--from", since) if since is not None else entries[0].at
    last = max((e.at + (e.down.delta if e.down else timedelta()) for e in entries), default=start)
    end = _moment("--until", until) if until is not None else max(start, last) + 2 * read.interval.delta
    lasts = amounts.read("--run-time", run_time, Duration.parse, "40m")
    if end < start or lasts.seconds <= 0:
        raise UsageError("ST0393", "a replay ends after it begins, and a run takes some time.", remedy="--until TIME")
    cron = None if every is None else amounts.read("--every", every, Cron.parse, "'0 3 * * *'")
    kept = [entry for entry in entries if entry.at >= start]
    document = replay_document(replay(read, kept, start=start, until=end, lasts=lasts.delta, every=cron))
    if as_json:
        output.data(document)
    else:
        _tell(document)


@app.command("lint")
def check(policy: PolicyFile, as_json: output.Json = False) -> None:
    """What is wrong with a policy, and what is likely not meant: exit 3 if it cannot be honoured."""
    from seatrial.control.analyses.triggers import parse_policy
    from seatrial.errors import NotFound
    from seatrial.retrain.lint import lint

    if not policy.is_file():
        raise NotFound("ST0390", f"there is no policy '{policy}'.", remedy="`seatrial trigger templates` shows some.")
    read = parse_policy(policy.read_text(encoding="utf-8", errors="replace"), str(policy))
    found = lint(read)
    if as_json:
        listed = [{"code": f.code, "level": f.level, "text": f.text} for f in found]
        output.data({"schema": "seatrial.trigger-lint.v1", "model": read.model, "findings": listed})
    for finding in () if as_json else found:
        output.text(f"{'✖' if finding.level == 'error' else '⚠'} {finding.code} {finding.text}")
    if not found and not as_json:
        output.text(f"✔ {read.model}: {len(read.triggers)} triggers, mainly '{read.primary}'")
    raise typer.Exit(Exit.GATE_FAILED if any(f.level == "error" for f in found) else Exit.OK)


@app.command("templates")
def templates(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this one, with its comments.")] = None,
    as_json: output.Json = False,
) -> None:
    """Policies to start from: a model trained by the clock, one by the night, one by its inputs."""
    from seatrial.control.analyses.triggers import parse_policy

    if name is not None and name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        raise UsageError(
            "ST0390", f"there is no policy template '{name}'.", remedy=f"{hint}There are: {', '.join(NAMES)}."
        )
    texts = {one: template(one) for one in (NAMES if name is None else (name,))}
    known = [{"name": one, "about": parse_policy(text, one).description, "text": text} for one, text in texts.items()]
    if as_json:
        output.data({"schema": "seatrial.trigger-templates.v1", "templates": known})
    elif name is not None:
        typer.echo(texts[name], nl=False)
    else:
        for one in known:
            output.text(f"{one['name']:<16}  {one['about']}")


def template(name: str) -> str:
    """A policy of the library as YAML with comments."""
    return files("seatrial.cli").joinpath("policies", f"{name}.yaml").read_text(encoding="utf-8")


def _moment(option: str, text: str) -> datetime:
    try:
        return instant(text, zone=UTC)
    except ValueError:
        raise UsageError("ST0393", f"{option} {text}: not a time.", remedy=f"e.g. {option} 2026-03-09T03:00") from None


def _tell(d: dict[str, Any]) -> None:
    output.text(f"{d['model']}, {_clock(d['start'])} to {_clock(d['end'])} UTC: {len(d['runs'])} runs")
    output.text("")
    for event in d["events"]:
        until = f" · until {_clock(event['suppressed_until'])}" if event["suppressed_until"] else ""
        run = f" run {event['run']}" if event["run"] else ""
        output.text(f"{_clock(event['at'])}  {ICONS[event['what']]} {event['what']}{run}  {event['trigger']}: "
                    f"{event['reason']}{until}")  # fmt: skip
    for one in d["waiting"]:
        until = "" if one["until"] is None else f" until {_clock(one['until'])}"
        output.text(f"still waiting: {one['trigger']}{until}")


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M")
