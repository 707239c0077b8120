"""Whatever stands in a file or comes from a model: it is read, or refused with field and place, and quickly.

Nothing here may raise anything but a QcrdError. Rubbish is mixed with what is nearly right: it goes deeper.
"""

import json
import warnings

import pytest
import yaml
from daily import examples
from echo_teacher import IDENTITY, LIMIT, asked, samples_of
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from qcrd import tasks
from qcrd.config import Grid
from qcrd.errors import ConfigError, DataError, QcrdError
from qcrd.grid.plan.file import read_grid
from qcrd.judging.verdict import read as judged
from qcrd.samples.store import SampleStore
from qcrd.storage import journal
from qcrd.storage.files import read_json
from qcrd.storage.home import Home
from qcrd.tasks import equations
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Question

STEADY = examples(150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["qcrd", "auto", "../..", "/etc/passwd", "${HOME}", "1e999", "0.1", "2020-13-01"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [*Grid.model_fields, "beta", "m", "k", "task.train", "method", "training.lr", "selfplay", "teacher"]
)


@STEADY
@given(
    st.dictionaries(NAMES | st.text(max_size=6), VALUES, max_size=6), st.text(max_size=30), st.integers(0, 4)
)
@example(data={"presets": {"papr": {"seedz": 1}}}, noise="", where=0)
def test_a_grid_is_read_or_refused_with_its_line(tmp_path, data, noise, where):
    path = tmp_path / "grid.yaml"
    text = yaml.safe_dump({"name": "fuzz", **data}, allow_unicode=True)
    lines = text.splitlines()
    if noise and where:
        lines.insert(min(where, len(lines)), noise)
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")
    try:
        read_grid(path)
    except ConfigError as error:
        assert str(error).startswith(f"{path}:")


@STEADY
@given(st.binary(max_size=200))
def test_bytes_are_no_grid(tmp_path, content):
    path = tmp_path / "grid.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"grid\.yaml"):
        read_grid(path)


ROWS = st.fixed_dictionaries(
    {},
    optional={
        "id": SCALARS | st.lists(SCALARS, max_size=2),
        "samples": st.lists(SCALARS, max_size=3) | VALUES,
        "dataset": SCALARS,
        "split": SCALARS,
    },
)


@STEADY
@given(st.lists(ROWS | VALUES | st.binary(max_size=30), max_size=4))
def test_recorded_answers_are_read_or_refused_with_their_line(tmp_path, rows):
    path = tmp_path / "answers.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines))
    try:
        answers = RecordedTeacher(str(path)).answers
    except DataError as error:
        assert "answers.jsonl" in str(error)
    else:
        assert all(isinstance(text, str) for samples in answers.values() for text in samples)


CUES = [
    "The answer is",
    "Answer:",
    "Q:",
    "\nQ:",
    "(",
    ")",
    "-",
    "x",
    "/",
    "*",
    "1",
    "84.0",
    "1,000",
    "50%",
    "\n",
]
CUES += ["(a)", "yes", "Better:", "__import__('os')", "9**9**9", "{", "\x00", "٣", "½", "∞", "="]
RUBBISH = st.text(max_size=200) | st.lists(st.sampled_from(CUES), max_size=60).map(" ".join)
QUESTIONS = {
    "arithmetic": Question("q", "how many", "( 1 + 2 )"),
    "svamp": Question("q", "how many", "( 1 + 2 )"),
    "cqa": Question("q", "which", "tea", choices=("tea", "cup", "tea cup", "a", "b")),
    "anli1": Question("q", "so", "neutral", choices=("entailment", "neutral", "contradiction")),
}


@STEADY
@given(RUBBISH, st.sampled_from(sorted(QUESTIONS)), st.sampled_from(["stop", "length"]))
def test_whatever_a_model_writes_has_a_label_or_a_reason(text, name, finish_reason):
    task, question = tasks.get(name), QUESTIONS[name]
    parsed = task.parse(text, question, finish_reason)
    assert (parsed.label is None) == (parsed.reason is not None)
    assert isinstance(task.correct(text, question), bool)
    answer = judged(text, finish_reason)
    assert (answer.choice is None) == (answer.reason is not None)


@STEADY
@given(RUBBISH)
def test_whatever_is_taken_for_an_equation_is_small_and_its_own_normal_form(text):
    found = equations.equation(text)
    if found is not None:
        assert len(found.text) <= equations.MAX_LENGTH
        assert equations.normal(found.text) == found.text
    assert len(list(equations.every(text))) <= len(text)


@pytest.mark.parametrize(
    "part", ["(", "-", "1/", "9*", "( 1 + ", "1 + 1 = ", "x", "The answer is ", "1,", "∞"]
)
def test_a_hundred_thousand_characters_cost_no_more_than_a_few(part):
    text = (part * 100_000)[:100_000]
    for name, question in QUESTIONS.items():
        tasks.get(name).parse(f"The answer is {text}", question)
    judged(text)
    equations.equation(text)


@STEADY
@given(st.data())
def test_a_damaged_shard_is_put_aside_and_the_rest_is_read(tmp_path_factory, data):
    root = tmp_path_factory.mktemp("store")
    store = SampleStore(root, IDENTITY, LIMIT)
    with_lease(store, samples_of(asked(2, 1)))
    (shard,) = store.folder.glob("*.parquet")
    with_lease(store, samples_of(asked(3, 1)[2:]))
    content = bytearray(shard.read_bytes())
    kind = data.draw(st.sampled_from(["flip", "cut", "rubbish", "identity", "foreign"]))
    if kind == "flip":
        place = data.draw(st.integers(0, 8 * len(content) - 1))
        content[place // 8] ^= 1 << place % 8
        shard.write_bytes(content)
    elif kind == "cut":
        shard.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    elif kind == "rubbish":
        shard.write_bytes(data.draw(st.binary(max_size=100)))
    elif kind == "identity":
        (store.folder / "identity.json").write_bytes(data.draw(st.binary(max_size=40)))
    else:
        (store.folder / "zzz.parquet").write_bytes(data.draw(st.binary(max_size=40)))
    try:
        found = SampleStore(root, IDENTITY, LIMIT).load()
    except QcrdError as error:
        assert kind == "identity" and "identity.json" in str(error)
    else:
        assert len(found) == (3 if kind in ("identity", "foreign") else 1)


def with_lease(store, samples):
    store.acquire()
    store.add(samples)
    store.release()


EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["metrics", "status", "params", "artifact", "other"]) | SCALARS,
        "step": SCALARS,
        "values": st.dictionaries(st.text(max_size=4), SCALARS, max_size=3) | VALUES,
        "status": SCALARS,
        "message": SCALARS,
        "path": SCALARS,
        "time": SCALARS,
        "more": SCALARS,
    },
)


@STEADY
@given(st.lists(EVENTS.map(json.dumps).map(str.encode) | st.binary(max_size=40), max_size=5), st.booleans())
def test_journal_lines_that_mean_nothing_are_left_out_and_the_rest_is_read(tmp_path_factory, lines, ended):
    path = tmp_path_factory.mktemp("journal") / journal.FILE
    good = b'{"kind": "metrics", "step": 3, "values": {"loss": "nan"}, "time": 1}'
    path.write_bytes(b"\n".join([*lines, b"", good]) + b"\n" * ended)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        events = journal.read(path)
    assert all(str(path) in str(warning.message) for warning in said)
    for event in events:
        if isinstance(event, journal.Metrics):
            assert isinstance(event.step, int) and isinstance(event.time, int)
            assert all(isinstance(value, float) for value in event.values.values())
        elif isinstance(event, journal.Status):
            assert event.status in journal.STATUSES and isinstance(event.message, str)
    if ended:
        assert events[-1].step == 3
    with journal.Journal(path) as log:  # and it can be gone on with
        log.status("done")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert journal.read(path)[-1].status == "done"


@STEADY
@given(VALUES | st.binary(max_size=60))
def test_a_record_is_read_or_counts_as_not_there(tmp_path_factory, value):
    home = Home(tmp_path_factory.mktemp("home"))
    folder = home.cell("abc")
    folder.mkdir(parents=True)
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    (folder / "record.json").write_bytes(content)
    assert home.record("abc") is None


def test_what_is_nested_without_end_is_refused_as_other_rubbish_is(tmp_path):
    deep = "[" * 100_000
    path = tmp_path / "file"
    path.write_text(deep + "\n")
    with pytest.raises(DataError, match="line 1"):
        RecordedTeacher(str(path))
    with pytest.raises(ConfigError, match="file:1"):
        read_grid(path)
    assert read_json(path) is None
    with pytest.warns(UserWarning, match="file:1"):
        assert journal.read(path) == []
