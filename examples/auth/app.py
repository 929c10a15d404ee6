"""Who may do what: a token in the connection's parameters, roles, guarded events."""

from __future__ import annotations

from pydantic import BaseModel

from examples.auth.tokens import Role, User, verify
from rivetless import Actor, Event, UserError, action, setup
from rivetless.errors import forbidden

OUR_PAGES = {"https://docs.example.com", "http://localhost:5173"}


class Credentials(BaseModel):
    """What every client connects with."""

    token: str


class DocumentState(BaseModel):
    text: str = ""


# --8<-- [start:subscribe]
async def editors_only(document: Document) -> bool:
    return document.conn.state.role == "editor"


# --8<-- [end:subscribe]


class Document(Actor[DocumentState, User, Credentials], icon="file-lines"):
    """A document of an organisation. Its key is the organisation and the document's name."""

    changed = Event[str]()
    edited_by = Event[str](can_subscribe=editors_only)

    # --8<-- [start:connect]
    async def on_before_connect(self, params: Credentials) -> None:
        # Browsers say which page is asking; other programs say nothing.
        origin = self.request.headers.get("origin") if self.request else None
        if origin is not None and origin not in OUR_PAGES:
            raise forbidden("This page may not open documents.")

    async def create_conn_state(self, params: Credentials) -> User:
        user = verify(params.token)
        if self.key[:1] != (user.org,):
            raise UserError("The document is another organisation's.", code="wrong_org")
        return user

    # --8<-- [end:connect]

    @action
    async def read(self) -> str:
        """Return the text; every role may."""
        return self.state.text

    # --8<-- [start:roles]
    @action
    async def write(self, text: str) -> None:
        """Replace the text; editors may."""
        user = self._require("editor")
        self.state.text = text
        self.broadcast(self.changed, text)
        self.broadcast(self.edited_by, user.name)

    def _require(self, role: Role) -> User:
        user = self.conn.state
        if user.role != role:
            raise UserError(
                f"Only an {role} may do that.",
                code="missing_role",
                metadata={"needed": role, "yours": user.role},
            )
        return user

    # --8<-- [end:roles]


registry = setup(use=[Document])
