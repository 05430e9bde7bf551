-- Permits are read together with the tokens, so they share their version: see 0001_token_version.sql.
CREATE TRIGGER routing_permit_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON routing_permit
    FOR EACH STATEMENT EXECUTE FUNCTION routing_token_changed();
