"""Cells whose student and discriminator have different tokenizers, and different families."""

import pytest
from causal_models import save_checkpoint
from daily import some
from small import CPU, SHAPE
from small_cells import elsewhere, fill, make_cell

from qcrd import config
from qcrd.cell.run import run_cell
from qcrd.storage.home import Home
from qcrd.student.load import load_student

LLAMA = SHAPE.model_copy(update={"family": "llama"})
CASES = {
    "a word-level T5 with a Llama": ("words", "llama"),
    "a byte-level T5 with a Qwen": ("bytes", "qwen3"),
    "a Llama with a T5": ("llama", "t5"),
    "a Llama with a random T5": ("llama", None),
    "a Llama from a folder with a Qwen of the same vocabulary": ("folder", "qwen3"),
    "a Llama with a random Llama": ("llama", LLAMA),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    fill(home, make_cell(home))
    return home


@pytest.fixture(scope="module")
def folders(tmp_path_factory, home):
    folder = tmp_path_factory.mktemp("checkpoints")
    load_student(make_cell(home).settings.student, 0, CPU).save(folder / "t5")
    return {"t5": str(folder / "t5")} | {f: save_checkpoint(folder / f, f) for f in ("llama", "qwen3")}


def cell_of(home, folders, student, discriminator, **sections):
    students = {
        "words": {"architecture": SHAPE},
        "bytes": {"architecture": SHAPE, "tokenizer": folders["llama"]},
        "llama": {"architecture": LLAMA},
        "folder": {"checkpoint": folders["llama"]},
    }
    lengths = {"max_input": 96, "max_rationale": 48, "max_label": 12}
    own = {"checkpoint": folders[discriminator]} if isinstance(discriminator, str) else {}
    shape = discriminator if isinstance(discriminator, config.Architecture) else SHAPE
    values = {
        "student": config.Student(**students[student], **lengths),
        "discriminator": config.Discriminator(
            architecture=shape, batch=8, pretrain_steps=4, update_steps=1, **own
        ),
    }
    return make_cell(home, "qcrd", **values | sections)


@pytest.mark.parametrize("name", some(CASES, ["a word-level T5 with a Llama", "a Llama with a T5"]))
def test_they_train_together(home, folders, tmp_path, name):
    own = elsewhere(home, tmp_path / "home")
    record = run_cell(cell_of(home, folders, *CASES[name]), name, own)
    assert record.status == "done"
    found = record.statistics
    assert found["discriminator/updates"] >= 2
    assert {
        "discriminator/pretrain_auc",
        "discriminator/auc_selfplay",
        "discriminator/s_teacher",
    } <= found.keys()


def test_students_of_any_tokenizer_share_a_discriminator_that_has_its_own(home, folders):
    ids = {cell_of(home, folders, student, "qwen3").discriminator_id for student in ("words", "llama")}
    assert len(ids) == 1
    random = {
        cell_of(home, folders, student, None).discriminator_id for student in ("words", "bytes", "llama")
    }
    assert len(random) == 3
