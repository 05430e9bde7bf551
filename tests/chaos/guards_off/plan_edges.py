"""Guards of plans beyond the turn of their legs. `EDITS` are as those of `real_chain`; `TESTS` names for each a test that has to
fail without it.
"""

BRACKET, COMMANDS, DEAD_MAN = "orders.plans.bracket", "orders.plans.commands", "orders.recovery.dead_man"

EDITS: dict[str, list[tuple[str, str, str]]] = {
    "exit-has-a-price": [(COMMANDS, 'fields.get("at_bps", 0) >= WHOLE', "False")],
    "exit-keeps-its-high": [(BRACKET, "self._followed(exit.leg))", "None)")],
    "exit-is-no-more-than-is-left": [(BRACKET, "size = min(size, self._left)", "pass")],
    "switch-leaves-what-has-filled": [(DEAD_MAN, "covered is not None and plans", "plans")],
}
HERE = "tests/integration/test_plan_edges.py::test_"
TESTS: dict[str, str] = {
    "exit-has-a-price": f"{HERE}an_amendment_is_held_to_what_a_new_plan_is",
    "exit-keeps-its-high": f"{HERE}a_trailing_stop_that_failed_is_armed_again_at_the_high_it_had",
    "exit-is-no-more-than-is-left": "tests/integration/test_plan_steps.py"
    "::test_portions_are_amended_and_never_come_to_more_than_is_left",
    "switch-leaves-what-has-filled": f"{HERE}a_dead_mans_switch_leaves_a_bracket_whose_entry_has_just_filled",
}
