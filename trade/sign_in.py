"""Sign-in for people who trade: `/login`, `/logout`, `/password`. Nobody needs the admin for it.

Wrong passwords are counted by `accounts.lockout`, together with those at the admin's own sign-in.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.core.exceptions import ValidationError
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


class PasswordForm(PasswordChangeForm):
    """A wrong old password counts like one at the sign-in: a session that is left open must not be a place to guess at."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        given: str = self.cleaned_data["old_password"]
        if authenticate(self._request, username=self.user.get_username(), password=given) is None:
            raise ValidationError(self.error_messages["password_incorrect"], code="password_incorrect")
        return given


class ChangePassword(PasswordChangeView):
    form_class = PasswordForm
    template_name = "password.html"
    success_url = "/"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


def locked_out(request: HttpRequest, original: HttpResponse | None, credentials: Any) -> HttpResponse:
    """What axes answers while a name or an address is locked."""
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    response = render(
        request, "locked_out.html", {"minutes": round(cool_off.total_seconds() / 60)}, status=TOO_MANY_REQUESTS
    )
    response["Retry-After"] = str(round(cool_off.total_seconds()))
    return response
