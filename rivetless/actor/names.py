"""Names: how Python's become the wire's, and what a misspelt one may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

MAX_NAME_CHARS: Final = 64

_ALLOWED: Final = re.compile(r"[\w$][\w$.-]*")


def class_name(name: str) -> str:
    """Return a class's wire name: ``ChatRoom`` is ``chatRoom``, ``HTTPProxy`` ``httpProxy``."""
    name = member_name(name)
    capitals = 0
    while capitals < len(name) and name[capitals].isupper():
        capitals += 1
    if capitals > 1 and capitals < len(name) and name[capitals].islower():
        capitals -= 1  # it begins the next word
    return name[:capitals].lower() + name[capitals:]


def member_name(name: str) -> str:
    """Return the wire name of a method or attribute: ``send_message`` is ``sendMessage``.

    Only underscores count: ``sendURL`` stays as it is.
    """
    first, *rest = [word for word in name.split("_") if word] or [name]
    return first + "".join(word[0].upper() + word[1:] for word in rest)


def why_not(name: object) -> str | None:
    """Say what is wrong with an explicit wire name, if anything."""
    if not isinstance(name, str):
        return f"a name is text, not {type(name).__name__}"
    if not name:
        return "a name is not empty"
    if len(name) > MAX_NAME_CHARS:
        return f"a name has at most {MAX_NAME_CHARS} characters, {name[:20]!r}… has {len(name)}"
    if not _ALLOWED.fullmatch(name):
        return f"a name has letters, digits and any of _ - . $ only, unlike {name!r}"
    return None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean `x`?"`` for the nearest known name, or nothing."""
    known = sorted(known)
    # ``onConnect`` and ``on_connect`` are the same word to the reader.
    folded = {option.replace("_", "").lower(): option for option in known}
    same = folded.get(name.replace("_", "").lower())
    near = [same] if same else difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return f" Did you mean `{near[0]}`?" if near else ""
