"""A page as a reader and a validator see it: its words, its elements, and what is wrong with its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "rect", "line"})
BLOCKS = frozenset({"p", "div", "section", "table", "ul", "ol", "dl", "pre", "form", "h1", "h2", "h3", "details"})


class Outline(HTMLParser):
    """``faults``: what a browser would have to repair, and what the content security policy would block."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self._text: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self._open]
        ids = self.all_of("id")
        self.faults += [f"id {name} twice" for name in set(ids) if ids.count(name) > 1]
        known = {*ids}
        for attribute in ("aria-labelledby", "for"):
            self.faults += [f"{attribute}={name} leads nowhere" for name in self.all_of(attribute) if name not in known]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self._text)).strip()

    def all_of(self, attribute: str, tag: str = "") -> list[str]:
        """Values of an attribute, of one kind of element or of all."""
        return [given[attribute] for name, given in self.elements if attribute in given and tag in ("", name)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        self.faults += [f"inline {name} on <{tag}>" for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.faults.append(f"inline <{tag}>")
        if tag == "img" and "alt" not in given:
            self.faults.append(f"<img> without alt: {given}")
        if len(given) != len(attrs):
            self.faults.append(f"an attribute twice: {attrs}")
        if tag in BLOCKS and "p" in self._open:
            self.faults.append(f"<{tag}> inside <p>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if "script" not in self._open:
            self._text.append(data)
