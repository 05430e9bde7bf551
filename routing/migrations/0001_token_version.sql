-- The version of routing_token: one row, changed in the transaction that changes the table, so that whoever sees the new
-- version sees the change. Its lock makes such transactions wait for each other.
CREATE TABLE routing_tokenversion (one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL);
INSERT INTO routing_tokenversion (version) VALUES (1);

CREATE FUNCTION routing_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE routing_tokenversion SET version = version + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER routing_token_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON routing_token
    FOR EACH STATEMENT EXECUTE FUNCTION routing_token_changed();
