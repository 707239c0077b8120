"""The Kubernetes manifests: strictly by their kinds' schemas, and what must hold between them."""

import copy
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import ray
import ray_v1
import yaml

FOLDER = Path(__file__).parents[2] / "cluster" / "kubernetes"
KUBERNETES = "1.33"
OWN = {"RayCluster": ray_v1.CLUSTER, "RayJob": ray_v1.JOB}
WRONG = (jsonschema.ValidationError, kubernetes_validate.ValidationError)


@functools.cache
def _read(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / file).read_text()))


def documents() -> list[dict[str, Any]]:
    """All that is in the manifests."""
    return [
        copy.deepcopy(document) for path in sorted(FOLDER.glob("*.yaml")) for document in _read(path.name)
    ]


def found(kind: str, name: str | None = None) -> dict[str, Any]:
    (one,) = (d for d in documents() if d["kind"] == kind and name in (None, d["metadata"].get("name")))
    return one


def templates(node: Any) -> Iterator[dict[str, Any]]:
    """Every pod template below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("template", "submitterPodTemplate"):
                yield value
            yield from templates(value)
    elif isinstance(node, list):
        for value in node:
            yield from templates(value)


def check(document: dict[str, Any]) -> None:
    """Raise one of WRONG where the schema of the document's kind does not take it."""
    if document["kind"] in OWN:
        jsonschema.validate(document, ray_v1.resource(OWN[document["kind"]]))
        for template in templates(document):
            metadata = {"name": "pod"} | template.get("metadata", {})
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
            kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.parametrize(
    "document", documents(), ids=lambda d: f"{d['kind']}-{d['metadata'].get('name', '')}"
)
def test_every_resource_fits_its_kind(document: dict[str, Any]):
    check(document)


def _cluster(job: dict[str, Any]) -> dict[str, Any]:
    return job["spec"]["rayClusterSpec"]


def _worker(job: dict[str, Any]) -> dict[str, Any]:
    return _cluster(job)["workerGroupSpecs"][0]


MISSPELLED: list[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = [
    ("entrypoints", lambda job: job["spec"]),
    ("authOption", _cluster),
    ("maxReplica", _worker),
    ("toleration", lambda job: _worker(job)["template"]["spec"]),
    ("volumesMounts", lambda job: _worker(job)["template"]["spec"]["containers"][0]),
]


@pytest.mark.parametrize(("wrong", "where"), MISSPELLED, ids=[wrong for wrong, _ in MISSPELLED])
def test_a_misspelled_field_is_found(wrong: str, where: Callable[[dict[str, Any]], dict[str, Any]]):
    job = found("RayJob")
    where(job)[wrong] = []
    with pytest.raises(WRONG, match=wrong):
        check(job)


def test_a_misspelled_field_of_a_plain_kind_is_found():
    policy = found("NetworkPolicy", "mlflow")
    policy["spec"]["ingres"] = policy["spec"].pop("ingress")
    with pytest.raises(WRONG, match="ingres"):
        check(policy)


def test_a_grid_of_its_own_runs_in_the_same_cluster_as_those_of_a_laptop():
    assert _cluster(found("RayJob")) == found("RayCluster")["spec"]


def test_ray_wants_a_token_and_is_of_the_pinned_version():
    spec = found("RayCluster")["spec"]
    assert spec["authOptions"] == {"mode": "token", "secretName": "ray-token"}
    assert spec["rayVersion"] == ray.__version__


def test_no_pod_runs_as_root_or_may_become_it():
    pods = [template["spec"] for document in documents() for template in templates(document)]
    assert len(pods) == 8
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_every_container_says_what_it_takes_and_which_version_it_is():
    for document in documents():
        for template in templates(document):
            for container in template["spec"]["containers"]:
                assert {"cpu", "memory"} <= set(container["resources"]["requests"])
                assert container["resources"]["limits"]["memory"]
                _, tag = container["image"].split(":")
                assert tag != "latest"


def test_secrets_are_named_and_never_written():
    assert not [document for document in documents() if document["kind"] == "Secret"]
    for document in documents():
        for template in templates(document):
            for variable in (v for c in template["spec"]["containers"] for v in c.get("env", [])):
                named = "secretKeyRef" in variable.get("valueFrom", {})
                hidden = any(word in variable["name"] for word in ("PASSWORD", "SECRET", "KEY", "STORE_URI"))
                assert named == hidden, variable["name"]


def test_every_pod_is_behind_a_policy():
    assert found("NetworkPolicy", "nobody")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert not [
        d for d in documents() if d["kind"] == "Service" and d["spec"].get("type", "ClusterIP") != "ClusterIP"
    ]
    stores = found("NetworkPolicy", "stores")["spec"]["podSelector"]["matchExpressions"][0]["values"]
    kinds = ("StatefulSet", "Deployment")
    labels = {d["spec"]["template"]["metadata"]["labels"]["app"] for d in documents() if d["kind"] in kinds}
    assert labels == {*stores, "mlflow"}


def test_claims_and_volumes_meet():
    claims = {d["metadata"]["name"] for d in documents() if d["kind"] == "PersistentVolumeClaim"}
    for kind in OWN:
        for template in templates(found(kind)):
            volumes = template["spec"].get("volumes", [])
            asked = {v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v}
            assert asked <= claims
            mounted = {m["name"] for c in template["spec"]["containers"] for m in c.get("volumeMounts", [])}
            assert mounted == {volume["name"] for volume in volumes}
