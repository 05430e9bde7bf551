"""Guards of an account's stream and of drafts, as edits of their modules' text, in the form of `real_chain`."""

FEED, REPLAY = "orders.streams.feed", "orders.streams.replay"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "looked-at-by-the-clock": [
        (FEED, "OVERFLOWED_S if socket.overflowed else REREAD_S):", "OVERFLOWED_S if socket.overflowed else 1e9):")
    ],
    "replays": [(FEED, "self._snapshot() if self._since is None else self._replay(self._since)", "self._snapshot()")],
    "dated-before": [(REPLAY, "MARGIN = timedelta(seconds=20)", "MARGIN = timedelta(0)")],
    "reads-on": [(REPLAY, "row.seq for row in page}\n", "row.seq for row in page}\n        break\n")],
    "drafts-have-exits": [("orders.http.preview", "None if order.exits is None else", "None if True else")],
}
STATEMENTS: dict[str, list[tuple[str, str, str]]] = {
    "replays-its-own": [("ended", "account_id = %(account)s", "%(account)s = %(account)s")],
    "knows-what-rests": [("behind", "order_id = o.id AND at >= %(since)s", "order_id = o.id")],
}
STREAMS, API = "tests/integration/test_streams.py::test_", "tests/integration/test_api_for_bots.py::test_"
TESTS: dict[str, str] = {
    "looked-at-by-the-clock": f"{STREAMS}a_feed_that_is_never_quiet_finds_what_redis_lost",
    "knows-what-rests": f"{STREAMS}a_feed_finds_what_redis_lost_of_an_order_that_has_rested_for_long",
    "replays": f"{STREAMS}a_feed_goes_on_where_the_client_was_cut_off",
    "dated-before": f"{STREAMS}what_was_dated_before_and_committed_after_is_sent_again",
    "reads-on": f"{STREAMS}a_feed_goes_on_where_the_client_was_cut_off",
    "drafts-have-exits": f"{API}a_draft_with_exits_is_refused_as_the_order_would_be",
    "replays-its-own": f"{STREAMS}a_feed_goes_on_where_the_client_was_cut_off",
}
