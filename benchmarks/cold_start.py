"""What a Lambda function pays before its first answer, in CPU: ``python -m benchmarks.cold_start``.

Each stage is measured in processes of its own, with compiled modules, and the least counts:
whatever else the machine does only adds. Lambda gives a function CPU by its memory, a core at
1,769 MB; at 512 MB multiply by 3.5.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["LIMIT_MS", "STAGES", "measure"]

LIMIT_MS: Final = 200.0
"""CPU that importing the handler's module may take over bare Python."""

_ROOT: Final = Path(__file__).parent.parent

_IMPORT: Final = """
from rivetless.hosts.aws_lambda import aws_lambda
from examples.quickstart.app import registry
handler = aws_lambda(registry, store="{store}", json_logs=False, metrics=False)
class Context:
    aws_request_id, function_name = "1", "f"
    def get_remaining_time_in_millis(self):
        return 30_000
"""
_DYNAMODB: Final = _IMPORT.replace("{store}", "dynamodb:actors")
_MEMORY: Final = _IMPORT.replace("{store}", "memory:")
_WAKE: Final = """
handler({"rivetless": "wake", "actor": "0" * 29 + "1"}, Context())
"""
_HTTP: Final = """
request = {"method": "GET", "path": "/health", "sourceIp": "::1"}
event = {"version": "2.0", "rawPath": "/health", "headers": {}}
handler(event | {"requestContext": {"http": request}}, Context())
"""

STAGES: Final = {
    "bare Python": "",
    "rivetless": "import rivetless",
    "the handler's module": _DYNAMODB,
    "… and a first wake": _MEMORY + _WAKE,
    "… and a first HTTP request": _MEMORY + _HTTP,
}
"""What is measured, by name; each begins with nothing."""

_REPORT: Final = """
import sys, time
sys.stdout.write(f"{time.process_time() * 1000} {len(sys.modules)}")
"""


def measure(code: str, times: int, cache: Path) -> tuple[float, int]:
    """Run code in fresh interpreters; return their least CPU in milliseconds, and its modules."""
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache), "AWS_REGION": "eu-west-1"}
    environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    samples: list[float] = []
    modules = 0
    for number in range(times + 1):
        done = subprocess.run(
            [sys.executable, "-c", code + _REPORT],
            capture_output=True,
            text=True,
            check=True,
            cwd=_ROOT,
            env=environ,
        )
        cpu, count = done.stdout.split()[-2:]
        modules = int(count)
        if number:  # the first one has compiled them
            samples.append(float(cpu))
    return min(samples), modules


def main() -> int:
    """Print the table; succeed if the limit was kept."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    bare = 0.0
    found: dict[str, float] = {}
    print("| stage | CPU over bare Python (ms) | modules |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as cache:
        for name, code in STAGES.items():
            cpu, modules = measure(code, times, Path(cache))
            bare = bare or cpu
            found[name] = cpu - bare
            print(f"| {name} | {cpu - bare:.0f} | {modules} |", flush=True)
    return 0 if found["the handler's module"] <= LIMIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())
