"""Lists of a million rows in the admin: read on from the last id, count nothing."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest
from unfold.views import ChangeList

BEFORE = "before"


MAX_COUNTED = 10_000


def estimated_rows(table: str) -> int:
    """Small tables are counted; of large ones it is what Postgres believes since it last looked."""
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(table)
        cursor.execute(f"SELECT count(*) FROM (SELECT FROM {name} LIMIT %s) AS counted", [MAX_COUNTED])  # nosec B608
        counted = int(cursor.fetchone()[0])
        if counted < MAX_COUNTED:
            return counted
        cursor.execute("SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass", [table])
        return max(counted, int(cursor.fetchone()[0]))


class KeysetPaginator(Paginator):  # type: ignore[type-arg]
    template_name = "admin/keyset.html"

    @property
    def count(self) -> int:
        return 0


class KeysetChangeList(ChangeList):  # type: ignore[misc]
    """Newest first by id. `?before=ID` is the next page; its first page is without."""

    before: str | None = None
    next_before: str | None = None

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        found: dict[str, Any] = super().get_filters_params(params)
        values = found.pop(BEFORE, None)
        self.before = values[-1] if isinstance(values, list) else values
        return found

    def get_results(self, request: HttpRequest) -> None:
        rows = self.queryset.order_by("-pk")
        if self.before:
            rows = rows.filter(pk__lt=self._key(self.before))
        page = list(rows[: self.list_per_page + 1])
        self.result_list = page[: self.list_per_page]
        if len(page) > self.list_per_page:
            self.next_before = str(self.result_list[-1].pk)
        self.result_count = len(self.result_list)
        self.full_result_count = self.result_count  # Or the theme would offer "Show all".
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = KeysetPaginator(self.result_list, self.list_per_page)

    def _key(self, text: str) -> Any:
        try:
            return self.lookup_opts.pk.to_python(text)
        except ValidationError as error:
            raise IncorrectLookupParameters from error

    @property
    def rows_at_all(self) -> int:
        return estimated_rows(self.lookup_opts.db_table)

    @property
    def newest_url(self) -> str:
        return str(self.get_query_string())

    @property
    def next_url(self) -> str:
        return str(self.get_query_string({BEFORE: self.next_before}))


class KeysetMixin:
    """For a `ModelAdmin`."""

    list_per_page = 30
    # A row costs the theme's templates 4 ms.
    show_full_result_count = False
    list_disable_select_all = True
    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList
