-- A key has two texts while it rotates: what is cached of either is forgotten when the row changes, and what was cached
-- of a text that the row no longer has is forgotten too.
CREATE OR REPLACE FUNCTION accounts_notify_key() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text;
BEGIN
    IF TG_TABLE_NAME = 'accounts_apikey' THEN
        FOR changed IN
            SELECT DISTINCT id FROM unnest(ARRAY[NEW.public_id, OLD.public_id, NEW.previous_public_id,
                                                 OLD.previous_public_id]) AS of_row (id)
            WHERE id IS NOT NULL
        LOOP
            PERFORM pg_notify('tollgate_keys', changed);
        END LOOP;
    ELSE
        PERFORM pg_notify('tollgate_keys', '*');
    END IF;
    RETURN NULL;
END $$;
