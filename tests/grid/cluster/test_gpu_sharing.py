import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st
from small import SHAPE

from qcrd.cell.discriminator import discriminator_bytes
from qcrd.cell.resolved import resolve
from qcrd.cell.run import run_cell
from qcrd.config import Cell, Contrastive, Discriminator, Resources
from qcrd.errors import OutOfMemory
from qcrd.grid.cluster.gpu_sharing import (
    CUDA_CONTEXT,
    MAX_CELLS_PER_GPU,
    SAFETY_MARGIN,
    gpu_share,
    largest_of_each_kind,
    measure_peak,
    measured_share,
)
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.run.discriminators import share_of_gpu
from qcrd.storage.home import Home
from qcrd.training.trainer import Trainer

GIB = 2**30


def cell(method="finetuning", m=5, k=1, **task):
    """One that needs no teacher."""
    settings = Cell.model_validate(
        {
            "method": method,
            "task": {"train": 24, "validation": 8, "test": 8, **task},
            "student": {"architecture": SHAPE.model_dump(), "max_label": 12},
            "training": {"steps": 5000, "batch": 8, "warmup": 100},
            "rationales": {"labels": "gold", "m": m},
            "selfplay": {"k": k},
        }
    )
    return resolve(settings)


def changed(cell, **sections):
    """The cell with other sections."""
    return resolve(cell.settings.model_copy(update=sections))


@given(peak=st.integers(0, 300 * GIB), total=st.integers(8 * GIB, 192 * GIB))
@examples(200)
def test_as_many_cells_share_a_gpu_as_fit_with_room_to_spare(peak, total):
    cells = round(1 / gpu_share(peak, total))
    assert 1 <= cells <= MAX_CELLS_PER_GPU
    need = peak + CUDA_CONTEXT
    assert cells == 1 or cells * need <= (1 - SAFETY_MARGIN) * total
    assert cells == MAX_CELLS_PER_GPU or (cells + 1) * need > (1 - SAFETY_MARGIN) * total


def test_small_cells_pack_many_to_a_gpu_and_large_ones_get_it_whole():
    assert gpu_share(3 * GIB, 140 * GIB) == 1 / 16
    assert gpu_share(20 * GIB, 80 * GIB) == 1 / 3
    assert gpu_share(90 * GIB, 80 * GIB) == 1


def test_of_like_cells_the_one_with_most_sequences_is_probed():
    many, few, plain, other = cell("qcrd", m=20), cell("qcrd", m=5), cell(), cell(name="svamp", source="x")
    mean = changed(few, contrastive=Contrastive(scheme="mean"))
    alone = changed(few, discriminator=Discriminator(enabled=False))
    beta = changed(few, contrastive=Contrastive(beta=0.7))
    assert largest_of_each_kind([few, many, plain, other, mean, alone, beta]) == [
        many,
        plain,
        other,
        mean,
        alone,
    ]


def test_a_discriminator_gets_more_of_a_gpu_than_a_cell_only_where_its_memory_asks_for_it():
    small = cell("qcrd")
    wide = {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "layers": 24, "heads": 16}
    large = changed(small, discriminator=Discriminator(architecture=wide))
    assert share_of_gpu([small], 0.25, 80 * GIB) == 0.25
    assert (
        share_of_gpu([small, large], 0.05, 80 * GIB) == gpu_share(discriminator_bytes(large), 80 * GIB) > 0.05
    )
    assert share_of_gpu([large], 0.0, None) == 0.0
    assert share_of_gpu([large], 0.25, None) == 0.25


def test_a_probe_measures_a_few_steps_and_leaves_nothing(tmp_path):
    home = Home(tmp_path)
    found = measure_peak(cell().settings, home)
    assert found.bytes > 50 * 2**20  # on a CPU the whole process
    assert list((tmp_path / "cells").iterdir()) == []


def test_a_probe_that_fails_leaves_nothing_either(tmp_path, monkeypatch):
    def fail(*given, **more):
        raise MemoryError

    monkeypatch.setattr(Trainer, "run", fail)
    with pytest.raises(OutOfMemory):
        measure_peak(cell().settings, Home(tmp_path))
    assert list((tmp_path / "cells").iterdir()) == []


def test_somebodys_own_cell_with_the_settings_of_a_probe_stays(tmp_path):
    home, few = Home(tmp_path), {"steps": 32, "iteration": 32, "evaluate_every": 32, "warmup": 0}
    own = changed(cell(), training=cell().settings.training.model_copy(update=few))
    record = run_cell(own, "mine", home)
    assert measure_peak(cell().settings, home).bytes == record.peak_bytes
    assert home.record(record.id) == record


def test_where_it_cannot_be_measured_that_is_said_and_the_default_stays(local_ray, tmp_path):
    said = []
    assert measured_share([cell()], Home(tmp_path), 1, said.append) is None
    assert "sees no GPU" in said[-1]


@pytest.mark.parametrize("gpus, wanted", [(4, 0.25), (0, 0)])
def test_auto_is_the_default_until_it_is_measured(gpus, wanted):
    resources = Resources.model_validate({"cell_gpus": "auto"})
    assert Shares.of(resources, [Node(8, gpus)]).cell_gpus == wanted
