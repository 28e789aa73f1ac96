"""``up``, ``down``, ``logs``, ``doctor`` and ``config``: the project itself (``init`` makes one)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seatrial.cli import init, output
from seatrial.cli.session import project_of
from seatrial.errors import Exit, NotFound, UsageError

if TYPE_CHECKING:
    from seatrial.control.project import Project

config = typer.Typer(help="The project's configuration.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    for command in (init.init, up, down, logs, doctor):
        app.command()(command)
    app.add_typer(config, name="config")


def up(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach/--foreground", help="In the background, or here.")] = True,
    standby: Annotated[
        bool, typer.Option("--standby", help="With --foreground: wait until no other control plane runs.")
    ] = False,
) -> None:
    """Start the control plane; it brings up the gateway and the model hosts."""
    from seatrial.control.disk import disk_told

    project = project_of(context)
    with disk_told(project):
        project.prepare()
    if not detach:
        from seatrial.api.server import serve

        serve(project, standby=standby)
        return
    if standby:
        raise UsageError("ST0627", "--standby waits in the foreground.", remedy="Add --foreground.")
    from seatrial.cli import background

    started = background.start(project)
    word = "is up" if started else "was up already"
    api, gateway = project.config.api.url, project.config.gateway.url
    output.text(
        f"✔ project '{project.config.project}' {word}\n"
        f"  look     {api}/  (HTTP API at {api}/docs, metrics at {api}/metrics)\n"
        f"  gateway  {gateway}/models/NAME/...  (what clients call)\n"
        f"  log      {background.control_log(project)}"
    )


def down(context: typer.Context) -> None:
    """Stop the control plane, the gateway and the model hosts of this project: no traffic flows any more."""
    from seatrial.api.server import shutdown
    from seatrial.control.disk import disk_told

    project = project_of(context)
    with disk_told(project):
        stopped = shutdown(project)
    nothing = f"nothing of project '{project.config.project}' was running"
    output.text("\n".join(f"✔ stopped {name}" for name in stopped) or nothing)


def logs(
    context: typer.Context,
    part: Annotated[
        str, typer.Argument(metavar="[control|gateway|MODEL-VERSION]", help="Whose log.", show_default="control")
    ] = "control",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written from now on.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 200,
) -> None:
    """Show the log of the control plane, the gateway or a model host."""
    from seatrial.cli.tail import follow_file, last_lines

    path = _log_file(project_of(context), part)
    sys.stdout.write("".join(last_lines(path, lines)))
    if follow:
        for text in follow_file(path):
            sys.stdout.write(text)
            sys.stdout.flush()


def doctor(
    context: typer.Context,
    maturity: Annotated[
        bool, typer.Option("--maturity", help="How far releases are automated, 0 to 3, and what raises it most.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Check this machine and this project; every line that is not ✔ says what to do."""
    from seatrial.cli.doctor import examine
    from seatrial.cli.doctor import maturity as levels

    if maturity:
        document = levels.document(project_of(context))
        output.data(document) if as_json else output.text("\n".join(levels.lines(document)))
        return
    findings = examine(project_of(context))
    if as_json:
        output.data(
            {
                "schema": "seatrial.doctor.v1",
                "ok": all(f.ok for f in findings),
                "checks": [
                    {"name": f.name, "ok": f.ok, "level": f.level, "found": f.found, "remedy": f.remedy}
                    for f in findings
                ],
            }
        )
    else:
        output.text("\n".join(str(finding) for finding in findings))
    if any(finding.integrity and not finding.ok for finding in findings):
        raise typer.Exit(Exit.INTEGRITY)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(Exit.ERROR)


@config.command("show")
def config_show(context: typer.Context, as_json: output.Json = False) -> None:
    """What is in force: flags, environment, file and defaults together."""
    import yaml
    from pydantic import TypeAdapter

    from seatrial.control.project import Config

    project = project_of(context)
    settings = TypeAdapter(Config).dump_python(project.config, mode="json", by_alias=True)
    if as_json:
        output.data({"schema": "seatrial.config.v1", "root": str(project.root), "config": settings})
        return
    sys.stdout.write(f"# {project.root}\n{yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)}")


@config.command("schema")
def config_schema() -> None:
    """JSON Schema of seatrial.yaml, for editors."""
    from seatrial.control import project

    output.data(project.config_schema())


def _log_file(project: Project, part: str) -> Path:
    found = dict(_log_files(project))
    if not found:
        name = project.config.project
        raise NotFound("ST0864", f"project '{name}' has no log: it never ran.", remedy="`seatrial up` starts it.")
    if part not in found:
        raise NotFound("ST0864", f"there is no log '{part}'.", remedy=f"There are: {', '.join(found)}.")
    return found[part]


def _log_files(project: Project) -> Iterator[tuple[str, Path]]:
    fixed = {"control": project.logs / "control.log", "gateway": project.gateway / "log" / "envoy.log"}
    yield from ((name, path) for name, path in fixed.items() if path.exists())
    for host in sorted((project.state / "hosts").glob("*")):
        for path in sorted(host.glob("*.log"))[:1]:
            yield host.name, path
