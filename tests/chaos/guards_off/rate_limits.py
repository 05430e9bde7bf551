"""Guards that keep to what servers and nodes allow, as edits of their modules' text, in the form of `real_chain`."""

ALLOWANCE, API, PRICES = (f"routing.solana.vendors.{name}" for name in ("allowance", "api", "prices"))
RPC, NODES, HTTP = "routing.solana.rpc", "routing.solana.nodes", "routing.solana.venues.http"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    # One allowance a server.
    "no-more-than-allowed": [
        (ALLOWANCE, '"allow.lua").read_text()', '"allow.lua").read_text().replace("wait > most", "false")')
    ],
    "no-more-without-redis": [(ALLOWANCE, "if turn_s > wait_s:", "if False:")],
    "shared-by-processes": [
        (ALLOWANCE, "if self._now() >= self._silent_until:\n            times", "if False:\n            times")
    ],
    "a-place-in-the-future": [
        (
            ALLOWANCE,
            '"allow.lua").read_text()',
            '"allow.lua").read_text().replace("redis.call(\'SET\'", "local _ = wait == 0 and redis.call(\'SET\'")',
        )
    ],
    "a-part-is-left": [(ALLOWANCE, "reserve_s = 0.0 if urgent else self._burst_s / 2", "reserve_s = 0.0")],
    "prices-come-last": [(PRICES, "urgent=False", "urgent=True")],
    # What the server says itself.
    "retry-after": [(API, "REST_S if retry_after is None else retry_after", "REST_S")],
    "window-s-end": [(API, "if left is not None and left <= 0 and reset is not None:", "if False:")],
    "rest-is-shared": [(ALLOWANCE, "if self._per_s and seconds and self._now() >= self._silent_until:", "if False:")],
    "no-breaker": [("routing.breaker", "ExactOutUnsupported, VenueRateLimited)", "ExactOutUnsupported)")],
    # Few requests.
    "one-request-for-all": [(PRICES, "MAX_IDS = 50", "MAX_IDS = 1")],
    "one-quote-serves-both": [
        (HTTP, "if offer is None:\n            offer = await", "if True:\n            offer = await")
    ],
    # Nodes.
    "node-s-retry-after": [(RPC, "if now < self._rests_until:", "if False:")],
    "asked-again-when-allowed": [(NODES, "MAX_REFUSALS = 5", "MAX_REFUSALS = 1")],
    "again-in-turn": [(NODES, "        if again:\n", "        if False:\n")],
    "read-before-sent-again": [(NODES, "while self._waiting or not", "while not")],
    "limited-is-well": [(NODES, "last if isinstance(last, TooMany) else error", "error")],
}
ALLOWED, SAID, ANSWERS, OVER_HTTP = (
    f"tests/{name}.py::test_"
    for name in (
        "integration/test_allowance",
        "solana/test_nodes",
        "solana/test_vendor_answers",
        "solana/test_over_http",
    )
)
TESTS: dict[str, str] = {
    "no-more-than-allowed": f"{ALLOWED}no_more_is_asked_than_is_allowed",
    "no-more-without-redis": f"{ALLOWED}no_more_is_asked_than_is_allowed",
    "shared-by-processes": f"{ALLOWED}processes_share_it",
    "a-place-in-the-future": f"{ALLOWED}who_executes_goes_before_who_polls",
    "a-part-is-left": f"{ALLOWED}a_poll_leaves_a_part_to_who_executes",
    "prices-come-last": f"{OVER_HTTP}prices_are_asked_for_with_what_executing_leaves_over",
    "retry-after": f"{ANSWERS}a_refusal_for_too_many_requests_is_heeded",
    "window-s-end": f"{ANSWERS}the_window_s_end_is_heeded_before_the_server_refuses",
    "rest-is-shared": f"{ALLOWED}a_server_that_wants_rest_has_it_from_all",
    "no-breaker": f"{ANSWERS}a_refusal_for_too_many_requests_is_heeded",
    "one-request-for-all": f"{OVER_HTTP}one_request_prices_all_pairs_of_a_poll_both_ways",
    "one-quote-serves-both": f"{ANSWERS}a_quote_goes_back_to_the_letter_with_fields_that_nobody_knows",
    "node-s-retry-after": f"{SAID}a_node_that_refuses_for_too_many_requests_is_left_alone_for_as_long_as_it_says",
    "asked-again-when-allowed": f"{SAID}what_every_node_refuses_is_asked_again_when_they_allow_it",
    "again-in-turn": f"{SAID}a_transaction_is_sent_at_once_and_sent_again_only_in_turn",
    "read-before-sent-again": f"{SAID}what_is_read_does_not_wait_behind_what_is_sent_again",
    "limited-is-well": f"{SAID}a_node_that_allows_too_few_is_waited_for_while_the_other_one_is_away",
}
