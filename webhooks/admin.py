"""Webhooks and their deliveries in the admin: to look at, to switch off and on, and to send again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.read_only import ReadOnlyAdmin
from orders.admin.keyset import KeysetMixin
from webhooks import commands
from webhooks.endpoint_in import WebhookAmendIn
from webhooks.models import Delivery, Endpoint
from webhooks.types import message_id

MAX_HOST = 40
"""Characters."""


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    list_display = ("url", "account", "all_accounts", "shown_state", "failing_since", "created_at")
    list_select_related = ("account",)
    list_filter = ("enabled", "all_accounts")
    search_fields = ("url", "account__name")
    actions = ("disable", "enable")
    fields = readonly_fields = (
        "id", "account", "url", "description", "types", "all_accounts", "enabled", "disabled_reason", "since", "failing_since",
        "previous_until", "replay_from", "replay_to", "created_at", "updated_at",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("secret", "previous_secret")

    @display(description="state", label={"enabled": "success", "failing": "warning", "disabled": "danger"})
    def shown_state(self, endpoint: Endpoint) -> str:
        if not endpoint.enabled:
            return "disabled"
        return "failing" if endpoint.failing_since else "enabled"

    @admin.action(description="Disable the chosen webhooks", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, False)

    @admin.action(description="Enable the chosen webhooks", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        self._set(request, queryset, True)

    def _set(self, request: HttpRequest, queryset: QuerySet[Endpoint], enabled: bool) -> None:
        for endpoint in queryset:
            commands.amend(endpoint, WebhookAmendIn(enabled=enabled))
        word = "enabled" if enabled else "disabled"
        self.message_user(request, f"{len(queryset)} webhooks {word}.", level=messages.SUCCESS)


@admin.register(Delivery)
class DeliveryAdmin(KeysetMixin, ReadOnlyAdmin):
    list_display = ("at", "type", "state_label", "attempts", "status", "said", "to", "message")
    list_select_related = ("endpoint__account",)
    list_filter = ("state", "type")
    list_fullwidth = True
    search_fields = ("subject__exact",)
    search_help_text = "Id of an order, plan or alert"
    actions = ("send_again",)
    fields = readonly_fields = (
        "endpoint", "type", "message", "at", "state", "attempts", "queued_at", "next_at", "attempted_at", "status", "said",
        "took_ms",
    )  # fmt: skip

    @display(description="to")
    def to(self, row: Delivery) -> str:
        """Without the scheme, so that the host can be read in a column."""
        host = row.endpoint.url.partition("://")[2]
        return host if len(host) <= MAX_HOST else f"{host[:MAX_HOST]}…"

    @display(description="webhook-id")
    def message(self, row: Delivery) -> str:
        return message_id(row.subject, row.seq, row.type)

    @display(description="state", label={"delivered": "success", "waiting": "info", "parked": "danger"})
    def state_label(self, row: Delivery) -> str:
        return row.state

    @admin.action(description="Send the chosen deliveries again", permissions=["operate"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        many = commands.send_again([row.pk for row in queryset])
        self.message_user(request, f"{many} deliveries wait to be sent again.", level=messages.SUCCESS)
