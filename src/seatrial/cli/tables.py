"""Lists as tables: one line an object, headers as in Argo."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.table import Table

from seatrial.control.documents.wording import STATUS, clock, percent


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A plain table: no lines, nothing to trip over when it is cut or grepped."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for header in headers:
        made.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*("-" if cell in (None, "") else str(cell) for cell in row))
    return made


def rollouts(document: dict[str, Any]) -> Table:
    headers = ("NAME", "MODEL", "VERSION", "PLAN", "STATUS", "STEP", "SET-WEIGHT", "STARTED", "MESSAGE")
    rows = [
        (r["id"], r["model"], f"v{r['candidate']}", r["plan"], STATUS[r["status"]],
         f"{r['step']['current']}/{r['step']['of']}", percent(r["setWeight"]), clock(r["started"]), r["message"])
        for r in document["rollouts"]
    ]  # fmt: skip
    return table(headers, rows, right=("SET-WEIGHT",))


def approvals(document: dict[str, Any]) -> Table:
    headers = ("REQUEST", "RELEASE", "BY", "STATUS", "GIVEN", "ASKED BY", "ASKED", "MISSING")
    rows = [
        (a["id"], f"{a['model']} v{a['version']}", a["subject"], a["status"], f"{a['given']}/{a['needed']}",
         a["requestedBy"], clock(a["requestedAt"]),
         "; ".join([*a["missing"], *(f"review due {clock(r['due'])}" for r in a["reviews"])]))
        for a in document["approvals"]
    ]  # fmt: skip
    return table(headers, rows)


def models(document: dict[str, Any]) -> Table:
    headers = ("NAME", "CHAMPION", "CHALLENGER", "PREVIOUS", "VERSIONS", "ROLLOUT", "OWNER", "KILLED")
    rows = []
    for m in document["models"]:
        pointers = [m["pointers"][name] for name in ("champion", "challenger", "previous")]
        shown = [None if number is None else f"v{number}" for number in pointers]
        killed = None if m["killed"] is None else f"✖ {m['killed']['mode']}: {m['killed']['reason']}"
        rows.append((m["name"], *shown, m["versionCount"], m["rollout"], m["owner"], killed))
    return table(headers, rows, right=("VERSIONS",))


def versions(document: dict[str, Any]) -> Table:
    headers = ("VERSION", "STAGE", "SOURCE", "SERVES", "CODE", "DATA", "CREATED", "BY")
    rows = []
    for v in document["versions"]:
        lineage, serving = v["lineage"] or {}, v["serving"]
        code, data = lineage.get("code"), lineage.get("data")
        rows.append((
            f"v{v['version']}", v["stage"], v["source"],
            serving["url"] or f"{serving['format']} {short(serving['artifact'])}",
            code and code["commit"][:10] + ("+changes" if code["dirty"] else ""),
            data and f"{data['name'] or short(data['digest'])} ({data['rows']:,} rows)",
            clock(v["createdAt"]), v["createdBy"],
        ))  # fmt: skip
    return table(headers, rows)


def audit(document: dict[str, Any]) -> Table:
    headers = ("SEQ", "TIME", "ACTOR", "ACTION", "OBJECT", "DETAIL")
    rows = [
        (e["seq"], clock(e["at"]), e["actor"], e["action"], e["object"], _detail(e["detail"]))
        for e in document["entries"]
    ]
    return table(headers, rows, right=("SEQ",))


def people(document: dict[str, Any]) -> Table:
    headers = ("NAME", "ROLE", "EXPIRES", "GRANTED", "BY")
    rows = [
        (p["name"], p["role"], f"{clock(p['expires'])}{' (over)' if p['expired'] else ''}" if p["expires"] else "never",
         clock(p["granted"]), p["grantedBy"])
        for p in document["people"]
    ]  # fmt: skip
    return table(headers, rows)


def alerts(document: dict[str, Any]) -> Table:
    headers = ("TIME", "SEVERITY", "KIND", "OBJECT", "TEXT", "DELIVERED")
    rows = [
        (clock(a["time"]), a["severity"], a["kind"], a["object"], a["text"], _deliveries(a["deliveries"]))
        for a in document["alerts"]
    ]
    return table(headers, rows)


def short(digest: str | None) -> str:
    """The first digits of a digest: enough for a person to tell two apart."""
    return "" if digest is None else digest.removeprefix("sha256:")[:12]


def _deliveries(found: Sequence[dict[str, Any]]) -> str:
    """``ops ✔, slack ✖ after 16: 500 oops``; a pending one says when it is tried next."""
    said = {
        "delivered": "{target} ✔",
        "pending": "{target} ◌ {attempts} tried, again {next}: {error}",
        "failed": "{target} ✖ {attempts} tried: {error}",
    }
    return ", ".join(said[d["state"]].format(**d) if d["attempts"] else f"{d['target']} ◌" for d in found)


def _detail(detail: dict[str, Any]) -> str:
    flat = [(name, value) for name, value in detail.items() if value not in (None, "", {}, [])]
    return ", ".join(f"{name}: {value}" for name, value in flat if not isinstance(value, dict))
