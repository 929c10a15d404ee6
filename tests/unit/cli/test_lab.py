"""``rivetless dev --aws``: the whole of it in a process of its own, driven over HTTP."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from rivetless.cli.main import main
from rivetless.errors import MissingExtraError
from rivetless.testing.lambda_lab import LambdaLab
from tests.behaviour.world import NO_TLS
from tests.servers import LabProcess

APP = "tests.behaviour.actors:registry"
INCREMENT = "/gateway/counter/action/increment?rvt-namespace=default&rvt-method=getOrCreate"


def test_actors_are_served_from_lambda_processes(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with LabProcess(APP, f"sqlite:{tmp_path / 'actors.db'}", log) as lab:
        with httpx.Client(base_url=lab.endpoint, verify=NO_TLS) as http:
            url = f"{INCREMENT}&rvt-runner=default&rvt-key=k"
            answers = [http.post(url, json={"args": [1]}).json() for _ in range(3)]
        assert answers == [{"output": 1}, {"output": 2}, {"output": 3}]
    said = log.read_text()
    assert f"clients   {lab.endpoint}\n" in said
    assert "counter" in said
    assert "_aws" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--https"], "--aws and --https do not go together"),
        (["--store", "memory:"], "cannot share a store in memory"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dev", APP, "--aws", "--port", "0", *options]) == 1
    assert message in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> Any:
        return None

    monkeypatch.setattr("importlib.util.find_spec", find_spec)
    with pytest.raises(MissingExtraError, match=r"pip install 'rivetless\[lab\]'"):
        LambdaLab(APP)
