-- Locks the rules that limit how many orders there may be, so that nobody else counts and accepts meanwhile.
-- Takes:   accounts bigint[], everybody's 0 among them.
-- Returns: nothing of interest. What there is to count reads `count_orders.sql`, a statement later: one that waits for a lock has
--          read the table before it waited.
-- Locks:   the rules, in the order of their accounts, until the transaction ends.
SELECT account_id FROM risk_rule
WHERE account_id = ANY(%(accounts)s::bigint[]) AND num_nonnulls(max_open_orders, max_orders_per_minute) > 0
ORDER BY account_id FOR NO KEY UPDATE
