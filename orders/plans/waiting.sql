-- Locks the legs of plans that nobody executes, so that they can be cancelled and amended. Waits for nobody: whoever has one
-- locked may be waiting for its plan.
-- Takes:   ids uuid[] of plans.
-- Returns: (id) of each leg locked.
SELECT id FROM orders_order
WHERE plan_id = ANY(%(ids)s::uuid[]) AND status = 'pending'
ORDER BY id FOR UPDATE SKIP LOCKED
