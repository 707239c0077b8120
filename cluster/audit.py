"""Looks up every installed package in a public vulnerability database and prints known vulnerabilities.

The exit status is always 0: the result depends on the date, not on the change that is tested.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

COMMAND = ("pip_audit", "--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off")
LIMIT = 300.0  # seconds


def findings(written: str) -> Iterator[str]:
    """Lines that summarise the result of pip-audit, with the packages that it could not look up.

    Args:
        written: pip-audit's output in JSON.

    Raises:
        ValueError: if the output is not JSON, for example without a network.
    """
    packages = json.loads(written)["dependencies"]
    unknown = [each["name"] for each in packages if "skip_reason" in each]
    known = [each for each in packages if "skip_reason" not in each]
    for each in known:
        for hole in each["vulns"]:
            mended = ", ".join(hole["fix_versions"]) or "no version yet"
            yield f"{each['name']} {each['version']}: {hole['id']}, mended in {mended}"
    bad = sum(bool(each["vulns"]) for each in known)
    yield f"{len(known)} packages looked up, {bad} with known vulnerabilities"
    if unknown:
        yield f"not looked up: {', '.join(unknown)}"


def main() -> None:
    """Print the findings, or the reason why the lookup failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", *COMMAND], capture_output=True, text=True, timeout=LIMIT, check=False
        )
        lines = list(findings(done.stdout))
    except subprocess.TimeoutExpired:
        lines = [f"not done: no answer within {LIMIT:g} s"]
    except (ValueError, KeyError):
        lines = [f"not done: {(done.stderr.strip().splitlines() or ['no reason given'])[-1][:200]}"]
    for line in lines:
        print(f"audit: {line}")


if __name__ == "__main__":
    main()
