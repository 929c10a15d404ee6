"""The errors that only a client makes. They never travel; their group is ``client``."""

from __future__ import annotations

from rivetless.client.sockets import SocketClosed
from rivetless.errors import ActorError

__all__ = [
    "answer_lost",
    "closed",
    "connection_failed",
    "connection_lost",
    "copy",
    "get_params_failed",
    "invalid_key",
    "invalid_request",
    "invalid_response",
    "open_failed",
    "refused",
    "timed_out",
]


def connection_failed(where: str, cause: object) -> ActorError:
    """The server could not be reached: nothing was sent."""
    return ActorError(
        "client", "connection_failed", f"Could not connect to {where}: {_describe(cause)}"
    )


def answer_lost(cause: object) -> ActorError:
    """Something was sent and no answer came: it is not known whether it took effect."""
    return ActorError(
        "client",
        "answer_lost",
        f"The server's answer was lost on its way ({_describe(cause)}). "
        "It is not known whether the call took effect.",
    )


def timed_out(seconds: float | None) -> ActorError:
    """The answer took longer than the client's ``timeout``."""
    return ActorError(
        "client",
        "timed_out",
        f"No answer within {seconds} s. It is not known whether the call took effect.",
    )


def invalid_response(status: int, text: str) -> ActorError:
    """What came back is not what a Rivet server writes; a proxy may have answered."""
    shown = text if len(text) <= 500 else text[:500] + "…"
    return ActorError(
        "client",
        "invalid_response",
        f"The answer (status {status}) is not a Rivet server's: {shown}",
        {"status": status},
    )


def invalid_request(cause: object) -> ActorError:
    """A path or a header cannot be sent as it is."""
    return ActorError("client", "invalid_request", f"It cannot be sent: {_describe(cause)}")


def refused(message: str, metadata: object = None) -> ActorError:
    """The server answered something else than a WebSocket."""
    return ActorError("client", "connection_open_failed", message, metadata)


def open_failed(closed: SocketClosed) -> ActorError:
    """The socket closed before the connection was established."""
    return ActorError(
        "client",
        "connection_open_failed",
        f"The connection was not established: {closed}",
        {"code": closed.code, "reason": closed.reason},
    )


def connection_lost(closed: SocketClosed) -> ActorError:
    """The socket closed while a call waited for its answer."""
    return ActorError(
        "client",
        "connection_lost",
        f"The connection was lost ({closed}). It is not known whether the call took effect.",
        {"code": closed.code, "reason": closed.reason},
    )


def closed(what: str) -> ActorError:
    """A closed client or connection was used, or closed while something waited for it."""
    return ActorError("client", "closed", f"The {what} is closed.")


def get_params_failed(cause: Exception) -> ActorError:
    """The function that makes connection parameters raised."""
    error = ActorError(
        "client",
        "get_params_failed",
        f"The connection's parameters could not be made: {_describe(cause)}",
        {"error": _describe(cause)},
    )
    error.__cause__ = cause
    return error


def invalid_key(message: str) -> ActorError:
    """A key cannot be addressed without being mistaken for another."""
    return ActorError("client", "invalid_key", message)


def copy(error: ActorError) -> ActorError:
    """Return an error to raise beside the original, on which tracebacks would pile up."""
    other = ActorError(error.group, error.code, error.message, error.metadata, actor=error.actor)
    other.__cause__ = error.__cause__
    for note in getattr(error, "__notes__", ()):
        other.add_note(note)
    return other


def _describe(cause: object) -> str:
    return str(cause) or type(cause).__name__
