import json

import pytest
import small  # noqa: F401 - sets the number of threads
from typer.testing import CliRunner

from qcrd.cli import app

SMALL = ["--size", "tiny", "--rounds", "1", "--device", "cpu"]


def last_line(*arguments):
    found = CliRunner().invoke(app, ["bench", *arguments, *SMALL, "--json"])
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout.strip().splitlines()[-1])


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
    assert found["naive_slope_over_ours"] is not None


def test_without_self_play_none_is_measured():
    found = last_line("step", "--m", "2", "--k", "0", "--batch", "2")
    assert found["seconds"]["play"] == found["seconds"]["naive_play"] == 0
    assert found["naive_slope_over_ours"] is None


def test_generate_gives_the_ratio_of_the_rates():
    found = last_line("generate", "--questions", "4", "--batch", "2")
    assert found["sequences"] == 4
    rate = found["per_second"]
    assert found["ratio"] == pytest.approx(rate["qcrd"] / rate["transformers"])


@pytest.mark.parametrize("option, value", [("--scheme", "best"), ("--device", "tpu")])
def test_an_unknown_word_is_refused_with_those_that_are_known(option, value):
    found = CliRunner().invoke(app, ["bench", "step", option, value])
    assert found.exit_code != 0
    assert value in str(found.exception or found.output)
    assert "allowed" in str(found.exception or found.output)
