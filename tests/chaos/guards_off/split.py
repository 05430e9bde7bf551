"""Guards of splits. `EDITS` are as those of `real_chain`; `TESTS` names for each a test that has to fail without it."""

STEPS, ROUTER, SAFETY = "orders.execution.steps", "routing.router", "routing.solana.safety"
VENUE = "routing.solana.venues.split"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    # What is signed.
    "split-pools": [(SAFETY, "if asked.pools and sorted(", "if False and sorted(")],
    "split-least-in-sum": [(SAFETY, "sum(swap.least for swap in swaps)", "swaps[0].least * len(swaps)")],
    "split-amount-in-sum": [(SAFETY, "sum(swap.amount for swap in swaps)", "swaps[-1].amount * len(swaps)")],
    "split-least-whole": [
        (VENUE, "found.append(least - sum(found))", "found.append(least * last // sum(pays))"),
    ],
    # When it is chosen.
    "split-fee": [
        ("routing.selection", "EXACT.subtract(quote.amount_out, quote.added_fee)", "quote.amount_out"),
    ],
    "split-still-pays": [(VENUE, "if together - alone <= costs:", "if False:")],
    "split-at-rest": [(ROUTER, "if not able or any(self.breakers", "if not able or False and any(self.breakers")],
    "split-unasked": [(ROUTER, "or not self._splits or", "or")],
    "split-of-snipers": [(STEPS, "split and work.order.type != OrderType.SNIPER", "split")],
    # What is taken in its place.
    "split-instead": [
        (STEPS, "if (back := unacceptable(work.order, selection)) is not None:", "if (back := None) is not None:")
    ],
    "split-that-fails": [(VENUE, "except (TooLarge, SimulationFailed) as", "except TooLarge as")],
    "split-instead-heard": [(STEPS, "await self._heard(work, left, split=False)", "left")],
    "split-in-time": [(ROUTER, "asyncio.timeout_at(ends)", "asyncio.timeout(self._deadline_s)")],
}
CHAIN, HERE, HOSTILE = (
    f"tests/{file}.py::test_" for file in ("solana/test_split", "integration/test_split", "solana/test_hostile")
)
TESTS: dict[str, str] = {
    **dict.fromkeys(
        ("split-pools", "split-least-in-sum", "split-amount-in-sum"),
        f"{HOSTILE}a_part_of_a_split_that_is_other_than_asked_is_refused",
    ),
    "split-least-whole": f"{CHAIN}the_least_is_divided_without_a_unit_lost",
    "split-fee": f"{CHAIN}little_is_not_divided_for_more_than_it_brings",
    "split-still-pays": f"{CHAIN}what_does_not_pay_for_itself_any_more_is_refused",
    "split-at-rest": f"{CHAIN}a_venue_that_rests_has_no_part",
    "split-unasked": f"{CHAIN}it_is_switched_off_unless_it_is_asked_for",
    "split-of-snipers": f"{HERE}a_sniper_buys_in_one_pool",
    "split-that-fails": f"{HERE}a_split_that_would_fail_is_no_reason_to_trade_nowhere",
    "split-instead-heard": f"{HERE}no_cached_price_ends_an_order_in_the_place_of_a_split",
    "split-in-time": "tests/unit/test_routing_router.py::test_a_division_has_what_the_venues_leave_of_the_deadline",
    "split-instead": f"{HERE}the_venue_alone_is_held_to_what_the_order_asks",
}
