"""The filters beside the lists. Each is written so that one of the tables' partial indexes serves it."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Account
from orders.lifecycle import FINAL, Status
from orders.models import DeadLetter, Order, OrderType

MAX_ACCOUNTS = 50
MAX_ID_DIGITS = 18


class StatusFilter(admin.SimpleListFilter):
    """Each status is asked for together with the columns that the partial indexes are conditioned on."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "open"), ("resting", "resting"), *((status.value, status.value) for status in Status)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        match self.value():
            case None:
                return queryset
            case "open":
                return queryset.filter(finished_at=None)
            case "resting":
                return queryset.filter(resting=True, finished_at=None)
            case Status.CONFIRMED:
                return queryset.filter(status=Status.CONFIRMED)
            case status if status in FINAL:
                return queryset.filter(status=status, finished_at__isnull=False, tx_hash=None)
            case status:
                return queryset.filter(status=status, finished_at=None)


class TypeFilter(admin.SimpleListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind.value, kind.value) for kind in OrderType]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        return queryset if self.value() is None else queryset.filter(type=self.value())


class AccountFilter(admin.SimpleListFilter):
    title = "account"
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            (str(pk), name) for pk, name in Account.objects.order_by("name").values_list("pk", "name")[:MAX_ACCOUNTS]
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Order]) -> QuerySet[Order]:
        wanted = self.value()
        if wanted is None:
            return queryset
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= MAX_ID_DIGITS):
            return queryset.none()
        return queryset.filter(account_id=int(wanted))


class ResolvedFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("all", "all"), ("resolved", "dealt with")]

    def choices(self, changelist: Any) -> Any:
        yield {
            "selected": not self.value(),
            "query_string": changelist.get_query_string(remove=["state"]),
            "display": "open",
        }
        yield from list(super().choices(changelist))[1:]

    def queryset(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> QuerySet[DeadLetter]:
        match self.value():
            case "all":
                return queryset
            case "resolved":
                return queryset.filter(resolved_at__isnull=False)
            case _:
                return queryset.filter(resolved_at=None)
