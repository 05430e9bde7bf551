"""Failed orders over REST, for staff."""

from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import IsStaff
from orders import commands
from orders.http.answers import DeadLetterOut, DeadLettersOut, schema
from orders.http.parameters import MAX_SEQ, PAGE
from orders.http.view import ERROR, ERRORS, IF_NONE_MATCH, LIMIT, View, page, polled
from orders.models import DeadLetter
from orders.representation import OrderOut, order_out
from orders.wire import timestamp

MAX_ID = 2**63 - 1


def dead_letter_out(letter: DeadLetter) -> DeadLetterOut:
    return DeadLetterOut(
        letter.pk,
        str(letter.order_id),
        letter.epoch,
        letter.reason,
        letter.history,
        timestamp(letter.created_at),
        None if letter.resolved_at is None else timestamp(letter.resolved_at),
        letter.resolved_by,
    )


class DeadLettersView(View):
    permission = IsStaff
    accepts = {"GET": frozenset({"resolved", "cursor", "limit"})}

    @extend_schema(
        parameters=[
            OpenApiParameter("resolved", enum=["true", "false"], description="`false` by default"),
            OpenApiParameter("cursor", {"type": "integer", "minimum": 1, "maximum": MAX_SEQ}),
            OpenApiParameter("limit", LIMIT, description=f"{PAGE} by default"),
            IF_NONE_MATCH,
        ],
        responses={200: schema(DeadLettersOut), 304: None, **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Failed orders that nobody has dealt with, newest first."""
        resolved = self.asked.one_of("resolved", ["true", "false"]) == "true"
        letters = DeadLetter.objects.filter(resolved_at__isnull=not resolved).order_by("-id")
        if "cursor" in self.asked:
            letters = letters.filter(id__lt=self.asked.whole("cursor", 0, least=1, most=MAX_SEQ))
        found, following = page(letters, self.asked.limit(), lambda letter: letter.pk)
        return polled(request, DeadLettersOut([dead_letter_out(letter) for letter in found], following))


class RequeueView(View):
    permission = IsStaff

    @extend_schema(request=None, responses={200: schema(OrderOut), 409: ERROR, **ERRORS})
    def post(self, request: Request, letter_id: int) -> Response:
        """Sends a failed order round again: the same order, a new epoch. A letter acts once: again, the order is answered
        as it stands, with `Idempotency-Replayed: true`."""
        letter = DeadLetter.objects.filter(pk=min(letter_id, MAX_ID)).select_related("order").first()
        if letter is None:
            raise Http404
        try:
            if letter.resolved_at is not None:
                raise commands.Overtaken(letter.order)
            return Response(order_out(commands.requeue(letter.order, self.asker(), epoch=letter.epoch)))
        except commands.Overtaken as overtaken:
            return Response(order_out(overtaken.order), headers={"Idempotency-Replayed": "true"})
