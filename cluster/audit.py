"""Asks a public database of known vulnerabilities about every installed package, and says what it knows.

It only says: what is found depends on the day and not on the change that is tested, so it stops nobody.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

COMMAND = ("pip_audit", "--vulnerability-service", "osv", "--format", "json", "--progress-spinner", "off")
LIMIT = 300.0  # seconds


def findings(written: str) -> Iterator[str]:
    """What pip-audit found, in lines; of what it could not look up it says so.

    Args:
        written: its JSON.

    Raises:
        ValueError: where it is none, as without a network.
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
    """Print the findings, or why there are none."""
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
