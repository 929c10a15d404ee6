"""The views of the Django example."""
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false

from django.http import HttpRequest, HttpResponse
from django.urls import path


async def index(request: HttpRequest) -> HttpResponse:
    """Answer as before."""
    return HttpResponse(b"Actors are at /rivet.")


urlpatterns = [path("", index)]
