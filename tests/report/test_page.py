"""The HTML page of a grid, read by a parser."""

from html.parser import HTMLParser

from table_records import a_row

from qcrd.report.page import CellLine, Example, StudentAnswer, page
from qcrd.report.tables import table
from qcrd.types import CellRecord

RECORD = CellRecord(
    "id0", "cell", "done", {}, {"seed": 0},
    {"test": 50.0, "validation": 50.0, "test_last": 49.0, "test_best": 51.0}, 30, 7200.0,
    versions={"torch": "2.13.0", "device": "cpu x1"},
)  # fmt: skip


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for name, v in attributes if name in ("src", "href", "xlink:href") and v]

    def handle_data(self, data):
        self.words.append(data)


def made(label="plain", missing=1):
    found = table([a_row("tau", label, [RECORD], 100, missing=missing)], "g", "embedded", "arithmetic")
    cells = [CellLine("id0", "first", "done", RECORD), CellLine("id1", "second", "failed", None)]
    samplers = [{"name": "m", "task": "t", "wanted": 9, "missing": 2, "key": "abc", "identity": {"a": 1}}]
    said = (
        StudentAnswer("dss", "<b>2 and 2</b>", "( 2 + 2 )", True),
        StudentAnswer("finetuning", "", "( 2 - 2 )", False),
    )
    examples = [Example("How many?", "( 2 + 2 )", said)]
    return page(found, "about it", "name: g", cells, samplers, "today", examples)


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing():
    reader = Reader(made())
    assert not {"script", "link", "img", "iframe"} & set(reader.tags) and "svg" in reader.tags
    assert all(link.startswith("#") for link in reader.links)


def test_it_says_where_its_figures_come_from_and_what_is_missing():
    text = " ".join(Reader(made()).words)
    for expected in (
        "id0",
        "id1",
        "1 are missing",
        "2.00 hours of training on cpu x1",
        "torch 2.13.0",
        "abc",
    ):
        assert expected in text, expected
    assert "1 of 2 cells not finished yet" in text and "name: g" in text


def test_what_a_user_wrote_is_text_and_no_markup():
    reader = Reader(made(label="<script>alert(1)</script>"))
    assert "script" not in reader.tags and any("<script>" in word for word in reader.words)


def test_rationales_stand_side_by_side_with_their_answers_and_are_no_markup_either():
    words = " ".join(" ".join(Reader(made()).words).split())
    assert (
        "How many? Answer: ( 2 + 2 ) dss finetuning <b>2 and 2</b> no rationale ✓ ( 2 + 2 ) ✗ ( 2 - 2 )"
        in words
    )
