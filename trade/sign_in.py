"""Sign-in for people who trade: `/login`, `/logout`, `/password`. Nobody needs the admin for it.

Wrong passwords are counted by `accounts.lockout`, together with those at the admin's own sign-in.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

TOO_MANY_REQUESTS = 429


class SignIn(LoginView):
    template_name = "sign_in.html"
    next_page = "/"
    redirect_authenticated_user = True


class SignOut(LogoutView):
    """POST only: a link elsewhere signs nobody out."""

    next_page = "/"
    http_method_names = ["post", "options"]


class ChangePassword(PasswordChangeView):
    template_name = "password.html"
    success_url = "/"


def locked_out(request: HttpRequest, original: HttpResponse | None, credentials: Any) -> HttpResponse:
    """What axes answers while a name or an address is locked."""
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    response = render(
        request, "locked_out.html", {"minutes": round(cool_off.total_seconds() / 60)}, status=TOO_MANY_REQUESTS
    )
    response["Retry-After"] = str(round(cool_off.total_seconds()))
    return response
