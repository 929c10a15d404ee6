"""Workflows on the command line: shown, exported, replayed, run again."""

import asyncio
import json
from pathlib import Path

import pytest

from examples.approval.app import Approval, Decision
from rivetless.cli.main import main
from rivetless.store.sqlite import SQLiteStore
from rivetless.testing.rig import Rig


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Make a store with one approval."""
    path = tmp_path / "actors.db"

    async def approve() -> None:
        async with Rig(store=SQLiteStore(path)) as rig:
            approval = rig.client.get_or_create(Approval, "trip")
            await approval.look()
            decision = Decision(by="ann", approved=True)
            await rig.client.send(approval, Approval.decisions, decision)
            while (await approval.look()).status == "waiting":
                await rig.advance(1)
            await rig.runtime.settle()

    asyncio.run(approve())
    return f"sqlite:{path}"


def test_a_history_is_shown(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "show", "approval/trip", "--store", store]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["├─", "message", "day", "0"],
        ["└─", "step", "decide", "completed"],
    ]


def test_an_export_is_replayed(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["workflow", "export", "approval/trip", "--store", store]) == 0
    export = tmp_path / "trip.json"
    export.write_text(capsys.readouterr().out)
    app = "examples.approval.app:registry"
    assert main(["replay", str(export), "--app", app]) == 0
    assert "fits, " in capsys.readouterr().out
    data = json.loads(export.read_text())
    data["entries"]["day 0"]["kind"] = "step"
    export.write_text(json.dumps(data))
    assert main(["replay", str(export), "--app", app]) == 1
    assert "where history has a step" in capsys.readouterr().out
    export.write_text("{}")
    assert main(["replay", str(export), "--app", app]) == 1
    assert "no export of a workflow" in capsys.readouterr().err


def test_a_step_is_forgotten(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["workflow", "rerun-from", "approval/trip", "decide", "--store", store]) == 0
    assert "are forgotten" in capsys.readouterr().out
    assert main(["workflow", "show", "approval/trip", "--store", store]) == 0
    assert "decide" not in capsys.readouterr().out
    assert main(["workflow", "rerun-from", "approval/trip", "decide", "--store", store]) == 1
    assert "history has no step `decide`" in capsys.readouterr().err
    assert main(["workflow", "show", "approval/none", "--store", store]) == 1
    assert "there is no actor approval/none" in capsys.readouterr().err
