"""Raw HTTP and raw WebSockets."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from rivetless import Actor, ActorError, Event, RawWebSocket, UserError, action


class WebState(BaseModel):
    hits: int = 0
    opened: int = 0
    messages: list[str] = []
    closed: list[int] = []


class Peer(BaseModel):
    name: str = ""
    heard: int = 0


class Web(Actor[WebState, Peer, dict[str, Any] | None]):
    """Speaks HTTP and a protocol of its own."""

    news = Event[str]()

    async def on_before_connect(self, params: dict[str, Any] | None) -> None:
        if params and params.get("deny") == "user":
            raise UserError("Stay out.", code="stay_out", metadata={"door": "front"})
        if params and params.get("deny") == "forbidden":
            raise ActorError("auth", "forbidden", "Forbidden.")

    async def create_conn_state(self, params: dict[str, Any] | None) -> Peer:
        return Peer(name=str(params.get("name", "")) if params else "")

    async def on_request(self, request: Request) -> Response:
        path = request.url.path
        match path:
            case "/hit":
                self.state.hits += 1
                return JSONResponse({"hits": self.state.hits}, status_code=201)
            case "/hit-and-fail":
                self.state.hits += 1
                raise UserError("No hit.", code="no_hit", metadata={"path": path})
            case "/crash":
                raise RuntimeError("a secret of the server")
            case "/wrong":
                return "not a response"  # type: ignore[return-value]  # a mistake of the author
            case "/empty":
                return Response(status_code=204)
            case "/teapot":
                return PlainTextResponse("short and stout", status_code=418)
            case "/away":
                return RedirectResponse("https://example.com/", status_code=307)
            case "/body":
                body = await request.body()
                return Response(body, media_type=request.headers.get("content-type"))
            case "/cookies":
                response = PlainTextResponse(str(sorted(request.cookies.items())))
                response.set_cookie("a", "1")
                response.set_cookie("b", "2")
                return response
            case "/form":
                return JSONResponse(dict(parse_qsl((await request.body()).decode())))
            case "/large":
                return Response(b"x" * int(request.query_params["size"]))
            case "/stream":
                return StreamingResponse(self._hit_by_hit(int(request.query_params["hits"])))
            case "/conn":
                return JSONResponse({"name": self.conn.state.name, "params": self.conn.params})
            case _:
                return JSONResponse(
                    {
                        "method": request.method,
                        "url": str(request.url),
                        "path": path,
                        "decoded": request.scope["path"],
                        "query": request.url.query,
                        "headers": [list(pair) for pair in request.headers.items()],
                        "body": (await request.body()).decode(),
                    },
                    headers={"x-custom": "Yes"},
                )

    async def _hit_by_hit(self, hits: int) -> AsyncIterator[str]:
        for _ in range(hits):
            await self.kv.get("nothing")
            self.state.hits += 1
            yield f"{self.state.hits} "

    async def on_websocket(self, ws: RawWebSocket[Peer, dict[str, Any] | None]) -> None:
        if "refuse" in ws.url:
            raise UserError("No sockets here.", code="no_sockets")
        self.state.opened += 1
        ws.send(f"hello from {ws.path}")

    async def on_websocket_message(
        self, ws: RawWebSocket[Peer, dict[str, Any] | None], data: str | bytes
    ) -> None:
        ws.state.heard += 1
        match data:
            case "url":
                ws.send(ws.url)
            case "state":
                ws.send(f"{ws.state.name} {ws.state.heard}")
            case "count":
                ws.send(str(await self.conns.count()))
            case "close":
                ws.close(4001, "as you wish")
            case "fail":
                self.state.messages.append("fail")
                raise UserError("Cannot.", code="cannot")
            case "crash":
                raise RuntimeError("a secret of the server")
            case "news":
                self.broadcast(self.news, "to managed connections only")
                ws.send("told")
            case str():
                self.state.messages.append(data)
                ws.send(data)
            case bytes():
                self.state.messages.append(f"{len(data)} bytes")
                ws.send(data[::-1])

    async def on_websocket_close(
        self, ws: RawWebSocket[Peer, dict[str, Any] | None], code: int
    ) -> None:
        self.state.closed.append(code)

    @action
    async def read(self) -> WebState:
        """Return the state."""
        return self.state

    @action
    async def tell_news(self, text: str) -> None:
        """Broadcast."""
        self.broadcast(self.news, text)

    @action
    async def drop_all(self) -> int:
        """Close every connection but the caller's."""
        dropped = 0
        async for conn in self.conns:
            if conn != self.conn:
                conn.disconnect("dropped")
                dropped += 1
        return dropped

    @action
    async def doze(self) -> None:
        """End this process's tenure."""
        self.sleep()

    @action
    async def end(self) -> None:
        """Be destroyed."""
        self.destroy()


class Mute(Actor):
    """Has neither kind of raw handler."""

    @action
    async def ping(self) -> str:
        """Answer."""
        return "pong"
