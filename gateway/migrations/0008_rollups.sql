-- Calls that are not in gateway_usagesum yet. A row comes with its record in one transaction and goes with the
-- transaction that adds the record to the sums: every snapshot finds each call in exactly one of the two places,
-- whatever order calls end and transactions commit in. It says whose the call is, so that a page need not look at
-- records of others. No index: it is short, and read whole.
CREATE TABLE gateway_uncounted (
    call_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    group_id uuid NOT NULL
);
-- Whatever comes is taken out again within seconds: vacuum by number, not by share.
ALTER TABLE gateway_uncounted SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0);
-- The sums of now are updated again and again, and no index has what changes: room for the new version in its page.
ALTER TABLE gateway_usagesum SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- One for each statement: a batch of calls costs one.
CREATE FUNCTION gateway_note_uncounted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO gateway_uncounted (call_id, organization_id, group_id)
    SELECT id, organization_id, group_id FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_callrecord_uncounted AFTER INSERT ON gateway_callrecord
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION gateway_note_uncounted();

-- The trigger's lock has waited for every transaction that wrote records, so these are all that came before it. They are
-- counted in slices by the job that counts new ones.
INSERT INTO gateway_uncounted (call_id, organization_id, group_id)
SELECT id, organization_id, group_id FROM gateway_callrecord;
