"""Lists of a million rows in the admin: each page continues after the last id of the one before; nothing is counted."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db import connection
from django.http import HttpRequest
from unfold.views import ChangeList

BEFORE = "before"
MAX_COUNTED = 10_000
"""Rows. Counting so many takes a millisecond or two; beyond it Postgres' own estimate is shown."""


def estimated_rows(table: str) -> int:
    """Small tables are counted; of large ones it is the planner's estimate since the last ANALYZE."""
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
        # Postgres keeps no NUL and would refuse the question.
        if any("\0" in text for value in found.values() for text in (value if isinstance(value, list) else [value])):
            raise IncorrectLookupParameters
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
        self.full_result_count = self.result_count  # Otherwise the theme offers "Show all".
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
    def summary(self) -> str:
        """What the foot of the list says of its length. A list that fits on its page is exact, filters included."""
        name, names = self.lookup_opts.verbose_name, self.lookup_opts.verbose_name_plural
        if not self.before and not self.next_before:
            return f"{self.result_count} {name if self.result_count == 1 else names}"
        if not self.next_before:
            return f"The oldest {self.result_count}"
        rows = estimated_rows(self.lookup_opts.db_table)
        of = f"{rows:,}" if rows < MAX_COUNTED else f"about {rows:,}"
        if self.query or self.get_filters_params() or self.model_admin.filtered_by_default:
            return f"{self.result_count} {names}, older ones follow"
        return f"{self.result_count} of {of} {names}"

    @property
    def newest_url(self) -> str:
        return str(self.get_query_string())

    @property
    def next_url(self) -> str:
        return str(self.get_query_string({BEFORE: self.next_before}))


class KeysetMixin:
    """For a `ModelAdmin`."""

    filtered_by_default = False
    """The list leaves rows out although no filter is chosen, so the table's size says nothing of its length."""
    list_per_page = 30
    # The theme's templates take 4 ms for a row.
    show_full_result_count = False
    list_disable_select_all = True
    ordering = ("-pk",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[KeysetChangeList]:
        return KeysetChangeList
