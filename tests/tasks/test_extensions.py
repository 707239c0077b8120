"""docs/reading.md: its tables are what is read, and its plugin works as it stands there."""

import re
from pathlib import Path

import pytest

from qcrd import plugins, tasks
from qcrd.cell.identity import cell_id
from qcrd.config import Cell, Task
from qcrd.errors import ConfigError
from qcrd.tasks.choices import ChoiceTask
from qcrd.tasks.reading import EquationTask
from qcrd.types import Question

PAGE = (Path(__file__).parents[2] / "docs" / "reading.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.*)` \| (.*) \|$", PAGE, re.MULTILINE)
CHOICES = Question("q", "Where?", "cup", ("bag", "cup", "tea cup"))
LETTERED = type("Lettered", (ChoiceTask,), {"lettered": True})()


@pytest.mark.parametrize(("text", "expected"), ROWS)
def test_the_tables_of_the_page_are_what_is_read(text, expected):
    choice = (text, expected) in ROWS[ROWS.index(("The answer is (b) cup.", "cup")) :]
    if choice:
        found = LETTERED.parse(f"It is so. {text}", CHOICES).label
    else:
        found = EquationTask().parse(f"It is so.\n{text}", Question("q", "?", "5")).answer
        parsed = EquationTask().parse(text, Question("q", "?", "5"))
        if parsed.label and "=" in text:  # an equation is the label as it stands, its value what is compared
            found = parsed.answer
    assert (found or "unread") == expected


@pytest.fixture
def german(tmp_path, no_plugins):
    code = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    (tmp_path / "german.py").write_text(code, encoding="utf-8")
    plugins.load(["german.py"], tmp_path)


def test_a_plugins_cue_and_normaliser_read_answers(german):
    task = tasks.of(Task(name="svamp", cues=("german",), normalisers=("decimal_comma",)))
    parsed = task.parse("Es sind 7 / 2. Die Antwort lautet 3,5.", Question("q", "?", "5"))
    assert (parsed.answer, parsed.rationale) == ("7/2", "Es sind 7 / 2.")
    plain = tasks.of(Task(name="svamp", uncued="refuse"))
    assert plain.parse("Die Antwort lautet 3,5.", Question("q", "?", "5")).reason == "no cue"


def test_their_code_is_part_of_the_ids(german):
    cells = [
        Cell.model_validate({"method": "dss", "task": {"cues": cues}})
        for cues in ((), ("german",), ("other",))
    ]
    assert len({cell_id(cell, "d", {}) for cell in cells}) == 3


def test_a_cue_that_nobody_registered_is_named():
    with pytest.raises(ConfigError, match=r"task.cues: value 'german'"):
        tasks.of(Task(cues=("german",)))


def test_free_text_has_no_last_number_to_be_read_by():
    section = Task(name="own", source="x.jsonl", uncued="last")
    with pytest.raises(ConfigError, match=r"task.uncued: value 'last'.*allowed: refuse"):
        tasks.of(section)


def test_settings_of_reading_leave_the_registered_task_alone():
    changed = tasks.of(Task(name="svamp", thinking="both"))
    assert changed.reading.thinking == "both" and tasks.get("svamp").reading.thinking == "answer"
