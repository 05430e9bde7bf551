"""Guards that hold an engine back before it trades real money, and a sniper before it buys, as edits of their modules' text.

See `real_chain`, which has the same form.
"""

Edit = tuple[str, str, str]
CHANGES, STEPS, SIGNERS = "risk.changes", "orders.execution.steps", "wallets.keys.signers"
MINT, HOLDERS, ROUND_TRIP = (f"routing.solana.gates.{name}" for name in ("mint", "holders", "round_trip"))
POOL = "routing.solana.gates.pool"

EDITS: dict[str, list[Edit]] = {
    # A fresh engine on mainnet trades nothing before somebody has said how much.
    "first-halt": [(CHANGES, "rule.state, rule.state_by_staff = TradingState.HALTED.value, True", "pass")],
    "halted-once": [(CHANGES, "if Change.objects.filter(account_id=EVERYBODY, by=FIRST_START).exists():", "if False:")],
    "caps-before-trading": [
        (CHANGES, "if account_id == EVERYBODY and state != TradingState.HALTED and not capped(rule):", "if False:")
    ],
    "caps-stay": [
        (
            CHANGES,
            "if account_id == EVERYBODY and rule.state != TradingState.HALTED and not capped(limits):",
            "if False:",
        )
    ],
    "both-caps": [(CHANGES, 'CAPS = ("max_notional_per_order", "max_daily_spend")', 'CAPS = ("max_daily_spend",)')],
    # What belongs to one cluster or mode is not used in another.
    "no-public-localnet": [("routing.cluster", "if found in PUBLIC:", "if False:")],
    "key-of-one-cluster": [(SIGNERS, "if wallet.cluster != self._cluster():", "if False:")],
    "price-of-one-mode": [
        (
            "routing.price_hashes",
            'return fields["mode"] == mode if "mode" in fields else mode in UNMARKED',
            "return True",
        )
    ],
    "dispatch-of-one-mode": [
        ("orders.recovery.reconcile", "COALESCE(mode, 'mock') = %(mode)s", "%(mode)s::text IS NOT NULL")
    ],
    "wallets-on-paper": [
        ("routing.cluster", 'else f"{PAPER}{found}"[:MAX_NAME] if settings.PAPER else found', "else found")
    ],
    "mode-on-paper": [("routing.cluster", "if settings.PAPER else str(settings", "if False else str(settings")],
    "no-key-on-paper": [
        ("orders.execution.signing", 'raise SigningFailed("nothing is signed on paper")', "return bytes(64)")
    ],
    "least-out-on-paper": [("routing.solana.paper", "if paid < made.least:", "if False:")],
    "most-in-on-paper": [("routing.solana.paper", "if taken > made.amount:", "if False:")],
    "buried-on-paper": [("routing.solana.paper", "if not expired:", "if True:")],
    # What is not known is not bought, and not waited for without end.
    "never-on-unknown": [("routing.gates", "if Verdict.UNKNOWN in verdicts or not verdicts else", "if False else")],
    "no-failed-gate": [(STEPS, "if looked.verdict is Verdict.FAIL:", "if False:")],
    "gate-timeout": [(STEPS, "if order.gates_since is not None and", "if False and")],
    "own-gates": [(STEPS, "merged([order.gates, *self._defaults", "merged([*self._defaults")],
    "maker-s-powers": [
        (MINT, 'return Finding(gate, Verdict.FAIL, f"{Pubkey', 'return Finding(gate, Verdict.PASS, f"{Pubkey')
    ],
    "unknown-extension": [
        (MINT, 'return Finding(gate, Verdict.UNKNOWN, "an ext', 'return Finding(gate, Verdict.PASS, "an ext')
    ],
    "sale-is-tried": [(ROUND_TRIP, "if isinstance(detail, list) and detail[0] == len(programs) - 1:", "if False:")],
    "round-trip-s-loss": [(ROUND_TRIP, "if lost_bps > most_loss_bps:", "if False:")],
    "few-hands": [(HOLDERS, "if share > most_bps:", "if False:")],
    "pool-s-size": [(POOL, "if depth >= least:", "if True:")],
    "pool-s-age": [(POOL, "if open_for >= least:", "if True:")],
    "lp-burnt": [(POOL, "if share >= least_bps:", "if True:")],
}
PAPER = "tests/integration/test_paper.py::test_"
FIRST, GATES, SNIPERS = (
    f"tests/{name}.py::test_"
    for name in ("integration/test_first_mainnet_start", "solana/test_gates", "integration/test_sniper_gates")
)
KINDS = f"{GATES}each_token_of_the_factory_by_the_engine_s_gates"
TESTS: dict[str, str] = {
    "first-halt": f"{FIRST}the_first_start_halts_and_no_later_one",
    "halted-once": f"{FIRST}the_first_start_halts_and_no_later_one",
    "caps-before-trading": f"{FIRST}nothing_trades_before_both_caps_are_set",
    "caps-stay": f"{FIRST}caps_stay_while_anybody_trades",
    "both-caps": f"{FIRST}nothing_trades_before_both_caps_are_set",
    "no-public-localnet": "tests/unit/test_cluster.py::test_a_public_cluster_is_no_localnet",
    "key-of-one-cluster": (
        "tests/integration/test_wallets.py::test_a_key_is_imported_once_and_signs_on_its_own_cluster_only"
    ),
    "price-of-one-mode": f"{FIRST}a_price_of_another_mode_is_not_seen",
    "dispatch-of-one-mode": "tests/integration/test_mode.py::test_the_reconciler_dispatches_orders_of_its_mode",
    "wallets-on-paper": f"{PAPER}a_wallet_on_paper_has_no_key_and_signs_on_no_cluster",
    "mode-on-paper": f"{PAPER}the_mode_says_that_it_is_on_paper",
    "no-key-on-paper": f"{PAPER}nothing_is_signed_whatever_wallet_is_named",
    "least-out-on-paper": f"{PAPER}a_price_that_moved_reverts_and_pays_its_fee_only",
    "most-in-on-paper": f"{PAPER}an_exact_output_takes_what_it_costs_then_and_no_more_than_the_most",
    "buried-on-paper": f"{PAPER}expired_is_a_promise",
    "never-on-unknown": f"{SNIPERS}nothing_is_bought_on_unknown",
    "no-failed-gate": f"{SNIPERS}what_failed_ends_the_order",
    "gate-timeout": f"{SNIPERS}unknown_for_too_long_ends_the_order",
    "own-gates": f"{SNIPERS}what_an_order_asks_for_itself_is_looked_at_whoever_verified_the_token",
    "maker-s-powers": KINDS,
    "unknown-extension": f"{GATES}what_is_switched_off_is_not_looked_at_but_the_unknown_is",
    "sale-is-tried": KINDS,
    "round-trip-s-loss": f"{GATES}what_a_round_trip_costs_is_held_against_what_it_may",
    "few-hands": f"{GATES}each_token_by_its_holders_alone",
    "pool-s-size": f"{GATES}a_pool_that_is_too_small_is_waited_for",
    "pool-s-age": f"{GATES}a_pool_that_is_too_young_is_waited_for",
    "lp-burnt": f"{GATES}liquidity_that_may_be_taken_out_is_waited_for",
}
