"""Tokens over REST: everybody may look for them, staff adds and verifies them."""

from asgiref.sync import async_to_sync
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.rest import IsStaff, MayRead
from orders.errors import invalid, unavailable
from orders.http.answers import TokenOut, TokensOut, schema
from orders.http.parameters import MAX_PAGE
from orders.http.view import ERROR, ERRORS, LIMIT, READING, View, json_body
from orders.token_in import TokenIn, parse_token
from routing import listing
from routing.values import Token
from routing.venue import VenueError
from routing.world import registry, tokens


def token_out(token: Token) -> TokenOut:
    return TokenOut(
        token.mint,
        token.symbol,
        token.name,
        token.decimals,
        token.program,
        list(token.extensions),
        token.verified,
        token.source,
        token.logo,
    )


class TokensView(View):
    accepts = {"GET": frozenset({"query", "limit"})}

    def get_permissions(self) -> list[BasePermission]:
        return [MayRead() if self.request.method in READING else IsStaff()]

    @extend_schema(
        operation_id="tokens_list",
        parameters=[
            OpenApiParameter("query", description="A part of the symbol or name in any case, or the mint"),
            OpenApiParameter("limit", LIMIT, description=f"{MAX_PAGE} by default"),
        ],
        responses={200: schema(TokensOut), **ERRORS},
    )
    def get(self, request: Request) -> Response:
        """Known tokens, verified ones first. A symbol that is not verified may be anybody's: go by the mint."""
        found = search(self.asked.text("query") or "")
        limit = self.asked.whole("limit", MAX_PAGE, least=1, most=MAX_PAGE)
        return Response(TokensOut([token_out(token) for token in found[:limit]]))

    @extend_schema(
        operation_id="tokens_save",
        request={"application/json": schema(TokenIn)},
        responses={200: schema(TokenOut), 415: ERROR, 422: ERROR, **ERRORS},
    )
    def post(self, request: Request) -> Response:
        """Adds a token, or changes what is given of it. On a chain its mint account says decimals and program; on the mock a
        new token needs `decimals`. Only a verified symbol names the token in orders, pairs and URLs."""
        wanted = parse_token(json_body(request))
        try:
            read = async_to_sync(listing.read_mint)(wanted.mint)
            listing.save(wanted.mint, wanted.said(), read, source="staff")
        except listing.InvalidToken as error:
            raise invalid(error.field, str(error)) from None
        except VenueError:
            raise unavailable("The chain does not answer just now: the mint cannot be read.") from None
        token = registry.refresh().resolve(wanted.mint)
        if token is None:  # Postgres took the token and does not answer any more.
            raise unavailable()
        return Response(token_out(token))


def search(query: str) -> list[Token]:
    """Those whose mint it is, or whose symbol or name has it in them: verified ones first, the nearest match first."""
    wanted = query.strip().casefold()

    def matches(token: Token) -> bool:
        return wanted in token.symbol.casefold() or wanted in token.name.casefold() or token.mint == query.strip()

    def order(token: Token) -> tuple[bool, bool, bool]:
        symbol = token.symbol.casefold()
        return not token.verified, symbol != wanted, not symbol.startswith(wanted)

    return sorted(filter(matches, tokens().tokens), key=order)
