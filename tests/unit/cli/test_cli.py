"""The command line: what it takes, which registry it finds, how it fails."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import rivetless
from rivetless.cli.loading import LoadingError, load_registry
from rivetless.cli.main import main
from rivetless.registry import Registry

APP = """
from rivetless import Actor, action, setup

class Greeter(Actor):
    @action
    async def greet(self, name: str) -> str:
        "Greet somebody."
        return f"Hello, {name}!"

registry = setup(use=[Greeter])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if not name.startswith("rivetless."):
            del sys.modules[name]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])

    assert exit_.value.code == 0
    assert capsys.readouterr().out == f"rivetless {rivetless.__version__}\n"


@pytest.mark.parametrize("argv", [[], ["nope"], ["dev"], ["dev", "app", "--port", "x"]])
def test_mistakes(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(argv)

    assert exit_.value.code == 2
    assert "usage: rivetless" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["myapp", "my-app"])
@pytest.mark.parametrize("spec", ["{}.py", "{}.py:registry", "deep/{}.py", "{}", "{}:registry"])
def test_finding_the_registry(folder: Path, name: str, spec: str) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / f"{name}.py").write_text("import beside\n" + APP)
    (folder / "deep" / "beside.py").touch()
    (folder / f"{name}.py").write_text(APP)

    registry = load_registry(spec.format(name))

    assert list(registry.definitions) == ["greeter"]


def test_a_file_named_like_a_module_that_is_loaded(folder: Path) -> None:
    (folder / "json.py").write_text(APP)

    assert list(load_registry("json.py").definitions) == ["greeter"]
    assert sys.modules["json"] is json


def test_nested_attributes(folder: Path) -> None:
    (folder / "nested.py").write_text(APP + "class Config:\n    inner = registry\n")

    assert list(load_registry("nested:Config.inner").definitions) == ["greeter"]


@pytest.mark.parametrize(
    ("spec", "source", "message"),
    [
        ("", "", "names no module"),
        ("nowhere.py", None, "There is no file nowhere.py"),
        ("nowhere", None, "There is no module `nowhere`"),
        ("deep.nowhere", None, "There is no module `deep.nowhere`"),
        ("app.py", "", "holds no registry"),
        ("app.py", APP + "other = setup(use=[])", "app.py:registry, app.py:other"),
        ("app.py:nope", APP, "has no `nope`"),
        ("app.py:Greeter", APP, "is a type, not a registry"),
    ],
)
def test_registries_that_are_not_found(
    folder: Path, spec: str, source: str | None, message: str
) -> None:
    if source is not None:
        (folder / "app.py").write_text(source)

    with pytest.raises(LoadingError, match=message):
        load_registry(spec)


def test_one_registry_under_two_names(folder: Path) -> None:
    (folder / "app.py").write_text(APP + "same = registry")

    assert isinstance(load_registry("app.py"), Registry)


def test_mistakes_of_the_application_are_its_own(folder: Path) -> None:
    (folder / "app.py").write_text("import does_not_exist")

    with pytest.raises(ModuleNotFoundError, match="does_not_exist"):
        load_registry("app")


def test_mistakes_that_look_like_ours_are_its_own_too(folder: Path) -> None:
    (folder / "app.py").write_text("raise ValueError('mine')")

    with pytest.raises(ValueError, match="mine"):
        main(["serve", "app.py"])


def test_options_that_are_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app.py").write_text(APP)

    assert main(["serve", "app.py", "--port", "0", "--store", "redis:"]) == 1
    assert "names no store" in capsys.readouterr().err
    assert main(["serve", "app.py", "--port", "0", "--secret-file", "nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_openapi(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "app.py").write_text(APP)

    assert main(["openapi", "app.py"]) == 0
    document: Any = json.loads(capsys.readouterr().out)
    assert "/gateway/greeter/action/greet" in document["paths"]
    assert main(["openapi", "app.py", "--asyncapi"]) == 0
    assert "greeter" in json.loads(capsys.readouterr().out)["channels"]


def test_what_is_wrong_is_said_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "app.py").write_text(APP.replace("async def", "def"))

    assert main(["serve", "app.py"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("rivetless: ")
    assert "Traceback" not in error
    monkeypatch.setenv("RIVETLESS_TRACEBACK", "1")
    with pytest.raises(rivetless.DefinitionError):
        main(["serve", "app.py"])


def test_a_port_that_is_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rivetless.hosts.server import listen

    (folder / "app.py").write_text(APP)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        for more in ([], ["--reload"]):
            assert main(["dev", "app.py", "--store", "memory:", "--port", str(port), *more]) == 1
            assert f"port {port} of 127.0.0.1 is taken" in capsys.readouterr().err


def test_options_reach_the_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "app.py").write_text(APP)
    (folder / "secret").write_text("a secret of sixteen\n")
    given: dict[str, Any] = {}
    monkeypatch.setattr(Registry, "serve", lambda self, **options: given.update(options))

    argv = "serve app.py --host ::1 --port 0 --store memory: --synchronous normal --https --quiet"
    assert main([*argv.split(), "--secret-file", "secret", "--expose-errors"]) == 0
    assert given == {
        "host": "::1",
        "port": 0,
        "https": True,
        "fd": None,
        "quiet": True,
        "store": "memory:",
        "synchronous": "normal",
        "secret": "a secret of sixteen",
        "expose_errors": True,
    }


def test_interrupted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "app.py").write_text("raise KeyboardInterrupt")

    assert main(["serve", "app.py"]) == 130
