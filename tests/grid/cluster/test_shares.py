"""What the cluster cannot give is said before anything starts, with the field and what is allowed."""

import pytest

from qcrd.config import Resources
from qcrd.errors import QcrdError
from qcrd.grid.cluster.shares import Node, Shares


@pytest.mark.parametrize(
    "resources, nodes, words",
    [
        ({"cell_gpus": 0.5}, [(4, 0)], r"resources\.cell_gpus: 0\.5 GPUs .* there are 0"),
        ({"cell_cpus": 8}, [(4, 0)] * 4, r"resources\.cell_cpus: 8 CPUs .* a node has at most 4"),
        ({"cell_cpus": 8}, [(16, 0), (4, 2)], r"cell_cpus: 8 CPUs and 0\.25 GPUs .* at most 4 CPUs"),
        ({"teacher_gpus": 2}, [(8, 1)] * 2, r"resources\.teacher_gpus: 2 GPUs for an engine .* at most 1"),
        ({"teacher_gpus": 1, "teacher_actors": 4}, [(8, 2)], r"teacher_actors: 4 engines .* 2 fit"),
        ({"teacher_gpus": 2, "teacher_actors": 3}, [(8, 3)] * 2, r"teacher_actors: 3 .* 2 fit"),
        ({"cell_gpus": 1}, [(8, 0)], r"cell_gpus: 1 GPUs .*there are 0"),
    ],
)
def test_more_than_there_is_is_refused(resources, nodes, words):
    with pytest.raises(QcrdError, match=words + r".*allowed: up to"):
        Shares.of(Resources(**resources), [Node(*each) for each in nodes])


def test_what_fits_is_what_was_asked_for():
    shares = Shares.of(Resources(cell_gpus=0.5, teacher_gpus=2), [Node(8, 2), Node(8, 2)])
    assert (shares.cell_gpus, shares.teacher_gpus) == (0.5, 2)
    assert Shares.of(Resources(), [Node(2, 0), Node(2, 0)]).cell_gpus == 0


@pytest.mark.parametrize(
    "actors, nodes, cores",
    [
        (1, [(8, 0)], 2),  # as asked for
        (1, [(1, 0), (1, 0)], 1),  # an engine is on one node, however many there are
        (3, [(3, 0), (3, 0)], 1.5),  # two on one of them
        (4, [(2, 0)], 0.5),
        (2, [(1, 2), (16, 0)], 0.5),  # cores where the GPUs are
    ],
)
def test_an_engine_takes_as_many_cores_as_let_all_be_up_at_once(actors, nodes, cores):
    resources = Resources(teacher_actors=actors, teacher_cpus=2)
    assert Shares.of(resources, [Node(*each) for each in nodes]).teacher_cpus == pytest.approx(cores)
