"""Finding the registry that a command line names."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from rivetless.registry import Registry

__all__ = ["LoadingError", "load", "load_registry"]


class LoadingError(Exception):
    """There is no registry where the command line says; the message helps to mend that."""


def load_registry(spec: str) -> Registry:
    """Return the registry at ``module:attribute`` or ``path/to/file.py[:attribute]``.

    Raises:
        LoadingError: there is none.
    """
    value = load(spec)
    if not isinstance(value, Registry):
        raise LoadingError(
            f"{spec} is a {type(value).__name__}, not a registry. "
            "Make one: `registry = setup(use=[...])`."
        )
    return value


def load(spec: str) -> object:
    """Return whatever is at a place; a module's only registry, if no attribute is named.

    Raises:
        LoadingError: there is nothing.
    """
    place, _, attribute = spec.partition(":")
    if not place:
        raise LoadingError(f"{spec!r} names no module. Write module:attribute or path/to/file.py.")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    if attribute:
        return _attribute(module, place, attribute)
    found = {
        id(value): (name, value)
        for name, value in vars(module).items()
        if isinstance(value, Registry)
    }
    if len(found) == 1:
        return next(iter(found.values()))[1]
    if not found:
        raise LoadingError(f"{place} holds no registry. Make one: `registry = setup(use=[...])`.")
    names = ", ".join(f"{place}:{name}" for name, _ in found.values())
    raise LoadingError(f"{place} holds several registries. Name one: {names}.")


def _attribute(module: ModuleType, place: str, attribute: str) -> object:
    value: object = module
    for name in attribute.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise LoadingError(f"{place} has no `{attribute}`.") from None
    return value


def _load_module(name: str) -> ModuleType:
    # As `python -m` does: what is in the working directory can be imported.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise LoadingError(f"There is no module `{name}` in {Path.cwd()} or on the path.") from None


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise LoadingError(f"There is no file {path}.")
    path = path.resolve()
    # What lies beside it can be imported, as if it were run as a script.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = path.stem
    if name in sys.modules or not name.isidentifier():
        name = "__rivetless_app__"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise LoadingError(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    # Before it runs: pydantic looks names up in the module of a class.
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
