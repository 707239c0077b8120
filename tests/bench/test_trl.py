"""The process with TRL's trainer: its answers, its refusals, and what the results say about it."""

import json
import sys

import pytest
from small import CPU

from qcrd.bench import trl_process
from qcrd.bench.causal_workload import CausalWorkload
from qcrd.bench.rounds import Timing, time_interleaved
from qcrd.bench.step import StepTimes, bench_step
from qcrd.bench.trl_process import TrlProcess
from qcrd.bench.trl_steps import TrlSteps, TrlTimes, token_mean
from qcrd.errors import ConfigError

STAND_IN = """
import json, sys
job = json.load(open(sys.argv[1]))
print(json.dumps({"versions": {"trl": "9"}, "attention": "sdpa"}), flush=True)
for number, _ in enumerate(sys.stdin):
    loss = job["padding_free"] and 1.0 or LOSS
    print(json.dumps({"loss": loss, **({"flops": 7} if number == 0 else {})}), flush=True)
"""


@pytest.fixture
def dss():
    given = CausalWorkload.draw("llama-tiny", 4, 1, 0, device=CPU.type)
    student = given.student()
    return student, given.objective("dss", student, "minmax", False)


def stand_in(monkeypatch, tmp_path, text):
    script = tmp_path / "script.py"
    script.write_text(text)
    monkeypatch.setattr(trl_process, "SCRIPT", script)


def start(dss, tmp_path, python=sys.executable):
    student, objective = dss
    return TrlSteps.start(python, tmp_path / "trl", student, objective, 2, False, 0.0, lambda line: None)


def test_a_batching_with_another_loss_is_left_out(monkeypatch, tmp_path, dss):
    stand_in(monkeypatch, tmp_path, STAND_IN.replace("LOSS", repr(token_mean(*dss, 2))))
    steps = start(dss, tmp_path)
    try:
        assert steps.implementations.keys() == {"trl padded"}
        timings = time_interleaved(steps.implementations, 2, lambda line: None)
        times = steps.times(timings)
        assert len(steps.processes["padded"].losses) == 3, "a warm-up and two rounds"
    finally:
        steps.close()
    assert (times.batching, times.timing.flops, times.versions) == ("padded", 7, {"trl": "9"})
    assert times.timing.seconds == timings["trl padded"].seconds
    assert "its loss is 1.0000 instead of" in times.left_out["padding-free"]
    job = json.loads((tmp_path / "trl" / "padded" / "job.json").read_text())
    assert (job["examples"], len(job["rows"])) == (4, 8)
    assert (tmp_path / "trl" / "model" / "model.safetensors").exists()
    row = job["rows"][0]
    assert row["completion_mask"] == sorted(row["completion_mask"]), "prompt, then completion"
    assert len(row["completion_mask"]) == len(row["input_ids"])


def test_where_no_batching_has_our_loss_there_is_no_comparison(monkeypatch, tmp_path, dss):
    stand_in(monkeypatch, tmp_path, STAND_IN.replace("LOSS", "2.0"))
    with pytest.raises(ConfigError, match="another loss"):
        start(dss, tmp_path)


def test_an_interpreter_without_trl_is_refused_with_how_to_install_it(monkeypatch, tmp_path, dss):
    stand_in(monkeypatch, tmp_path, "raise ModuleNotFoundError(\"No module named 'trl'\")")
    with pytest.raises(ConfigError, match=r"No module named 'trl'.*pip install trl"):
        start(dss, tmp_path)


def test_a_path_that_is_no_interpreter_is_refused(tmp_path, dss):
    with pytest.raises(ConfigError, match=r"does not start.*VENV/bin/python"):
        start(dss, tmp_path, tmp_path / "absent")


@pytest.mark.parametrize("changes", [{"targets": "sequence"}, {"trl_python": "python"}])
def test_a_t5_has_neither_sequences_nor_trl(changes):
    options = ("minmax", 100.0, False, 0.0, False, "cpu", 1, lambda line: None)
    with pytest.raises(ConfigError, match="t5-tiny"):
        bench_step("t5-tiny", 1, 0, 1, *options, **changes)


def times(student="llama-tiny", trl=None, **changes):
    def timing(seconds):
        return Timing([seconds, seconds], round(seconds * 10**12))

    parts = {"dss_peer": 4, "dss": 2, "qcrd": 6, "naive": 12, "play": 1, "naive_play": 2}
    values = {"tokens": {"dss": 100.0, "qcrd": 300.0}, "peaks": {}, "peak_tflops": None} | changes
    return StepTimes(student, 5, **{n: timing(s) for n, s in parts.items()}, trl=trl, **values)


def test_without_trl_its_ratios_are_absent_and_the_text_says_so():
    summary = times().summary()
    assert summary["trl"] is None
    assert summary["ratios"] == {"qcrd_over_dss": 1.5, "naive_over_qcrd": 2.0, "qcrd_over_own_dss": 3.0}
    assert "--trl-python" in times().text()
    assert "--trl-python" not in times("t5-small").text(), "there TRL has no model to train"


def test_ratios_are_over_the_faster_batching_and_name_the_versions():
    trl = TrlTimes(
        {"padded": Timing([5.0, 5.0], 8 * 10**12), "padding-free": Timing([4.0, 4.0], 4 * 10**12)},
        {},
        {"trl": "1.16.0"},
        3 * 2**30,
    )
    result = times(trl=trl)
    summary = json.loads(json.dumps(result.summary()))
    assert summary["ratios"]["qcrd_over_trl"] == 1.5 and summary["ratios"]["dss_over_trl"] == 0.5
    assert summary["counted"]["dss_over_trl"] == 0.5
    assert summary["trl"]["batching"] == "padding-free" and summary["trl"]["versions"] == {"trl": "1.16.0"}
    assert summary["trl"]["seconds"] == {"padded": 5.0, "padding-free": 4.0}
    assert summary["tokens_per_second"]["trl"] == 25.0
    text = result.text()
    assert "SFTTrainer (padding-free)" in text and "trl 1.16.0" in text


def test_on_a_known_card_the_share_of_its_peak_and_the_memory_are_given():
    result = times(peak_tflops=2.0, peaks={"qcrd": 2**30})
    summary = result.summary()
    assert summary["utilisation"]["dss"] == 0.5
    assert summary["peak_bytes"] == summary["peaks"]["qcrd"] == 2**30
    assert "share of the GPU's peak, dss: 50.0%" in result.text()


@pytest.mark.slow
def test_a_process_that_ended_is_named_with_its_log(monkeypatch, tmp_path):
    text = (
        "import sys\nprint('{\"versions\": {}}', flush=True)\nsys.stdin.readline()\nsys.exit('out of memory')"
    )
    stand_in(monkeypatch, tmp_path, text)
    process = TrlProcess(sys.executable, tmp_path / "log", tmp_path, [([1], [2])], 1, False, CPU, False)
    process.start()
    with pytest.raises(ConfigError, match="out of memory"):
        process.step()
    process.close()
