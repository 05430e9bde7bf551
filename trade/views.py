"""The trading page at `/`: one document and static files that speak REST and WebSocket like any client."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

from accounts.roles import OPERATE
from routing import explorer
from routing.cluster import mode
from routing.world import tokens as known_tokens
from routing.world import world

MODULES = (
    "format",
    "api",
    "live",
    "theme",
    "decimals",
    "chart",
    "handles",
    "quotes",
    "exits",
    "slicing",
    "slices",
    "preview",
    "ticket",
    "stepper",
    "orders",
    "detail",
    "plans",
    "legs",
    "plan",
    "amend",
    "pinned",
    "market",
    "wallet",
    "books",
    "risk",
)
"""Named in the document, so that the browser asks for all of them at once and not one import after the other."""

MAX_OTHERS = 100
"""Tokens that are not verified, in the lists to choose from. Any other goes by its mint."""


@require_safe
@never_cache
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    user = request.user
    known = known_tokens().tokens
    verified, others = [each for each in known if each.verified], [each for each in known if not each.verified]
    tokens = [*verified, *others[:MAX_OTHERS]]
    own, node = mode(), (settings.RPC_URLS or [""])[0]
    controls = world().controls
    return render(
        request,
        "trade.html",
        {
            "tokens": tokens,
            "first": (known[1].label, known[0].label),
            "unlisted": controls.unlisted.label if controls is not None and controls.unlisted else "",
            "modules": MODULES,
            "mode": own,
            "meaning": explorer.meaning(own),
            "explorer": explorer.address(own, node),
            "faucet": faucet_of(),
            "local": settings.LOCAL_MODE,
            "signed_in": user.is_authenticated,
            "staff": user.has_perm(OPERATE),
            "controls": user.has_perm(OPERATE) and controls is not None,
        },
    )


def faucet_of() -> str:
    """What the wallet's card may give: "all" tokens, "SOL" alone, or nothing."""
    if settings.PAPER or settings.EXECUTION_MODE == "localnet":
        return "all"
    return "SOL" if settings.EXECUTION_MODE == "devnet" else ""
