"""What KubeRay 1.6 and 1.7 take as RayCluster and RayJob: a closed JSON schema of the fields used here.

Written by hand after KubeRay's reference of ray.io/v1; the operator's own definitions are megabytes, most of
it the pod templates, which `test_kubernetes.py` checks as pods.
"""

from typing import Any


def _closed(required: list[str] | None = None, **fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields, "required": required or [], "additionalProperties": False}


TEXT, FLAG, TEMPLATE = {"type": "string"}, {"type": "boolean"}, {"type": "object", "required": ["spec"]}
COUNT = {"type": "integer", "minimum": 0}
TEXTS = {"type": "object", "additionalProperties": TEXT}  # Ray's options: "0", not 0

CLUSTER = _closed(
    ["headGroupSpec"],
    rayVersion=TEXT,
    authOptions=_closed(mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=_closed(
        idleTimeoutSeconds=COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        version={"enum": ["v1", "v2"]},
        resources={"type": "object"},
        securityContext={"type": "object"},
    ),
    headGroupSpec=_closed(["template"], rayStartParams=TEXTS, template=TEMPLATE, labels=TEXTS),
    workerGroupSpecs={
        "type": "array",
        "items": _closed(
            ["groupName", "minReplicas", "maxReplicas", "template"],
            groupName=TEXT,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            idleTimeoutSeconds=COUNT,
            rayStartParams=TEXTS,
            template=TEMPLATE,
            labels=TEXTS,
        ),
    },
)
JOB = _closed(
    entrypoint=TEXT,
    runtimeEnvYAML=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    backoffLimit=COUNT,
    activeDeadlineSeconds=COUNT,
    shutdownAfterJobFinishes=FLAG,
    ttlSecondsAfterFinished=COUNT,
    submitterPodTemplate=TEMPLATE,
    rayClusterSpec=CLUSTER,
)


def resource(spec: dict[str, Any]) -> dict[str, Any]:
    """The schema of a whole resource with such a specification."""
    names = _closed(["namespace"], name=TEXT, generateName=TEXT, namespace=TEXT, labels=TEXTS)
    return _closed(
        ["apiVersion", "kind", "metadata", "spec"], apiVersion=TEXT, kind=TEXT, metadata=names, spec=spec
    )
