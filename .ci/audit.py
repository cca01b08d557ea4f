"""Audit the packages of a lock with pip-audit: `python .ci/audit.py LOCK [OPTIONS OF pip-audit]`.

Exit code 0: no known vulnerabilities, or the service cannot be reached (one line says so); 1: some, one line
each; 2: the lock cannot be read.
"""

from __future__ import annotations

import json
import subprocess
import sys

# Last words of pip-audit's log or traceback when the service is unreachable or broken: no exit code says so.
_OUT_OF_REACH = (
    *("ConnectionError", "ProxyError", "SSLError", "Timeout", "ServiceError"),
    *("Could not connect", "not redirecting properly"),
)


def main(lock: str, *options: str) -> int:
    audit = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--no-deps", "--disable-pip"]
    command = [*audit, "--progress-spinner", "off", "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        if any(mark in done.stderr for mark in _OUT_OF_REACH):
            print("audit skipped: the vulnerability service cannot be reached")
            return 0
        print(f"error: audit of {lock}: {' '.join(done.stderr.split())[-600:]}", file=sys.stderr)
        return 2
    # A service that knows none of the packages answers for an index without advisories.
    unknown = [each["name"] for each in dependencies if "skip_reason" in each]
    if dependencies and len(unknown) == len(dependencies):
        print(f"audit skipped: the vulnerability service knows none of the {len(unknown)} packages")
        return 0
    for each in dependencies:
        for found in each.get("vulns", []):
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")
    vulnerable = sum(bool(each.get("vulns")) for each in dependencies)
    counts = f"{len(dependencies) - len(unknown)} packages looked up, {vulnerable} with known vulnerabilities"
    print(f"audit: {counts}" + (f"; not known to the service: {', '.join(unknown)}" if unknown else ""))
    return 1 if vulnerable else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: python .ci/audit.py LOCK [OPTIONS OF pip-audit]")
    sys.exit(main(*sys.argv[1:]))
