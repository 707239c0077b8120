"""Ray's token and MLflow's password: generated once and readable only by their user.

Both are passed in environment variables and files of mode 600, never in a command line, which every account
of the machine can read.
"""

import base64
import configparser
import os
import secrets
from pathlib import Path

USER = "qcrd"
"""MLflow's only user, who is also its administrator."""
REMEMBERED = 600  # seconds for which MLflow caches a successful login: checking a password takes 50 ms


class Credentials:
    """The secrets in a private folder."""

    def __init__(self, folder: Path):
        self.token_file = folder / "ray_token"
        self.password_file = folder / "mlflow_password"
        self._users = folder / "mlflow_users.db"
        self._settings = folder / "mlflow_auth.ini"

    def make(self) -> None:
        """Generate the missing secrets and write MLflow's configuration."""
        if not self.password_file.exists():
            self._users.unlink(missing_ok=True)  # contains the hash of the lost password
        for path in (self.token_file, self.password_file):
            if not path.exists():
                _write(path, secrets.token_hex(32))
        settings = configparser.ConfigParser(interpolation=None)
        settings["mlflow"] = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{self._users}".replace("%", "%%"),
            "admin_username": USER,
            "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
            "auth_cache_ttl_seconds": str(REMEMBERED),
        }
        with open(self._settings, "w", opener=_private) as file:
            settings.write(file)

    def of_server(self) -> dict[str, str]:
        """Environment variables of the MLflow server."""
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(self._settings),
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.password_file.read_text(),
            "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),  # signs forms
        }

    def of_ray(self) -> dict[str, str]:
        """Environment variables of Ray's clients."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token_file)}

    def of_mlflow(self) -> dict[str, str]:
        """Environment variables of MLflow's clients."""
        return {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": self.password_file.read_text()}

    def header(self, service: str) -> dict[str, str]:
        """Authorization header of a request to `ray` or `mlflow`."""
        if service == "ray":
            return {"Authorization": f"Bearer {self.token_file.read_text()}"}
        pair = f"{USER}:{self.password_file.read_text()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _write(path: Path, text: str) -> None:
    with open(path, "x", opener=_private) as file:
        file.write(text)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
