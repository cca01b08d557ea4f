"""Asks pip-audit whether what a lock names has known vulnerabilities: `python .ci/audit.py LOCK [OPTIONS OF pip-audit]`.

Exit code 0: none, or nobody could be asked, which one line says; 1: there are some, one line each; 2: the lock cannot be read.
"""

from __future__ import annotations

import json
import subprocess
import sys

# How pip-audit's log or traceback ends when the service is out of reach or broken; it has no exit code of its own for that.
_OUT_OF_REACH = ("ConnectionError", "ProxyError", "SSLError", "Timeout", "ServiceError", "Could not connect", "not redirecting properly")  # fmt: skip


def main(lock: str, *options: str) -> int:
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", *options]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        if any(mark in done.stderr for mark in _OUT_OF_REACH):
            print("audit skipped: the vulnerability service cannot be reached")
            return 0
        print(f"error: audit of {lock}: {' '.join(done.stderr.split())[-600:]}", file=sys.stderr)
        return 2
    # A service that knows a package of the lock by no name answers for an index that has no advisories.
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    if dependencies and len(unknown) == len(dependencies):
        print(f"audit skipped: the vulnerability service knows none of the {len(unknown)} packages")
        return 0
    for each in dependencies:
        for found in each.get("vulns", []):
            mended = ", ".join(found["fix_versions"]) or "no version yet"
            print(f"{each['name']} {each['version']}: {found['id']}, mended in {mended}")
    vulnerable = sum(bool(each.get("vulns")) for each in dependencies)
    print(f"audit: {len(dependencies) - len(unknown)} packages looked up, {vulnerable} with known vulnerabilities" + (f"; not known to the service: {', '.join(unknown)}" if unknown else ""))  # fmt: skip
    return 1 if vulnerable else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python .ci/audit.py LOCK [OPTIONS OF pip-audit]")
    sys.exit(main(*sys.argv[1:]))
