"""Cold start is import: what `import rivetless` loads, and what it does without."""

import subprocess
import sys

import pytest

HEAVY = {
    "apsw",
    "aws_lambda_powertools",
    "boto3",
    "botocore",
    "cronsim",
    "cryptography",
    "httpx",
    "hypercorn",
    "mangum",
    "sqlite3",
    "starlette",
    "uvicorn",
    "websockets",
}

# Stands in for an environment in which no extra is installed.
WITHOUT_EXTRAS = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Missing())
"""


def run_python(code: str) -> str:
    """Run ``code`` in a fresh interpreter in which warnings are errors; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """Return the top-level modules in a process that has imported rivetless only."""
    code = "import rivetless, sys; print(*{name.partition('.')[0] for name in sys.modules})"
    return set(run_python(code).split())


@pytest.mark.parametrize("module", sorted(HEAVY))
def test_import_does_not_load(module: str, loaded: set[str]) -> None:
    assert module not in loaded


def test_import_works_without_any_extra() -> None:
    code = WITHOUT_EXTRAS.replace("{names!r}", repr(HEAVY | {"cbor2", "httptools", "uvloop"}))
    run_python(code + "import rivetless\nfor name in rivetless.__all__: getattr(rivetless, name)")
