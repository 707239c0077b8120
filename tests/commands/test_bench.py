import json

import pytest
import small  # noqa: F401 - sets the number of threads
from typer.testing import CliRunner

from qcrd.cli import app

SMALL = ["--student", "t5-tiny", "--rounds", "1", "--device", "cpu"]


def last_line(*arguments, given=SMALL):
    found = CliRunner().invoke(app, ["bench", *arguments, *given, "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_step_gives_its_ratios_and_what_they_are_made_of_for_each_m():
    found = last_line("step", "--m", "2", "--m", "3", "--batch", "2")
    assert found["m"] == 2
    assert found["ratios"].keys() == {"qcrd_over_dss", "naive_over_qcrd", "qcrd_over_own_dss"}
    assert [each["m"] for each in found["curve"]] == [2, 3]
    for each in found["curve"]:
        seconds, tflop = each["seconds"], each["tflop"]
        assert each["ratios"]["naive_over_qcrd"] == pytest.approx(seconds["naive"] / seconds["qcrd"])
        assert each["counted"]["qcrd_over_dss"] == pytest.approx(tflop["qcrd"] / tflop["dss_peer"])
        assert seconds["qcrd"] > seconds["play"] > 0
        assert each["counted"]["naive_over_qcrd"] > 1
    few, many = (each["seconds"] for each in found["curve"])
    ours, naive = (many[way] - few[way] for way in ("qcrd", "naive"))
    wanted = pytest.approx(naive / ours) if ours > 0 else None  # timed, so that either may occur
    assert found["naive_slope_over_ours"] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("targets", ["multitask", "sequence"])
def test_step_of_a_decoder_only_student_says_that_trl_is_absent(targets):
    given = ["--student", "llama-tiny", "--rounds", "1", "--device", "cpu", "--targets", targets]
    found = last_line("step", "--m", "2", "--batch", "1", given=given)
    assert found["student"] == "llama-tiny" and found["trl"] is None
    assert found["ratios"].keys() == {"qcrd_over_dss", "naive_over_qcrd", "qcrd_over_own_dss"}
    assert found["tokens"]["qcrd"] > found["tokens"]["dss"] > 0


def test_without_self_play_none_is_measured():
    found = last_line("step", "--m", "2", "--k", "0", "--batch", "2")
    assert found["seconds"]["play"] == found["seconds"]["naive_play"] == 0
    assert found["naive_slope_over_ours"] is None


@pytest.mark.slow
@pytest.mark.parametrize("student", ["t5-tiny", "llama-tiny"])
def test_generate_gives_the_ratio_of_the_rates(student):
    given = ["--student", student, "--rounds", "1", "--device", "cpu"]
    found = last_line("generate", "--questions", "4", "--batch", "2", given=given)
    assert found["sequences"] == 4
    rate = found["per_second"]
    assert found["ratio"] == pytest.approx(rate["qcrd"] / rate["transformers"])


@pytest.mark.parametrize("option, value", [("--scheme", "best"), ("--device", "tpu")])
def test_an_unknown_word_is_refused_with_those_that_are_known(option, value):
    found = CliRunner().invoke(app, ["bench", "step", option, value])
    assert found.exit_code != 0
    assert value in str(found.exception or found.output)
    assert "allowed" in str(found.exception or found.output)


FEW = ["--steps", "4", "--batch", "4", "--questions", "8", "--answered", "3"]


@pytest.mark.slow
def test_negatives_gives_a_line_for_each_way_to_draw(monkeypatch):
    monkeypatch.delenv("QCRD_DATA", raising=False)
    ways = ["--tau", "0", "--tau", "1.5", "--top-k", "50", "--top-k", "0", "--delta", "9"]
    found = last_line("negatives", *FEW, *ways, given=[])
    assert [(row["tau"], row["top_k"]) for row in found["rows"]] == [(0, 50), (1.5, 50), (1.5, None)]
    assert (found["data"], found["steps"], found["questions"]) == ("generated word problems", 4, 3)
    assert found["rows"][0]["nats"] < found["rows"][1]["nats"] < found["rows"][2]["nats"]
    assert all(1 <= row["tokens"] <= 48 for row in found["rows"])
    assert all(0 <= row[name] <= 1 for row in found["rows"] for name in ("ended", "active", "equal"))
    again = CliRunner().invoke(app, ["bench", "negatives", *FEW, *ways])
    assert "| 1.5 | all   |" in again.stdout and "active (delta 9)" in again.stdout


@pytest.mark.slow
def test_negatives_learns_from_recorded_answers_where_it_is_told_the_folder(shared_data):
    found = last_line("negatives", *FEW, "--tau", "0", "--data", str(shared_data), given=[])
    assert found["data"].startswith("SVAMP") and found["vocabulary"] > 32_000
    assert found["positive"] < 11  # of a uniform guess over so many pieces it is 10.4
