"""The review of a drill as Markdown and HTML: what was measured, what people made of it, what is to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seatrial.control.documents import page
from seatrial.control.documents.page import Section
from seatrial.errors import UsageError
from seatrial.governance.drills.steps import ABOUT, STEPS

Document = Mapping[str, Any]
BLANK = "…"
"""What is still to be filled in."""


def template() -> str:
    """An empty review, as `drill review` reads it: YAML with every field."""
    return """# Review of a drill. Every field is required; a drill that failed has an action at least.
facilitator: ""        # who led it
participants: []       # who took part: [ann, bob]
wentWell: ""
wentWrong: ""
lessons: ""
actions: []            # each: {text: what to do, owner: who, due: 2026-04-01, done: false}
"""


def markdown(drill: Document, trend: Sequence[Document]) -> str:
    """The whole review."""
    return page.markdown(_title(drill), sections(drill, trend))


def html(drill: Document, trend: Sequence[Document], picture: str = "") -> str:
    """The same as one page that needs nothing else. ``picture``: SVG of the trend."""
    return page.html(_title(drill), sections(drill, trend), picture)


def sections(drill: Document, trend: Sequence[Document]) -> Iterator[Section]:
    """In the order in which people read them."""
    review, verdict = drill["review"], drill["verdict"]
    yield Section("Summary", _summary(drill))
    if verdict is not None:
        rows = [_criterion(one) for one in verdict["criteria"]]
        yield Section("Measured against target", "", ("criterion", "measured", "target", "verdict"), rows)
    yield Section("Timeline", "", ("step", "from", "to", "what"), [*_timeline(drill)])
    yield Section("People", f"Facilitator: {review['facilitator'] or BLANK}\n"
                  f"Participants: {', '.join(review['participants']) or BLANK}")  # fmt: skip
    for title, name in (("What went well", "wentWell"), ("What went wrong", "wentWrong"), ("Lessons", "lessons")):
        yield Section(title, review[name] or BLANK)
    actions = [
        (a["text"], a["owner"], a["due"], "done" if a["done"] else "open", a["since"]) for a in review["actions"]
    ]
    columns = ("action", "owner", "due", "state", "carried on from")
    yield Section("Actions", "", columns, actions) if actions else Section("Actions", "none")
    times = [(t["id"], t["startedAt"][:10], t["status"], _seconds(t["detectedAfter"]), _seconds(t["zeroAfter"]))
            for t in trend]  # fmt: skip
    yield Section("Trend", "", ("drill", "day", "verdict", "detected after", "0% after"), times)


def write(path: Path, drill: Document, trend: Sequence[Document]) -> Path:
    """By the name: .md or .html. Raises UsageError (ST0379)."""
    if path.suffix not in (".md", ".html"):
        raise UsageError("ST0379", f"'{path}': a review is written as .md or .html.", remedy="Name the file so.")
    text = markdown(drill, trend) if path.suffix == ".md" else html(drill, trend, _picture(trend))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("ST0379", f"'{path}' cannot be written: {error.strerror}.", remedy="--out FILE") from error
    return path


def _picture(trend: Sequence[Document]) -> str:
    from seatrial.charts.drills import trend_chart
    from seatrial.charts.save import to_inline_svg

    timed = [row for row in trend if row["zeroAfter"] is not None]
    return to_inline_svg(trend_chart(timed), name="trend", label="Time to 0% over past drills") if timed else ""


def _title(drill: Document) -> str:
    return f"Drill {drill['id']} of {drill['model']}: {drill['status']}"


def _summary(drill: Document) -> str:
    verdict = drill["verdict"]
    failed = "" if verdict is None or verdict["passed"] else f" Failed: {', '.join(verdict['failed'])}."
    how = "unannounced" if drill["unannounced"] else "announced"
    closed = f" Review closed {drill['closed']}." if drill["closed"] else ""
    missing = f" Still to be filled in: {', '.join(drill['missing'])}." if drill["missing"] and not closed else ""
    return (
        f"{drill['model']}, {how}, begun by {drill['actor']} on {drill['startedAt'][:16].replace('T', ' ')} UTC with a "
        f"faulty canary of {drill['share']:g}%. Owner: {drill['owner'] or BLANK}.{failed}{closed}{missing}"
    )


def _criterion(one: Document) -> tuple[str, str, str, str]:
    return one["name"], one["measured"], one["target"], "passed" if one["passed"] else "FAILED"


def _timeline(drill: Document) -> Iterator[tuple[str, str, str, str]]:
    taken = {step["name"]: step for step in drill["steps"]}
    for number, name in enumerate(STEPS, 1):
        step = taken.get(name)
        times = (step["startedAt"][11:23], step["endedAt"][11:23]) if step else ("", "")
        yield f"{number} {name}", *times, ABOUT[name]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
