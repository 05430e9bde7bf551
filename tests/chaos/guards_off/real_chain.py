"""Guards of the real-chain code, each as edits of its module's text: (module, what stands there, what stands there without it).

`TESTS` names for each a test that has to fail without it.
"""

SAFETY, GATE, STATUSES = "routing.solana.safety", "routing.solana.gate", "routing.solana.statuses"
BUILDER, NODES, TRANSACTION = "routing.solana.builder", "routing.solana.nodes", "routing.solana.transaction"
Edit = tuple[str, str, str]

EDITS: dict[str, list[Edit]] = {
    "intent-before-sending": [("orders.execution.executor", "if ours:", "if True:")],
    # Two equal orders of a block are two transactions.
    "memo": [
        (TRANSACTION, "Instruction(MEMO, text.encode(), [])", 'Instruction(MEMO, b"", [])'),
        (SAFETY, "    _memo([call", "    [] and _memo([call"),
        (BUILDER, "DISTINCT = 1_000", "DISTINCT = 1"),
    ],
    # What is called expired has not landed and never will.
    "seen-by-a-node-that-caught-up": [
        (STATUSES, "caught_up = answer.context.slot >= epoch.absolute_slot", "caught_up = True")
    ],
    "height-not-slot": [(STATUSES, "epoch.block_height > swap.validity", "epoch.absolute_slot > swap.validity")],
    "past-the-last-block": [(STATUSES, "epoch.block_height > swap.validity", "epoch.block_height >= swap.validity")],
    "final-height": [
        (STATUSES, '"getEpochInfo", {"commitment": FINAL}', '"getEpochInfo", {"commitment": "processed"}')
    ],
    "history": [(STATUSES, '{"searchTransactionHistory": True}', '{"searchTransactionHistory": False}')],
    "not-stored-is-pending": [
        (
            STATUSES,
            "if found is None:\n            return SwapStatus(swap.signature, Fate.PENDING)",
            "if found is None:\n            return SwapStatus(swap.signature, Fate.REVERTED)",
        )
    ],
    "final-before-told": [
        (STATUSES, "if seen.confirmation_status != FINAL:", "if seen.confirmation_status is None:"),
        (STATUSES, '"commitment": FINAL, "max', '"commitment": "processed", "max'),
    ],
    "calls-of-256": [(STATUSES, "MAX_SIGNATURES = 256", "MAX_SIGNATURES = 10_000")],
    "resend": [("routing.solana.chain", "if not watch.fate.done() and left > self._resend_s:", "if False:")],
    "no-answer-is-a-refusal": [
        (
            "routing.solana.chain",
            "raise SubmitUnknown(str(error), venue=swap.venue) from error",
            "raise SwapRefused from error",
        ),
        (
            "routing.solana.chain",
            "import SubmitUnknown, VenueUnavailable",
            "import SubmitUnknown, SwapRefused, VenueUnavailable",
        ),
    ],
    # The block hash.
    "new-block-hash": [(BUILDER, "if simulated.err == BLOCKHASH_NOT_FOUND and not last:", "if False:")],
    "one-commitment": [(BUILDER, '"commitment": COMMITMENT,', '"commitment": "finalized",')],
    # What is signed.
    "allow-list": [
        (SAFETY, 'raise UnsafeTransaction(f"it calls', 'f"no {call}"; continue; raise UnsafeTransaction(f"it calls')
    ],
    "one-signer": [
        (SAFETY, "if header.num_required_signatures != 1 or message.account_keys[0] != asked.wallet:", "if False:")
    ],
    "least-out": [(SAFETY, "if least < asked.least:", "if False:")],
    "amount": [(SAFETY, "if amount > asked.amount:", "if False:")],
    "own-accounts": [
        ("routing.solana.programs", "if own == [self.source, self.destination]:", "if own:"),
    ],
    "two-tokens": [(SAFETY, "(sold.mint, bought.mint) != (asked.sold, asked.bought)", "False")],
    "one-swap": [(SAFETY, "if len(swaps) != (len(asked.pools) or 1):", "if not swaps:")],
    "order-s-memo": [(SAFETY, "!= [(asked.memo.encode(), ())]:", "== 0:")],
    "one-budget": [(SAFETY, "if len(budget) != 2 or named.keys() != {SET_LIMIT, SET_PRICE} or", "if")],
    "fee-cap": [(SAFETY, "if inspected.fee_lamports > asked.max_fee_lamports:", "if False:")],
    "size": [(SAFETY, "if size > MAX_BYTES:", "if False:")],
    "accounts-made": [(SAFETY, "    if not own:\n", "    if False:\n")],
    "wrapped-into-its-own": [(SAFETY, "call.accounts != own", "False")],
    "one-transaction": [(SAFETY, "if len(transactions) != 1:", "if not transactions:")],
    "known-layout": [
        (
            "routing.solana.programs",
            "or data[:8] not in (self._discriminator, self._exact_out) or len(accounts) != 13",
            "or len(accounts) < 13",
        )
    ],
    "no-share-of-jupiter": [("routing.solana.programs", "if any(shares) or slippage", "if slippage")],
    "jupiter-pays-the-wallet": [("routing.solana.programs", " or paid_elsewhere or", " or")],
    "least-out-is-ours": [
        (
            "routing.solana.venues.http",
            "data = program.bounded(bytes(proposed.data), asked.least)",
            "data = bytes(proposed.data)",
        )
    ],
    "no-referral": [("routing.solana.programs", "or accounts[11] != self.address", "")],
    "tables": [(TRANSACTION, "bytes(n + more if n >= static else n for n in each.accounts)", "bytes(each.accounts)")],
    # What the called programs would make of it.
    "spent": [(GATE, "if spent > asked.amount:", "if False:")],
    "received": [(GATE, "if received < asked.least:", "if False:")],
    "nothing-else-leaves": [
        (GATE, "if lost := [", "if False and ["),
        (GATE, "if any(keys[place] not in own and", "if any(False and"),
    ],
    "accounts-are-kept": [(GATE, "if before.keys() - after.keys():", "if False:")],
    "lamports": [(GATE, "if cost > allowed:", "if False:")],
    "no-delegate": [(GATE, "any(data[DELEGATE_AT : DELEGATE_AT + 4]) or", "")],
    "no-closer": [(GATE, "or any(data[CLOSER_AT : CLOSER_AT + 4])", "")],
    "owner": [(GATE, "or data[32:64] != bytes(wallet)", "")],
    "wallet-is-nobody-s": [(GATE, "if own.owner != str(SYSTEM) or own.data[0]:", "if False:")],
    "balances-are-told": [(GATE, "if None in sides or None in tokens or", "if")],
    "simulation": [(BUILDER, "if simulated.err is not None:", "if False:")],
    # Who fails, by which number.
    "program-decides": [
        (
            "routing.solana.failures",
            "CODES.get(program, {}).get(number)",
            "{k: v for each in CODES.values() for k, v in each.items()}.get(number)",
        )
    ],
    # Which nodes are used.
    "genesis": [(NODES, "found != self._genesis_hash:", "False:")],
    "node-with-history": [(NODES, "if error.code == NO_HISTORY:", "if False:")],
    "send-to-all": [
        (
            NODES,
            "for state in self.states]\n        last: Exception",
            "for state in self.states[:1]]\n        last: Exception",
        )
    ],
    "behind": [(NODES, "behind = best - state.slot > MAX_BEHIND_SLOTS and", "behind = False and")],
    # Whose orders are executed.
    "mode": [
        (
            "orders.ledger.statements",
            'query("claim")',
            'query("claim").replace("AND COALESCE(mode, \'mock\') = %(mode)s", "")',
        )
    ],
}
HOSTILE, FATE, BUILDING = (f"tests/solana/test_{name}.py::test_" for name in ("hostile", "fate", "building"))
EFFECTS = (
    *("spent", "received", "nothing-else-leaves", "accounts-are-kept", "lamports"),
    *("no-delegate", "no-closer", "owner", "wallet-is-nobody-s"),
)
TESTS: dict[str, str] = {
    "intent-before-sending": "tests/integration/test_resume.py::test_nothing_is_sent_before_it_is_written_down",
    "memo": f"{FATE}two_equal_orders_are_two_transactions_and_two_fills",
    "seen-by-a-node-that-caught-up": f"{FATE}a_node_that_is_behind_calls_nothing_expired",
    "height-not-slot": f"{FATE}the_block_after_the_last_one_proves_it_and_no_block_before",
    "past-the-last-block": f"{FATE}the_block_after_the_last_one_proves_it_and_no_block_before",
    "final-height": f"{FATE}expired_needs_a_final_height",
    "history": f"{FATE}what_the_recent_cache_forgot_is_found_in_the_history",
    "not-stored-is-pending": f"{FATE}it_is_pending_while_the_node_has_not_stored_it",
    "final-before-told": f"{FATE}landed_is_told_when_it_is_final_and_a_fork_takes_nothing_that_was_told",
    "calls-of-256": f"{FATE}many_are_asked_for_in_calls_of_256",
    "resend": f"{FATE}a_wait_sends_the_same_bytes_again",
    "no-answer-is-a-refusal": "tests/solana/test_nodes.py::test_no_answer_to_a_transaction_is_a_refusal",
    "new-block-hash": f"{BUILDING}a_cached_block_hash_that_is_too_old_is_replaced",
    "one-commitment": f"{BUILDING}block_hash_and_simulation_are_of_one_commitment",
    "allow-list": f"{HOSTILE}what_is_added_is_refused",
    "one-signer": f"{HOSTILE}a_foreign_signer_is_refused",
    "least-out": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "amount": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "own-accounts": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "two-tokens": f"{HOSTILE}a_swap_the_other_way_is_refused",
    "one-swap": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "order-s-memo": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "one-budget": f"{HOSTILE}what_is_added_is_refused",
    "fee-cap": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "size": f"{HOSTILE}what_is_other_than_asked_is_refused",
    "accounts-made": f"{HOSTILE}what_is_added_is_refused",
    "wrapped-into-its-own": f"{HOSTILE}sol_is_wrapped_only_where_it_is_sold_and_only_into_the_wallet_s_own_account",
    "one-transaction": f"{HOSTILE}several_transactions_are_refused",
    "known-layout": f"{HOSTILE}what_is_other_than_asked_is_refused",
    **dict.fromkeys(
        ("no-share-of-jupiter", "jupiter-pays-the-wallet"),
        "tests/solana/test_vendor_answers.py::test_a_route_of_jupiter_s_is_read_and_bounded",
    ),
    "least-out-is-ours": (
        "tests/solana/test_over_http.py::test_the_least_output_is_written_by_us_whatever_the_vendor_wrote"
    ),
    "no-referral": f"{HOSTILE}a_referral_takes_no_share",
    "tables": f"{HOSTILE}a_message_with_look_up_tables_is_stamped_without_a_shift",
    **dict.fromkeys(EFFECTS, f"{HOSTILE}an_effect_that_nobody_asked_for_is_refused"),
    "balances-are-told": f"{HOSTILE}a_node_that_hides_an_effect_is_not_trusted",
    "simulation": f"{BUILDING}what_would_fail_now_is_not_signed",
    "program-decides": f"{BUILDING}the_failing_program_decides_what_its_number_means",
    "genesis": "tests/solana/test_nodes.py::test_a_node_of_another_cluster_is_refused_in_one_line",
    "node-with-history": "tests/solana/test_nodes.py::test_a_node_without_history_is_refused_and_its_key_is_not_told",
    "send-to-all": "tests/solana/test_nodes.py::test_a_transaction_goes_to_every_node_and_the_first_answer_is_enough",
    "behind": "tests/solana/test_nodes.py::test_a_node_whose_slot_is_far_behind_the_others_is_not_read_from",
    "mode": "tests/integration/test_mode.py::test_an_executor_of_another_mode_never_has_the_order",
}
