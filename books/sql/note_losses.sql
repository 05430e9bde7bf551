-- Notes what accounts, and everybody together (account 0), have lost on a day, for the statement that claims and for people.
-- Takes:   day date (UTC): nothing is written once it has passed. Arrays of one length: account bigint[], lost numeric[], and
--          unpriced text[] (JSON): the mints of quote tokens in which something was realised that nobody knows the worth of.
-- Returns: nothing.
-- Locks:   the budgets that change, in the order of their accounts.
WITH given AS (
    SELECT g.account, g.lost,
        CASE WHEN g.unpriced <> '[]' THEN ARRAY(SELECT jsonb_array_elements_text(g.unpriced::jsonb))::varchar[] END AS unpriced
    FROM unnest(%(account)s::bigint[], %(lost)s::numeric[], %(unpriced)s::text[]) AS g(account, lost, unpriced)
    WHERE %(day)s::date = (now() AT TIME ZONE 'UTC')::date
), budget AS MATERIALIZED (
    SELECT b.account_id, g.lost, g.unpriced FROM risk_budget b JOIN given g ON g.account = b.account_id
    WHERE CASE WHEN b.day = %(day)s THEN b.lost <> g.lost OR b.unpriced IS DISTINCT FROM g.unpriced
        ELSE g.lost <> 0 OR g.unpriced IS NOT NULL END
    ORDER BY b.account_id FOR UPDATE OF b
)
UPDATE risk_budget b SET day = %(day)s, lost = budget.lost, unpriced = budget.unpriced,
    spent = CASE WHEN b.day = %(day)s THEN b.spent ELSE 0 END
FROM budget WHERE b.account_id = budget.account_id
