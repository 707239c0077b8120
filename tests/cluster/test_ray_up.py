"""The files for `ray up`: by Ray's own validation, the clouds' own models, and what must not be open."""

import copy
from pathlib import Path
from typing import Any

import botocore.session
import jsonschema
import pytest
import yaml
from botocore.validate import ParamValidator
from ray.autoscaler._private.util import prepare_config, validate_config

CLUSTER = Path(__file__).parents[2] / "cluster"
FILES = ("aws", "gcp", "ssh")


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", FILES)
def test_ray_takes_the_file(name: str):
    validate_config(prepare_config(read(name)))


@pytest.mark.parametrize("wrong", ["max_worker", "available_nodes"])
@pytest.mark.parametrize("name", FILES)
def test_ray_refuses_a_misspelled_field(name: str, wrong: str):
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        validate_config(prepare_config(read(name) | {wrong: 3}))


def misfits(node: dict[str, Any]) -> str:
    """What Amazon's own model of the request finds wrong; empty where nothing is."""
    request = botocore.session.Session().get_service_model("ec2").operation_model("RunInstances").input_shape
    return ParamValidator().validate({**node, "MinCount": 1, "MaxCount": 1}, request).generate_report()


def test_amazon_would_start_the_machines():
    types = read("aws")["available_node_types"]
    assert [misfits(kind["node_config"]) for kind in types.values()] == ["", ""]
    wrong = copy.deepcopy(types["gpu"]["node_config"])
    wrong["InstanceMarketOptions"]["MarketTypes"] = "spot"
    assert "MarketTypes" in misfits(wrong)


@pytest.mark.parametrize("name", ["aws", "gcp"])
def test_machines_with_gpus_are_spot_and_start_from_none(name: str):
    config = read(name)
    gpu = config["available_node_types"]["gpu"]
    assert gpu["min_workers"] == 0 < config["max_workers"] and gpu["resources"]["GPU"] == 1
    assert "spot" in yaml.safe_dump(gpu["node_config"]).lower()
    assert "GPU" not in config["available_node_types"]["head"]["resources"]
    assert "QCRD_WAIT_FOR_GPUS=1" in config["head_start_ray_commands"][0]


def test_ray_makes_no_security_group_of_its_own_which_all_the_world_may_enter():
    for kind in read("aws")["available_node_types"].values():
        assert kind["node_config"]["SecurityGroupIds"]
    for kind in read("gcp")["available_node_types"].values():
        assert kind["node_config"]["networkInterfaces"][0]["subnetwork"].endswith("/qcrd")  # not "default"


@pytest.mark.parametrize("name", FILES)
def test_all_machines_have_the_token_and_one_home(name: str):
    config = read(name)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = config["head_start_ray_commands"] + config["worker_start_ray_commands"]
    assert all(line.startswith("QCRD_HOME=/mnt/qcrd/home ") for line in starts)
    for local in config["file_mounts"].values():
        assert local.startswith("~/.ray/") or (CLUSTER.parent / local).exists()
