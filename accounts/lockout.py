"""Locks out who guesses passwords (django-axes), by name and address together and by address alone.

Not by name alone: whoever knows the administrator's name could keep the administrator out.
"""

from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest

from runtime.addresses import client_network


def client_address(request: HttpRequest) -> str | None:
    """The address that failures are counted for: of an IPv6 client its /64 network; None where there is no address.

    REMOTE_ADDR is the peer, or what a trusted proxy (FORWARDED_ALLOW_IPS) took from X-Forwarded-For. That may be any text,
    and Postgres refuses text that is no address.
    """
    counted = client_network(request.META.get("REMOTE_ADDR") or "")
    return counted and counted.partition("/")[0]


class Handler(AxesDatabaseHandler):  # type: ignore[misc]
    """Two limits instead of one; a success clears the failures of its own name from its own address, and no others.

    Relies on AXES_LOCKOUT_PARAMETERS being the address, then name and address.
    """

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """In units of AXES_FAILURE_LIMIT, which axes compares it with."""
        of_address, of_name = (failures(rows) for rows in self.get_user_attempts(request, credentials))
        scaled = of_address * settings.AXES_FAILURE_LIMIT // settings.LOCKOUT_FAILURES_OF_ADDRESS
        return max(of_name, scaled)

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Axes would clear everything from the address: one's own sign-in between guesses at another's name."""
        _, of_name = self.filter_user_attempts(request, credentials)
        return int(of_name.delete()[0])


def failures(attempts: QuerySet[Any]) -> int:
    return sum(attempts.values_list("failures_since_start", flat=True))
