"""Which discriminators are pretrained before the cells start."""

import pytest
from small_cells import make_cell

from qcrd.config import Contrastive
from qcrd.grid.run.discriminators import waiting_for_discriminators
from qcrd.storage.home import Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def cells(home):
    """Two cells that share a discriminator, one with its own, and one without."""
    shared = [make_cell(home), make_cell(home, contrastive=Contrastive(beta=0.7))]
    assert len({cell.discriminator_id for cell in shared}) == 1
    return [*shared, make_cell(home, seed=1), make_cell(home, "dss")]


def test_a_shared_discriminator_is_pretrained_first_and_a_cells_own_by_the_cell(home, cells):
    assert waiting_for_discriminators(cells, home, 0) == [cells[0]]
    assert waiting_for_discriminators(cells[1:], home, 0) == []


def test_on_gpus_all_are_pretrained_first(home, cells):
    assert waiting_for_discriminators(cells, home, 0.25) == [cells[0], cells[2]]


def test_one_that_exists_is_not(home, cells):
    home.discriminators.mkdir(parents=True)
    (home.discriminators / f"{cells[0].discriminator_id}.safetensors").touch()
    assert waiting_for_discriminators(cells, home, 0.25) == [cells[2]]
