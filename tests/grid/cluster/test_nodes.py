"""Several Ray nodes on one machine: all of them used, one killed in the middle, others that join late."""

import time
from dataclasses import dataclass

import pytest
import ray
import torch
from light_engine import light
from ray._private.state import actors
from ray.cluster_utils import Cluster
from small_cells import make_cell

from qcrd.cell.run import run_cell
from qcrd.config import Resources
from qcrd.grid.cluster import engines as module
from qcrd.grid.cluster.engines import Engines
from qcrd.grid.cluster.nodes import nodes
from qcrd.grid.cluster.shares import Node
from qcrd.grid.run.tune import train_cells
from qcrd.grid.run.watch import CellWatch
from qcrd.samples.requests import requests
from qcrd.storage.home import Home
from qcrd.tasks.arithmetic import generate
from qcrd.types import Prompt

pytestmark = pytest.mark.slow

CELLS = 5
RESULTS = ("predictions.json", "student/model.safetensors")


@dataclass
class Machines:
    """A head and one node more, of a core each."""

    cluster: Cluster
    other: object  # the newest node

    def kill(self) -> str:
        """Kill the raylet of the newest node; returns the node's id."""
        self.cluster.remove_node(self.other, allow_graceful=False)
        return self.other.node_id

    def join(self) -> None:
        self.other = self.cluster.add_node(num_cpus=1, node_ip_address="127.0.0.1")


@pytest.fixture(scope="module")
def machines(no_ray):
    head = {"num_cpus": 1, "include_dashboard": False, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    found = Machines(cluster, None)
    found.join()
    ray.init(address=cluster.address, log_to_driver=False)
    yield found
    ray.shutdown()
    cluster.shutdown()


def test_engines_spread_and_one_whose_node_is_lost_is_replaced_on_one_that_joins(machines, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN", 16)
    monkeypatch.setattr(module, "REFILL_BELOW", 8)
    monkeypatch.setattr(module, "TAKE_SECONDS", 0.05)
    asked = requests(generate(seed=1, n=24), lambda q: Prompt(q.text), 4, 0)
    said, got, lost = [], [], None

    def where(worker):
        return ray.get(worker.actor.__ray_call__.remote(lambda self: ray.get_runtime_context().get_node_id()))

    died_on, replace = [], Engines._replace

    def recorded(self, worker, *reason):
        actor = actors(worker.actor._actor_id.hex())
        died_on.append(actor["Address"]["NodeID"])
        return replace(self, worker, *reason)

    monkeypatch.setattr(Engines, "_replace", recorded)
    with Engines(light(), {"num_cpus": 1}, 2, 3, 120.0, said.append) as sample:
        sample.ready()
        assert nodes() == (Node(1, 0), Node(1, 0))
        assert len({where(worker) for worker in sample.workers}) == 2
        for batch in sample(asked):
            got += batch
            if lost is None:
                lost = machines.kill()
                machines.join()
        sample.ready()
        assert {where(worker) for worker in sample.workers} == {
            machines.cluster.head_node.node_id,
            machines.other.node_id,
        }
    assert sorted((s.prompt_id, s.index) for s in got) == sorted(r.key for r in asked)
    # Ray may put a replacement on the lost node until it notices the loss; no other engine may die.
    assert set(died_on) == {lost}
    assert len([line for line in said if "died" in line]) == len(died_on)


def training():
    # Within a function, so that it is sent to the workers, which cannot import this file.
    def train(cell, name, home, report, keep_student):
        """A tiny cell that saves in every iteration, and then waits until a node has been killed."""
        from qcrd.grid.run import tune
        from qcrd.training import trainer

        tune.REPORT_SECONDS = trainer.CHECKPOINT_SECONDS = 0.0
        trainer.CHECKPOINT_SHARE = 1e9
        folder = home.cell(cell.id)
        saved = any(folder.glob("checkpoint-*"))
        killed = home.root / "killed"
        late = killed.exists()
        with (home.root / "diary").open("a") as file:
            file.write(f"{name} {ray.get_runtime_context().get_node_id()} {saved} {late}\n")

        def until(holds):
            end = time.monotonic() + 120
            while not holds() and time.monotonic() < end:
                time.sleep(0.05)

        def slow(progress):
            report(progress)
            if any(folder.glob("checkpoint-*")):
                until(killed.exists)

        if late:  # so that no node does all that is left
            diary = home.root / "diary"
            until(lambda: len({line.split()[1] for line in diary.read_text().splitlines()}) == 4)
        return run_cell(cell, name, home, slow, keep_student)

    return train


class Saboteur(CellWatch):
    """Kills the newest node once its cell has saved something, and lets two others join."""

    def __init__(self, machines, home, total):
        super().__init__(total, 0)
        self.machines, self.home, self.lost = machines, home, None

    def __getstate__(self):
        return {}  # Tune writes its callbacks down, which nodes cannot be

    def on_trial_result(self, iteration, trials, trial, result, **info):
        super().on_trial_result(iteration, trials, trial, result, **info)
        here = next(line for line in diary(self.home) if line[0] == trial.config["name"])
        saved = any(self.home.cell(trial.config["id"]).glob("checkpoint-*"))
        if self.lost is None and saved and here[1] == self.machines.other.node_id:
            self.lost = self.machines.kill()
            self.machines.join()
            self.machines.join()
            (self.home.root / "killed").touch()


def diary(home) -> list[list[str]]:
    """Of each attempt: cell, node, whether it found a checkpoint, whether it began after the kill."""
    return [line.split() for line in (home.root / "diary").read_text().splitlines()]


def test_cells_of_a_killed_node_go_on_elsewhere_to_the_same_weights_and_late_nodes_are_used(
    machines, tmp_path
):
    home, alone = Home(tmp_path / "grid"), Home(tmp_path / "alone")
    named = []
    for seed in range(CELLS):
        cell = make_cell(home, "finetuning", labels="gold", seed=seed)
        named.append((f"seed={seed}", cell))
    watch = Saboteur(machines, home, CELLS)
    assert train_cells(named, home, home.root / "tune", Resources(), 0, watch, training()) == {}

    attempts = diary(home)
    twice = [name for name, node, *_ in attempts if node == watch.lost]
    assert len(twice) == 1
    again = [rest for name, *rest in attempts if name == twice[0]][1:]
    assert [saved for _, saved, _ in again] == ["True"], "it went on from its checkpoint"
    assert watch.lost not in {node for _, node, _, late in attempts if late == "True"}
    assert len({node for _, node, *_ in attempts}) == 4, "the head, the lost one, and both that joined"

    torch.set_num_threads(1)
    for name, cell in named:
        run_cell(cell, name, alone)
        for file in RESULTS:
            assert (home.cell(cell.id) / file).read_bytes() == (alone.cell(cell.id) / file).read_bytes()
