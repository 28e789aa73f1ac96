import re
from xml.etree import ElementTree

import pytest

from seatrial.charts.interval import interval_chart
from seatrial.charts.save import save, to_inline_svg, to_svg
from seatrial.charts.split import split_chart
from seatrial.errors import UsageError


@pytest.fixture
def chart(walk, plan):
    return interval_chart(walk(lambda hour: -0.004), plan, "log_loss")


def ids(svg):
    return set(re.findall(r'\bid="([^"]+)"', svg))


def test_svg_and_png_files(chart, tmp_path):
    assert save(chart, tmp_path / "a.svg").read_text().startswith("<svg")
    assert save(chart, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="ST1101"):
        save(chart, tmp_path / "a.gif")


def test_the_same_chart_gives_the_same_bytes(chart):
    assert to_svg(chart) == to_svg(chart)


def test_two_pictures_on_a_page_share_no_ids(chart):
    first, second = (to_inline_svg(chart, name=name, label="x") for name in ("a", "b"))
    assert ids(first)
    assert not ids(first) & ids(second)
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= ids(first)


def test_a_picture_is_described_and_escaped(walk, plan):
    chart = split_chart(walk(lambda hour: -0.004), title="<script>alert(1)</script>")
    svg = to_inline_svg(chart, name='"><script>', label='"><script>alert(2)</script>')
    root = ElementTree.fromstring(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == '"><script>alert(2)</script>'
    assert not [node for node in root.iter() if node.tag.endswith("script")]
