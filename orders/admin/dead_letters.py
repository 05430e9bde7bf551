"""Dead letters: failed orders until somebody deals with them."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from orders import commands
from orders.admin.changes import asker, on_each
from orders.admin.facts import letter_facts, swap
from orders.admin.filters import MAX_ID_DIGITS, ResolvedFilter
from orders.admin.panels import PanelsAdmin
from orders.ids import uuid_of
from orders.models import DeadLetter


@admin.register(DeadLetter)
class DeadLetterAdmin(PanelsAdmin):
    list_display = ("created_at", "link", "reason", "attempts", "last_message", "resolved_at", "resolved_by")
    list_select_related = ("order",)
    list_filter = (ResolvedFilter,)
    filtered_by_default = True
    search_fields = ("reason",)
    search_help_text = "Order id or reason, in full"
    actions = ("requeue_letters",)
    change_form_after_template = "admin/dead_letter_panel.html"

    def panels(self, object_id: str) -> dict[str, Any]:
        """See `PanelsAdmin`."""
        found = DeadLetter.objects.select_related("order")
        known = object_id.isascii() and object_id.isdigit() and len(object_id) <= MAX_ID_DIGITS
        letter = found.filter(pk=int(object_id)).first() if known else None
        return {"facts": letter_facts(letter)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DeadLetter], search_term: str
    ) -> tuple[QuerySet[DeadLetter], bool]:
        term = search_term.strip().replace("\0", "")
        if not term:
            return queryset, False
        return queryset.filter(Q(order_id=uuid_of(term)) if uuid_of(term) else Q(reason=term.upper())), False

    @display(description="order")
    def link(self, letter: DeadLetter) -> str:
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:orders_order_change", args=[letter.order_id]), swap(letter.order)
        )

    @display(description="attempts")
    def attempts(self, letter: DeadLetter) -> int:
        return len(letter.history)

    @display(description="last error")
    def last_message(self, letter: DeadLetter) -> str:
        return str(letter.history[-1].get("message", "")) if letter.history else ""

    @admin.action(description="Requeue the chosen orders", permissions=["operate"])
    def requeue_letters(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        by = asker(request)
        letters = {letter.order: letter.epoch for letter in queryset if letter.resolved_at is None}
        on_each(request, list(letters), lambda order: commands.requeue(order, by, epoch=letters[order]), "requeued")
