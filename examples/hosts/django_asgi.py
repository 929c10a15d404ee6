"""A Django project's ``asgi.py`` with actors beside the views."""
# mypy: disable-error-code="import-untyped"
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

import django
from django.conf import settings

# In a project the environment says DJANGO_SETTINGS_MODULE; this example has no settings module.
if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], DATABASES={}, ROOT_URLCONF="examples.hosts.urls", SECRET_KEY="example"
    )
    django.setup()

# --8<-- [start:mount]
from typing import Any

from django.core.asgi import get_asgi_application

from examples.quickstart.app import registry

PREFIX = "/rivet"

django_app = get_asgi_application()
actors = registry.handler()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await actors(scope, receive, send)  # Django has none of its own
    elif scope["path"].startswith(f"{PREFIX}/"):
        await actors({**scope, "root_path": PREFIX}, receive, send)
    else:
        await django_app(scope, receive, send)


# --8<-- [end:mount]
