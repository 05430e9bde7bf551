"""Guards of exact out: what is sold for it at most. `EDITS` are as those of `real_chain`, `STATEMENTS` as those of
`risk_statements`; `TESTS` names for each a test that has to fail without it.
"""

STEPS, SELECTION, SAFETY = "orders.execution.steps", "routing.selection", "routing.solana.safety"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "most-in": [(STEPS, "most=min(numbers, default=None)", "most=None")],
    "most-in-is-enforced": [(STEPS, "if best.amount_in > work.amount:", "if False:")],
    "most-in-by-slippage": [
        (SELECTION, "ceiling = quote.amount_in * (BPS + slippage_bps) / BPS", "ceiling = quote.amount_in * 2")
    ],
    "most-in-by-limit": [(SELECTION, "ceiling = min(ceiling, quote.amount_out * asked_price)", "pass")],
    "most-in-of-a-cached-quote": [(SELECTION, "return min(most, max_in(pair, offer, slippage_bps))", "return most")],
    "exact-where-asked": [(SAFETY, "if swap.exact_out != asked.exact_out:", "if False:")],
}
STATEMENTS: dict[str, list[tuple[str, str, str]]] = {
    "most-in-as-counted": [("claim", "(SELECT LEAST(v.notional,", "(SELECT 10 * LEAST(v.notional,")],
    "most-in-as-counted-first": [
        ("claim", "LEAST(v.notional, (SELECT s.amount FROM risk_spend s WHERE s.order_id = v.id))", "v.notional")
    ],
}
HERE = "tests/integration/test_exact_out.py::test_"
TESTS: dict[str, str] = {
    "most-in": f"{HERE}more_than_amount_in_max_is_never_sold",
    "most-in-is-enforced": f"{HERE}more_than_amount_in_max_is_never_sold",
    "most-in-by-slippage": f"{HERE}a_market_that_moves_before_the_landing_reverts_it",
    "most-in-by-limit": f"{HERE}a_limit_is_what_it_costs_at_most",
    "most-in-of-a-cached-quote": "tests/solana/test_exact_out.py::test_a_cached_quote_is_held_against_the_pool",
    "exact-where-asked": "tests/solana/test_hostile.py::test_what_is_other_than_asked_is_refused",
    "most-in-as-counted": f"{HERE}what_is_counted_bounds_what_is_sold",
    "most-in-as-counted-first": f"{HERE}an_attempt_that_is_repeated_sells_no_more_than_was_counted_first",
}
