"""A document for people as Markdown, and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#24303b}
table{border-collapse:collapse;margin:.5rem 0 1rem}td,th{border:1px solid #dfe4e9;padding:.3rem .6rem;text-align:left}
th{background:#f4f6f8}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:1.6rem}"""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with text, a table, or both."""

    title: str
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = field(default=())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> Section:
    """A table; where it has no rows, the sentence that says so."""
    return Section(title, "", columns, rows) if rows else Section(title, nothing)


def markdown(title: str, sections: Iterable[Section]) -> str:
    """The whole document."""
    lines = [f"# {title}", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        if section.text:
            lines += [section.text, ""]
        if section.columns:
            lines += [_row(section.columns), _row(["---"] * len(section.columns)), *map(_row, section.rows), ""]
    return "\n".join(lines)


def html(title: str, sections: Iterable[Section], picture: str = "") -> str:
    """The same as a page. ``picture``: SVG at its end."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for section in sections:
        parts.append(f"<h2>{escape(section.title)}</h2>")
        parts += [f"<p>{escape(line)}</p>" for line in section.text.splitlines() if line]
        if section.columns:
            head = "".join(f"<th>{escape(name)}</th>" for name in section.columns)
            body = "".join(f"<tr>{''.join(f'<td>{escape(c)}</td>' for c in row)}</tr>" for row in section.rows)
            parts.append(f"<table><tr>{head}</tr>{body}</table>")
    page = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style><body>{page}{picture}</body></html>\n"
    )


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
