"""A judge's file, and the cells of a grid that are paired."""

import pytest
from finished_cells import finish

from qcrd.config import Resources
from qcrd.errors import ConfigError, DataError
from qcrd.grid.plan.study import Study
from qcrd.grid.run.judges import judge_engine, pair_cells, read_judge
from qcrd.samples.requests import requests
from qcrd.storage.home import Home
from qcrd.types import Prompt, Question

GRID = """
name: small
preset: embedded
base:
  task: {train: 10, validation: 4, test: 4}
product:
  method: [dss, qcrd]
sweep:
  beta: [0.5]
seeds: 2
"""


@pytest.fixture
def study(tmp_path) -> Study:
    (tmp_path / "small.yaml").write_text(GRID)
    return Study.open(tmp_path / "small.yaml", Home(tmp_path / "home"))


def written(folder, text):
    path = folder / "judge.yaml"
    path.write_text(text)
    return path


def test_a_judge_is_a_teacher_that_says_what_it_thinks_likeliest(tmp_path, monkeypatch):
    monkeypatch.setenv("PORT", "8123")
    judge = read_judge(
        written(
            tmp_path,
            """
teacher: {engine: openai, model: a-judge, base_url: "http://127.0.0.1:${PORT}/v1"}
resources: {api: {concurrency: 2}}
""",
        )
    )
    assert (judge.teacher.model, judge.teacher.temperature) == ("a-judge", 0.0)
    assert judge.teacher.base_url == "http://127.0.0.1:8123/v1"
    assert judge.resources.api.concurrency == 2
    warm = read_judge(written(tmp_path, "teacher: {model: some/model, temperature: 7e-1}"))
    assert warm.teacher.temperature == 0.7 and warm.resources == Resources()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teacher: {modle: x}", "teacher.modle: unknown setting; .*did you mean 'model'"),
        ("teacher: {model: x}\nresource: {}", "resource: unknown setting; allowed: teacher, resources"),
        ("teacher: {model: x, engine: oracle}", "teacher.engine: value 'oracle'; allowed"),
        ("teacher: {engine: recorded}", "teacher: teacher.path is needed"),
        ("teacher: {engine: vllm}", "'embedded' only does arithmetic"),
        ("teacher: {model: $QCRD_NO_SUCH_VARIABLE/x}", "teacher.model: .*QCRD_NO_SUCH_VARIABLE is not set"),
        ("model: x", "teacher: is missing"),
        ("", "teacher: is missing"),
        ("teacher: {", "cannot be read as a YAML file"),
        ("teacher: {model: m, max_tokens: 0100}", "which YAML reads as 64 .octal.; write 100 or 64"),
        ("teacher: {model: m, top_p: 1:30}", "which YAML reads as 90 .base 60."),
        ("teacher: {model: m, model: n}", "model occurs twice; keep one"),
    ],
)
def test_a_file_with_mistakes_is_refused_with_field_and_remedy(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        read_judge(written(tmp_path, text))


def test_recorded_judgements_need_no_ray(tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"id": "q", "samples": ["Better: 1"]}\n')
    judge = read_judge(written(tmp_path, f"teacher: {{engine: recorded, path: {tmp_path}/answers.jsonl}}"))
    asked = requests([Question("q", "", "")], lambda _: Prompt("which?"), 1, 0)
    with judge_engine(judge, asked, Home(tmp_path / "home"), lambda line: None) as sample:
        assert [s.text for samples in sample(asked) for s in samples] == ["Better: 1"]


def test_methods_are_paired_by_seed_and_unfinished_cells_are_named(study):
    names = [planned.name for planned in study.cells]
    ids = dict(zip(names, study.ids, strict=True))
    for name in ("dss seed=0", "qcrd seed=0", "dss seed=1"):
        finish(study, names.index(name), 2)
    found = pair_cells(study, "dss", "qcrd")
    assert found.pairs == [(ids["dss seed=0"], ids["qcrd seed=0"])]
    assert found.unfinished == ["qcrd seed=1"]
    with pytest.raises(DataError, match=r"not finished: qcrd beta=0.5 seed=0, qcrd beta=0.5 seed=1"):
        pair_cells(study, "qcrd beta=0.5", "qcrd")


def test_names_that_mean_no_cell_or_several_are_refused(study, tmp_path):
    with pytest.raises(ConfigError, match=r"allowed: a method \(dss, qcrd\)"):
        pair_cells(study, "dss", "qcdr")
    text = GRID.replace("beta: [0.5]", "beta: [0.5]\n  tau: [1, 1.2]").replace(
        "  method: [dss, qcrd]", "  method: [dss, qcrd]\n  delta: [4, 5]"
    )
    (tmp_path / "wide.yaml").write_text(text)
    wide = Study.open(tmp_path / "wide.yaml", study.home)
    with pytest.raises(ConfigError, match="have the same task and seed; give the cell's full name"):
        pair_cells(wide, "dss", "qcrd")
