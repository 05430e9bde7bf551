"""Guards of an account's stream and of drafts, as edits of their modules' text, in the form of `real_chain`."""

FEED, REPLAY = "orders.streams.feed", "orders.streams.replay"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "looked-at-by-the-clock": [(FEED, "time.monotonic() - self._looked >= REREAD_S", "not socket.inbox")],
    "knows-what-rests": [(FEED, "open_seqs, self._account_id, MAX_OPEN", "open_seqs, self._account_id, 0")],
    "replays": [(FEED, "self._snapshot() if self._since is None else self._replay(self._since)", "self._snapshot()")],
    "dated-before": [(REPLAY, "MARGIN_S = 20", "MARGIN_S = 0")],
    "drafts-have-exits": [("orders.http.preview", "None if order.exits is None else", "None if True else")],
}
STATEMENTS: dict[str, list[tuple[str, str, str]]] = {
    "replays-its-own": [("changed", "account_id = %(account)s", "%(account)s = %(account)s")],
}
STREAMS, API = "tests/integration/test_streams.py::test_", "tests/integration/test_api_for_bots.py::test_"
TESTS: dict[str, str] = {
    "looked-at-by-the-clock": f"{STREAMS}a_feed_that_is_never_quiet_finds_what_redis_lost",
    "knows-what-rests": f"{STREAMS}a_feed_finds_what_redis_lost_of_an_order_that_has_rested_for_long",
    "replays": f"{STREAMS}a_feed_goes_on_where_the_client_was_cut_off",
    "dated-before": f"{STREAMS}what_was_dated_before_and_committed_after_is_sent_again",
    "drafts-have-exits": f"{API}a_draft_with_exits_is_refused_as_the_order_would_be",
    "replays-its-own": f"{STREAMS}a_feed_goes_on_where_the_client_was_cut_off",
}
