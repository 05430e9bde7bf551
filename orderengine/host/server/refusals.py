"""Answers that the server gives by itself, before an application sees the request. The same shape as the API's errors."""

from random import getrandbits

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from orders.errors import ApiError

INVALID, TOO_LATE, TOO_LARGE, URL_TOO_LONG, HEADERS_TOO_LARGE, BUSY = 400, 408, 413, 414, 431, 503
CODES = {
    INVALID: ("INVALID_HTTP", "This is not a valid HTTP/1.1 request."),
    TOO_LATE: ("REQUEST_TIMEOUT", "The request took too long to arrive."),
    TOO_LARGE: ("BODY_TOO_LARGE", "The body is too large."),
    URL_TOO_LONG: ("URL_TOO_LONG", "The request line is too long."),
    HEADERS_TOO_LARGE: ("HEADERS_TOO_LARGE", "The headers are too many or too long."),
    BUSY: ("UNAVAILABLE", "There are too many connections. Try again."),
}


class Refused(Exception):
    """Raised in a callback of the parser, which ends the parsing. The status says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def answer(status: int) -> bytes:
    """The complete answer; the connection ends after it."""
    request_id = f"{getrandbits(64):016x}"
    body = msgspec.json.encode(ApiError(*CODES[status]).body(request_id))
    head = [
        STATUS_LINE[status],
        b"content-type: application/json\r\nconnection: close\r\n",
        b"x-request-id: %s\r\ncontent-length: %d\r\n" % (request_id.encode(), len(body)),
    ]
    if status == BUSY:
        head.append(b"retry-after: 1\r\n")
    return b"".join([*head, b"\r\n", body])
