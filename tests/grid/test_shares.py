"""What the cluster cannot give is said before anything starts, with the field and what is allowed."""

import pytest

from qcrd.config import Resources
from qcrd.errors import QcrdError
from qcrd.grid.shares import Shares


@pytest.mark.parametrize(
    "resources, cluster, words",
    [
        ({"cell_gpus": 0.5}, (4, 0, (4, 0)), r"resources\.cell_gpus: 0\.5 GPUs .* at most 0"),
        ({"cell_cpus": 8}, (16, 0, (4, 0)), r"resources\.cell_cpus: 8 CPUs .* one node has at most 4"),
        ({"teacher_gpus": 2}, (8, 2, (8, 1)), r"resources\.teacher_gpus: 2 .*an engine is on one node"),
        ({"teacher_gpus": 1, "teacher_actors": 4}, (8, 2, (8, 2)), r"teacher_gpus: 4 .*the cluster has 2"),
        ({"cell_gpus": 1}, (8, 0), r"cell_gpus: 1 GPUs .*the cluster has 0"),
    ],
)
def test_more_than_there_is_is_refused(resources, cluster, words):
    with pytest.raises(QcrdError, match=words + r".*allowed: up to"):
        Shares.of(Resources(**resources), *cluster)


def test_what_fits_is_what_was_asked_for():
    shares = Shares.of(Resources(cell_gpus=0.5, teacher_gpus=2), 16, 4, (8, 2))
    assert (shares.cell_gpus, shares.teacher_gpus) == (0.5, 2)
    assert Shares.of(Resources(), 4, 0, (2, 0)).cell_gpus == 0
