"""What all views of the REST API share: who may, which parameters are known, how an answer is written, how lists page."""

import re
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.rest import MayRead, MayTrade
from orders.commands import Asker
from orders.errors import ApiError, invalid
from orders.http.answers import ErrorOut, schema
from orders.http.parameters import MAX_PAGE, Parameters
from orders.models import Order

Row = TypeVar("Row", bound=Model)

LIMIT = {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}
ERROR = schema(ErrorOut)
ERRORS = dict.fromkeys((400, 401, 403, 404, 429, 503), ERROR)
SEQ = re.compile(r'"([0-9]{1,10})"|([0-9]{1,10})', re.ASCII)
IF_MATCH = OpenApiParameter(
    "If-Match", location="header", description="The order's seq as last seen; at any other one 412 `SEQ_MISMATCH`"
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", location="header", description="`ETag` of an earlier answer")
READING = ("GET", "HEAD", "OPTIONS")


class Json(BaseRenderer):  # type: ignore[misc]
    """Structs and plain values by msgspec."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"
    _encode = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical").encode

    def render(self, data: Any, accepted_media_type: str | None = None, context: Any = None) -> bytes:
        return b"" if data is None else self._encode(data)


class View(APIView):  # type: ignore[misc]
    renderer_classes = [Json]
    accepts: Mapping[str, frozenset[str]] = {}
    """Method: the parameters that it knows; for any other method none."""
    permission: type[BasePermission] | None = None
    """Instead of: reading wants `read`, everything else `trade`."""

    def get_permissions(self) -> list[Any]:
        own = self.permission or (MayRead if self.request.method in READING else MayTrade)
        return [own()]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method in READING else str(request.method)
        self.asked = Parameters(request.query_params, self.accepts.get(method, frozenset()))

    def order(self, order_id: str) -> Order:
        return self.owned(Order, order_id)

    def owned(self, kind: type[Row], row_id: str) -> Row:
        """The caller's row of that kind; staff sees everybody's."""
        caller, rows = self.request.auth, kind._default_manager.all()
        try:
            return (rows if caller.is_staff else rows.filter(account_id=caller.account_id)).get(pk=UUID(row_id))
        except (ValueError, ObjectDoesNotExist):
            raise Http404 from None

    def asker(self) -> Asker:
        """Raises `ApiError`: VALIDATION_FAILED."""
        return Asker(self.request.auth.name, self.request.META["REQUEST_ID"], if_match(self.request))


def if_match(request: Request) -> int | None:
    """The seq that the client has seen: `If-Match: 3`, also as an entity tag, `"3"` (RFC 9110 section 13.1.1); `*` and no
    header let any pass. Raises `ApiError`: VALIDATION_FAILED."""
    sent = request.META.get("HTTP_IF_MATCH", "*").strip()
    if sent == "*":
        return None
    found = SEQ.fullmatch(sent)
    if found is None:
        raise invalid("If-Match", 'must be one seq, such as 3 or "3"')
    return int(found[1] or found[2])


def is_known(request: Request, tag: str) -> bool:
    """Whether `If-None-Match` names the entity tag (RFC 9110 section 13.1.2), so that 304 says all."""
    sent = request.META.get("HTTP_IF_NONE_MATCH", "")
    return tag in (each.strip().removeprefix("W/") for each in sent.split(","))


def polled(request: Request, data: msgspec.Struct) -> Response:
    """A list that clients ask for again and again: its `ETag` is made of the answer, and 304 says that it is the same."""
    body = Json().render(data)
    tag = f'"{blake2b(body, digest_size=8).hexdigest()}"'
    headers = {"ETag": f"W/{tag}"}
    return (
        Response(status=304, headers=headers)
        if is_known(request, tag)
        else Response(msgspec.Raw(body), headers=headers)
    )


def json_body(request: Request) -> bytes:
    """Raises `ApiError`: UNSUPPORTED_MEDIA_TYPE."""
    if request.content_type.partition(";")[0].strip().lower() != "application/json":
        raise ApiError("UNSUPPORTED_MEDIA_TYPE", "Send `Content-Type: application/json`.")
    body: bytes = request._request.body
    return body


def page(rows: QuerySet[Row], limit: int, key: Callable[[Row], object]) -> tuple[list[Row], str | None]:
    """Keyset paging: the first rows, and the cursor of the page that follows them, if there is one."""
    found = list(rows[: limit + 1])
    return found[:limit], str(key(found[limit - 1])) if len(found) > limit else None
