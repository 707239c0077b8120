"""Environment variables for libraries that read them when they are imported."""

import os

_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def prepare() -> None:
    """Keep a Ray that this process starts on loopback, and libraries quiet; what is set already stays.

    To be called before Ray and transformers are imported.
    """
    if not os.environ.get("RAY_ADDRESS"):
        # Ray reads this on import; with 0, a Ray that we start binds to 127.0.0.1 only.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
