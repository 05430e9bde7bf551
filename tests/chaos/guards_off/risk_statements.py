"""Guards of risk, as edits of the statements that hold them: (statement, what stands there, what stands there without it).

`TESTS` names for each a test that has to fail without it.
"""

STATEMENTS: dict[str, list[tuple[str, str, str]]] = {
    # What is halted is not sent, whoever has it in hands.
    "no-intent-while-halted": [("record", "r.state = 'HALTED'", "false")],
    "no-claim-while-halted": [
        ("claim", "(1, 'TRADING_HALTED', NULL, NULL, r.state = 'HALTED')", "(1, '', NULL, NULL, false)")
    ],
    "halted-goes-on-waiting": [
        ("claim", "(r.state = 'HALTED' OR r.state = 'REDUCING' AND NOT (w.reduces OR w.exits))", "false")
    ],
    "reducing": [("claim", "r.state = 'REDUCING' AND NOT v.reduces", "false")],
    # Budgets: each order after the other, under the lock of their row; an order once; back if nothing landed.
    "budget-s-lock": [("claim", "ORDER BY b.account_id FOR UPDATE\n), walk", "ORDER BY b.account_id\n), walk")],
    "one-after-the-other": [("claim", "e.value::numeric + s.notional)", "e.value::numeric)")],
    "counted-once": [("claim", "AND NOT EXISTS (SELECT FROM risk_spend s WHERE s.order_id = v.id)", "")],
    "given-back": [
        ("record", "WHERE s.order_id = w.id AND (w.resting", "WHERE false AND s.order_id = w.id AND (w.resting")
    ],
    "of-today": [("claim", "CASE WHEN b.day = (now() AT TIME ZONE 'UTC')::date THEN b.spent ELSE 0 END)", "b.spent)")],
    "unpriced-is-refused": [("claim", "v.notional IS NULL\n", "false\n")],
    "loss": [("claim", "NOT v.reduces AND COALESCE(b.lost, 0) >= r.max_daily_loss", "false")],
    "loss-of-everybody": [
        (
            "claim",
            "JOIN rule r ON r.account_id = ANY(ARRAY[0, v.account_id])",
            "JOIN rule r ON r.account_id = v.account_id",
        )
    ],
    "loss-is-noted": [("note_losses", "lost = budget.lost", "lost = 0")],
    "unpriced-is-said": [("note_losses", "unpriced = budget.unpriced", "unpriced = NULL")],
    # A fold goes on after the fill that a checkpoint ends with; and it has every fill.
    "after-the-checkpoint": [("fills", "NOT %(newest)s AND (at, id) > (", "NOT %(newest)s AND (at, id) >= (")],
    "books": [("fills", "status = 'confirmed' AND", "status = 'confirmed' AND venue <> 'METEORA' AND")],
    "collar": [("claim", "(SELECT min(r.price_collar_bps) FROM", "(SELECT min(NULL::int) FROM")],
    "counted-under-a-lock": [("lock_rules", "FOR NO KEY UPDATE", "")],
}
RISK = "tests/integration/test_risk.py::test_"
LOSSES = "tests/integration/test_losses.py::test_"
TESTS: dict[str, str] = {
    "no-intent-while-halted": f"{RISK}no_intent_is_written_while_trading_is_halted",
    "no-claim-while-halted": f"{RISK}halted_leaves_what_waits_and_denies_the_rest",
    "halted-goes-on-waiting": f"{RISK}halted_leaves_what_waits_and_denies_the_rest",
    "reducing": f"{RISK}reducing_lets_sales_pass",
    "budget-s-lock": f"{RISK}three_sessions_race_for_a_budget_and_none_passes_it",
    "one-after-the-other": f"{RISK}what_is_too_much_leaves_the_rest_to_smaller_orders",
    "counted-once": f"{RISK}a_budget_is_given_back_when_nothing_landed",
    "given-back": f"{RISK}a_budget_is_given_back_when_nothing_landed",
    "of-today": f"{RISK}what_comes_back_after_midnight_is_not_todays",
    "unpriced-is-refused": f"{RISK}each_limit_denies_in_words",
    "loss": f"{RISK}each_limit_denies_in_words",
    "loss-of-everybody": f"{LOSSES}a_loss_of_all_together_stops_everybody",
    "loss-is-noted": f"{LOSSES}an_account_that_loses_too_much_stops_and_others_go_on",
    "unpriced-is-said": f"{LOSSES}what_nobody_can_price_is_no_loss_and_is_said",
    "after-the-checkpoint": "tests/integration/test_checkpoints.py::test_answers_from_checkpoints_are_those_of_all_fills",
    "collar": f"{RISK}the_collar_holds_where_an_order_is_routed",
    "counted-under-a-lock": f"{RISK}racing_acceptances_are_counted",
}
