"""Pages of rows that show panels and have no form."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from accounts.read_only import ReadOnlyAdmin
from orders.admin.keyset import KeysetMixin


class PanelsAdmin(KeysetMixin, ReadOnlyAdmin):
    """A long list, and of each row a page of `change_form_after_template`."""

    list_fullwidth = True

    def panels(self, object_id: str) -> dict[str, Any]:
        """The template's context; `object_id` is whatever stands in the address."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """None: the panels know what belongs to the row."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**self.panels(object_id), **(extra_context or {})}
        answer: HttpResponse = super().change_view(request, object_id, form_url, context)
        return answer


def nowrap(value: str) -> str:
    """Amounts, prices and times stay on one line in narrow columns."""
    return format_html('<span class="nowrap">{}</span>', value)
