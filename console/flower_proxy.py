"""Flower at `/flower/`, for whoever has the permission `accounts.view_tasks`: its own password never leaves the engine."""

import base64
import json
from typing import Any
from urllib.parse import quote

import httpx
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.origin import may_use_cookie
from accounts.roles import TASKS

TIMEOUT_S = 15.0
PASSED_ON = ("accept", "content-type", "x-requested-with")
NOT_PASSED_BACK = {
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "server",
    "set-cookie",
    "transfer-encoding",
}
SAFE = ("GET", "HEAD")


def authorization() -> dict[str, str]:
    """Flower's own name and password: FLOWER_BASIC_AUTH, else the administrator's of an embedded engine."""
    pair = settings.FLOWER_BASIC_AUTH
    if not pair:
        try:
            admin = json.loads((settings.DATA_DIR / "credentials.json").read_text())["admin"]
            pair = f"{admin['username']}:{admin['password']}"
        except (OSError, ValueError, KeyError):
            return {}
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@csrf_exempt  # Flower's own forms know nothing of our tokens; the Origin is checked instead.
async def flower(request: HttpRequest, path: str = "") -> HttpResponse:
    user = await request.auser()
    if not user.is_authenticated:
        return redirect_to_login(request.get_full_path(), "/admin/login/")
    if not await user.ahas_perm(TASKS):
        return said("This page needs the permission to view tasks.", 403)
    if request.method not in SAFE and not (user.is_superuser and from_own_page(request)):
        return said("Only a superuser changes workers, and only from Flower's own page.", 403)
    if not path.isprintable():
        return said("There is no such page.", 404)
    base = settings.FLOWER_URL
    if base is None:
        return said("Flower is not part of this engine: set FLOWER_URL.", 404)
    return await passed_on(request, f"{base.rstrip('/')}/{quote(path)}")


def said(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain")


def from_own_page(request: HttpRequest) -> bool:
    return may_use_cookie(request.headers.get("Origin"), request.get_host(), secure=request.is_secure())


async def passed_on(request: HttpRequest, url: str) -> HttpResponse:
    headers: Any = {name: request.headers[name] for name in PASSED_ON if name in request.headers} | authorization()
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = await client.request(
                request.method or "GET", url, params=request.META["QUERY_STRING"], content=request.body, headers=headers
            )
    except (httpx.InvalidURL, UnicodeError):
        return said("There is no such page.", 404)
    except httpx.HTTPError:
        return said("Flower does not answer just now; it starts within a few seconds.", 503)
    response = HttpResponse(answer.content, status=answer.status_code)
    for name, value in answer.headers.items():
        if name.lower() not in NOT_PASSED_BACK:
            response[name] = value
    return response
