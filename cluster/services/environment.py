"""Environment variables of the services and their clients."""

import os

from service import HOME, HOST, SECRETS, Service


def of_client(ray: Service, mlflow: Service) -> dict[str, str]:
    """For programs that submit jobs to the Ray head and log to MLflow."""
    return {
        "QCRD_HOME": str(HOME),
        # `ray job` needs the dashboard's address, `ray.init` the head's; each reads its own variable.
        "RAY_API_SERVER_ADDRESS": ray.url,
        "RAY_ADDRESS": f"{HOST}:{ray.ports['gcs']}",
        **common(),
        **SECRETS.of_ray(),
        **of_mlflow_client(mlflow),
    }


def of_mlflow_client(mlflow: Service) -> dict[str, str]:
    """For programs that log to MLflow."""
    return {"MLFLOW_TRACKING_URI": mlflow.url, **SECRETS.of_mlflow()}


def common() -> dict[str, str]:
    """For services and clients. Ray reads its variables on import; loopback traffic must bypass proxies."""
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST]))
    return {
        "no_proxy": direct,
        "NO_PROXY": direct,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # makes all Ray processes bind to loopback only
    }
