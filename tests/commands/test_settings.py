"""`qcrd settings`: what the reference prints, and the page that is made from it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.errors import ConfigError
from qcrd.grid.plan.factors import ALIASES
from qcrd.grid.plan.file import read_grid
from qcrd.grid.plan.settings import markdown

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["settings", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_page_in_docs_is_up_to_date():
    assert PAGE.read_text() == markdown(), "qcrd settings --format md > docs/settings.md"
    assert shown("--format", "md") == markdown()


@pytest.mark.parametrize("name", ["beta", "contrastive.beta", "base.contrastive.beta"])
def test_a_setting_is_explained_by_each_of_its_names(name):
    output = shown(name)
    assert output.startswith("contrastive.beta (short: beta)\n")
    assert "section 4.1: 0.2" in output
    assert "values: numbers from 0 up" in output
    assert "in a grid: base: {beta: 0.2}, or sweep: {beta: [...]}; --set beta=0.2" in output


def test_what_it_says_to_write_is_read(tmp_path):
    line = next(line for line in shown("beta").splitlines() if "in a grid" in line)
    base, sweep = line.partition("in a grid: ")[2].partition(";")[0].split(", or ")
    (tmp_path / "a.yaml").write_text(f"name: a\npreset: embedded\n{base}\n{sweep.replace('...', '0.4')}\n")
    cells = read_grid(tmp_path / "a.yaml").expanded["embedded"]
    assert [planned.cell.settings.contrastive.beta for planned in cells] == [0.2, 0.4]


def test_the_last_part_of_a_path_is_enough_if_it_is_the_only_one():
    assert shown("warmup").startswith("training.warmup\n")
    with pytest.raises(ConfigError, match=r"end of 5 settings.*student\.revision"):
        shown("revision")


def test_defaults_of_presets_are_told():
    assert "default: 10000; embedded: 300" in shown("steps")


def test_names_of_components_are_those_that_are_registered():
    assert "minmax, maxmin, sampling, mean, wmean, or the name of a plugin's" in shown("scheme")
    assert "or the name of a plugin's, or null" in shown("selection.rule")


@pytest.mark.parametrize("section", ["contrastive", "resources", "task.own", "grid"])
def test_a_section_is_explained_with_all_its_settings(section):
    objects = json.loads(shown("--format", "json"))
    inside = [setting["path"] for setting in objects if setting["section"] == section]
    assert len(inside) > 2
    for path in inside:
        assert f"\n{path}" in shown(section)


def test_a_section_that_may_be_null_is_a_setting_and_a_section():
    output = shown("adapter")
    assert output.startswith("student.adapter\n")
    assert "student.adapter.alpha" in output


def test_all_are_listed_in_one_line_each():
    lines = shown().splitlines()
    for setting in json.loads(shown("--format", "json")):
        assert any(line.split()[:1] == [setting["path"]] for line in lines), setting["path"]
    for alias in ALIASES:
        assert f"(short: {alias})" in shown()


@pytest.mark.parametrize(
    ("name", "meant"), [("contrastiv.beta", "contrastive.beta"), ("schem", "scheme"), ("warmpu", "warmup")]
)
def test_a_similar_name_is_suggested(name, meant):
    with pytest.raises(ConfigError, match=f"did you mean '{meant}'"):
        shown(name)


def test_a_format_of_all_settings_takes_no_name():
    with pytest.raises(ConfigError, match="leave 'beta' out"):
        shown("beta", "--format", "md")
