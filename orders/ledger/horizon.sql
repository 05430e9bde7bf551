-- Until when every event is either committed, or will never be: no transaction that writes an event of before is under way.
-- An event's time is the beginning of its transaction. One without an id has written nothing; a minute old it only reads.
-- Takes:   grace_s float: from a statement's arrival to its showing here, at the worst.
-- Returns: (until, now).
-- Locks:   nothing.
SELECT least(now(), (
        SELECT min(xact_start) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            AND (backend_xid IS NOT NULL OR xact_start > now() - interval '1 minute')
    )) - %(grace_s)s * interval '1 second', now()
