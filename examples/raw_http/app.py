"""HTTP as it comes: a Starlette router mounted in an actor, JSON and pictures."""

from typing import Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from rivetless import Actor, UserError, setup

KINDS = {"image/png", "image/jpeg", "image/webp"}


class Picture(BaseModel):
    title: str
    kind: str
    data: bytes


class AlbumState(BaseModel):
    pictures: dict[int, Picture] = {}
    last_id: int = 0


# --8<-- [start:routes]
async def index(request: Request) -> Response:
    album: Album = request.state.album
    return JSONResponse(
        {
            "album": "/".join(album.key),
            "pictures": [
                {"id": number, "title": picture.title, "size": len(picture.data)}
                for number, picture in album.state.pictures.items()
            ],
        }
    )


async def upload(request: Request) -> Response:
    album: Album = request.state.album
    kind = request.headers.get("content-type", "")
    if kind not in KINDS:
        raise UserError("Send a picture.", code="not_a_picture", metadata={"kinds": sorted(KINDS)})
    album.state.last_id += 1
    number = album.state.last_id
    title = request.query_params.get("title", f"Picture {number}")
    album.state.pictures[number] = Picture(title=title, kind=kind, data=await request.body())
    return JSONResponse({"id": number, "title": title}, status_code=201)


async def show(request: Request) -> Response:
    picture = _find(request)
    return Response(picture.data, media_type=picture.kind, headers={"cache-control": "no-cache"})


async def remove(request: Request) -> Response:
    _find(request)
    album: Album = request.state.album
    del album.state.pictures[request.path_params["number"]]
    return Response(status_code=204)


def _find(request: Request) -> Picture:
    album: Album = request.state.album
    picture = album.state.pictures.get(request.path_params["number"])
    if picture is None:
        raise UserError("There is no such picture.", code="no_picture")
    return picture


routes = Router(
    [
        Route("/pictures", index, methods=["GET"]),
        Route("/pictures", upload, methods=["POST"]),
        Route("/pictures/{number:int}", show, methods=["GET"]),
        Route("/pictures/{number:int}", remove, methods=["DELETE"]),
    ]
)
# --8<-- [end:routes]


# --8<-- [start:mount]
class Mounted(Response):
    """The answer of another ASGI application to the same request."""

    def __init__(self, app: Any, request: Request) -> None:
        super().__init__()
        self._app = app
        self._request = request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(self._request.scope, self._request.receive, send)


class Album(Actor[AlbumState], icon="images"):
    """Pictures, over plain HTTP."""

    async def on_request(self, request: Request) -> Response:
        request.state.album = self
        return Mounted(routes, request)


# --8<-- [end:mount]

registry = setup(use=[Album])
