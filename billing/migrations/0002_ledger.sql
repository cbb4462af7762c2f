-- The rules of money that no program can go round. billing/README.md explains them.

-- 1. Every organization and every group has its accounts from its first moment.
CREATE FUNCTION billing_open_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'accounts_organization' THEN
        INSERT INTO billing_account (kind, organization_id, balance_nanos, held_nanos, credit_line_nanos)
        SELECT kind, NEW.id, 0, 0, 0
        FROM unnest(ARRAY['deposits', 'revenue', 'promotions', 'writeoffs', 'pool']) AS kind;
    ELSE
        INSERT INTO billing_account (kind, organization_id, group_id, balance_nanos, held_nanos, credit_line_nanos)
        VALUES ('wallet', NEW.organization_id, NEW.id, 0, 0, 0);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER billing_open_accounts AFTER INSERT ON accounts_organization
    FOR EACH ROW EXECUTE FUNCTION billing_open_accounts();
CREATE TRIGGER billing_open_accounts AFTER INSERT ON accounts_group
    FOR EACH ROW EXECUTE FUNCTION billing_open_accounts();

-- 2. What is written in the ledger and in the price book stays as it is; a correction is a new row.
CREATE FUNCTION billing_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is immutable: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER billing_transfer_immutable BEFORE UPDATE OR DELETE ON billing_transfer
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_transfer_kept BEFORE TRUNCATE ON billing_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_price_immutable BEFORE UPDATE OR DELETE ON billing_price
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_price_kept BEFORE TRUNCATE ON billing_price
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_pricerate_immutable BEFORE UPDATE OR DELETE ON billing_pricerate
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_pricerate_kept BEFORE TRUNCATE ON billing_pricerate
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_hold_resolves_once BEFORE UPDATE ON billing_hold
    FOR EACH ROW WHEN (OLD.state <> 'open' OR NEW.amount_nanos <> OLD.amount_nanos OR NEW.account_id <> OLD.account_id
          OR NEW.id <> OLD.id OR NEW.owner_id <> OLD.owner_id OR NEW.created_at <> OLD.created_at)
    EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_account_same BEFORE UPDATE ON billing_account
    FOR EACH ROW WHEN ((NEW.id, NEW.kind, NEW.organization_id, NEW.group_id)
          IS DISTINCT FROM (OLD.id, OLD.kind, OLD.organization_id, OLD.group_id))
    EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_account_stays BEFORE DELETE ON billing_account
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_account_kept BEFORE TRUNCATE ON billing_account
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_hold_stays BEFORE DELETE ON billing_hold
    FOR EACH ROW EXECUTE FUNCTION billing_refuse();
CREATE TRIGGER billing_hold_kept BEFORE TRUNCATE ON billing_hold
    FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse();

-- Rates can be added to a price only in the transaction that made it, so that a price in force never changes.
CREATE FUNCTION billing_refuse_late_rate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM billing_price WHERE id = NEW.price_id AND created_at = transaction_timestamp()) THEN
        RAISE EXCEPTION 'price % is complete: no rate can be added' , NEW.price_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_pricerate_with_its_price BEFORE INSERT ON billing_pricerate
    FOR EACH ROW EXECUTE FUNCTION billing_refuse_late_rate();

-- 3. Account rows are the hot ones: room on the page keeps their updates off the indexes.
ALTER TABLE billing_account SET (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);
ALTER TABLE billing_hold SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- 4. One batch of money operations of one gateway process, in the caller's transaction.
--
-- Settlements (s_*) come first, so that what they free can be held again in the same batch. A settlement of amount 0
-- releases. One above its hold takes what is available on top, and the rest is booked as a write-off. A settlement
-- of a hold that is already resolved changes nothing (s_taken -1), so a batch whose commit was in doubt can be sent
-- again. A release of a hold that was never placed leaves a resolved row: should the lost batch that carried the
-- hold arrive after all, its insert fails as a whole.
--
-- Holds (h_*) are admitted in order, each only if it fits: up to its amount, down to its floor; h_granted 0 refuses.
--
-- Accounts are locked in the order of their ids, here and in billing/ledger.py, or two batches could deadlock.
CREATE FUNCTION billing_apply(
    p_owner bigint,
    s_ids uuid[], s_accounts bigint[], s_amounts bigint[],
    h_ids uuid[], h_accounts bigint[], h_amounts bigint[], h_floors bigint[], h_memos text[],
    OUT s_taken bigint[], OUT s_written_off bigint[], OUT h_granted bigint[], OUT h_available bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    a_ids bigint[]; a_available bigint[]; a_revenue bigint[]; a_writeoffs bigint[];
    a_balance bigint[]; a_held bigint[];
    r_order int[]; r_held bigint[];
    t_ids uuid[] := '{}'; t_kinds text[] := '{}'; t_debits bigint[] := '{}'; t_credits bigint[] := '{}';
    t_amounts bigint[] := '{}'; t_calls uuid[] := '{}';
    n_settle int := coalesce(cardinality(s_ids), 0);
    n_hold int := coalesce(cardinality(h_ids), 0);
    i int; j int; k int; held bigint; charge bigint; taken bigint; granted bigint;
BEGIN
    -- least() passes over NULL, so an array that is too short would take all there is.
    IF n_settle <> coalesce(cardinality(s_accounts), 0) OR n_settle <> coalesce(cardinality(s_amounts), 0)
       OR n_hold <> coalesce(cardinality(h_accounts), 0) OR n_hold <> coalesce(cardinality(h_amounts), 0)
       OR n_hold <> coalesce(cardinality(h_floors), 0) OR n_hold <> coalesce(cardinality(h_memos), 0)
       OR array_position(s_amounts, NULL) IS NOT NULL OR array_position(h_amounts, NULL) IS NOT NULL
       OR 0 > ANY (s_amounts) THEN
        RAISE EXCEPTION 'a batch with unequal arrays, or an amount that is negative or missing'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    WITH wallets AS (
        SELECT w.id, w.organization_id, w.id = ANY(s_accounts) AS settles
        FROM billing_account w WHERE w.id = ANY(s_accounts || h_accounts) AND w.kind = 'wallet'
    ), touched AS (
        SELECT id FROM wallets
        UNION ALL
        SELECT p.id FROM billing_account p
        WHERE p.kind IN ('revenue', 'writeoffs')
          AND p.organization_id IN (SELECT organization_id FROM wallets WHERE settles)
    ), locked AS (
        SELECT a.id, a.kind, a.organization_id, a.balance_nanos - a.held_nanos + a.credit_line_nanos AS available
        FROM billing_account a WHERE a.id IN (SELECT id FROM touched)
        ORDER BY a.id FOR NO KEY UPDATE
    )
    SELECT array_agg(l.id ORDER BY l.id), array_agg(l.available ORDER BY l.id),
           array_agg(r.id ORDER BY l.id), array_agg(o.id ORDER BY l.id)
    INTO a_ids, a_available, a_revenue, a_writeoffs
    FROM locked l
    LEFT JOIN locked r ON r.organization_id = l.organization_id AND r.kind = 'revenue'
    LEFT JOIN locked o ON o.organization_id = l.organization_id AND o.kind = 'writeoffs';

    a_balance := array_fill(0::bigint, ARRAY[coalesce(cardinality(a_ids), 0)]);
    a_held := a_balance;

    IF n_settle > 0 THEN
        s_taken := array_fill(-1::bigint, ARRAY[n_settle]);
        s_written_off := array_fill(0::bigint, ARRAY[n_settle]);
        WITH resolved AS (
            UPDATE billing_hold h
            SET state = CASE WHEN s.amount > 0 THEN 'captured' ELSE 'released' END,
                resolved_at = clock_timestamp(), memo = ''
            FROM unnest(s_ids, s_accounts, s_amounts) WITH ORDINALITY AS s(id, account_id, amount, ord)
            WHERE h.id = s.id AND h.account_id = s.account_id AND h.state = 'open'
            RETURNING s.ord, h.amount_nanos
        )
        SELECT array_agg(ord ORDER BY ord), array_agg(amount_nanos ORDER BY ord)
        INTO r_order, r_held FROM resolved;

        FOR j IN 1 .. coalesce(cardinality(r_order), 0) LOOP
            i := r_order[j];
            held := r_held[j];
            charge := s_amounts[i];
            k := array_position(a_ids, s_accounts[i]);
            taken := least(charge, held + greatest(a_available[k], 0));
            a_available[k] := a_available[k] + held - taken;
            a_held[k] := a_held[k] - held;
            s_taken[i] := taken;
            IF taken > 0 THEN
                a_balance[k] := a_balance[k] - taken;
                t_ids := t_ids || s_ids[i]; t_kinds := t_kinds || 'capture'::text;
                t_debits := t_debits || s_accounts[i]; t_credits := t_credits || a_revenue[k];
                t_amounts := t_amounts || taken; t_calls := t_calls || s_ids[i];
            END IF;
            IF charge > taken THEN
                s_written_off[i] := charge - taken;
                t_ids := t_ids || gen_random_uuid(); t_kinds := t_kinds || 'adjust'::text;
                t_debits := t_debits || a_writeoffs[k]; t_credits := t_credits || a_revenue[k];
                t_amounts := t_amounts || (charge - taken); t_calls := t_calls || s_ids[i];
                i := array_position(a_ids, a_writeoffs[k]);
                a_balance[i] := a_balance[i] - (charge - taken);
            END IF;
            IF charge > 0 THEN
                i := array_position(a_ids, a_revenue[k]);
                a_balance[i] := a_balance[i] + charge;
            END IF;
        END LOOP;

        IF cardinality(t_ids) > 0 THEN
            INSERT INTO billing_transfer
                (id, kind, debit_account_id, credit_account_id, amount_nanos, call_id, reason, created_at)
            SELECT t.id, t.kind, t.debit, t.credit, t.amount, t.call,
                   CASE t.kind WHEN 'adjust' THEN 'write-off: usage above the hold' ELSE '' END, clock_timestamp()
            FROM unnest(t_ids, t_kinds, t_debits, t_credits, t_amounts, t_calls)
                AS t(id, kind, debit, credit, amount, call);
        END IF;

        IF coalesce(cardinality(r_order), 0) < n_settle THEN
            INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, created_at, resolved_at)
            SELECT s.id, s.account_id, p_owner, 1, 'released', 'never placed', clock_timestamp(), clock_timestamp()
            FROM unnest(s_ids, s_accounts) AS s(id, account_id)
            ON CONFLICT (id) DO NOTHING;
        END IF;
    END IF;

    IF n_hold > 0 THEN
        h_granted := array_fill(0::bigint, ARRAY[n_hold]);
        h_available := h_granted;
        FOR i IN 1 .. n_hold LOOP
            k := array_position(a_ids, h_accounts[i]);
            IF k IS NULL THEN
                CONTINUE;
            END IF;
            h_available[i] := a_available[k];
            granted := least(h_amounts[i], a_available[k]);
            IF granted > 0 AND granted >= h_floors[i] THEN
                h_granted[i] := granted;
                a_available[k] := a_available[k] - granted;
                a_held[k] := a_held[k] + granted;
            END IF;
        END LOOP;
        INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, created_at)
        SELECT h.id, h.account_id, p_owner, h.granted, 'open', h.memo, clock_timestamp()
        FROM unnest(h_ids, h_accounts, h_granted, h_memos) AS h(id, account_id, granted, memo)
        WHERE h.granted > 0;
    END IF;

    UPDATE billing_account a
    SET balance_nanos = a.balance_nanos + d.balance, held_nanos = a.held_nanos + d.held
    FROM unnest(a_ids, a_balance, a_held) AS d(id, balance, held)
    WHERE a.id = d.id AND (d.balance <> 0 OR d.held <> 0);
END $$;

-- 5. Holds of gateway processes that are gone. 7301 is the class of the advisory locks that owners keep.
--
-- An owner is gone when its lock is free and it has not been seen for p_grace; after a start of the database,
-- owners get p_grace to take their locks again. The holds are released: a call that our side failed costs nothing.
--
-- Ids of holds begin with their time, so the open ones are found in a range of the primary key that starts where the
-- owner's oldest call in flight began; an hour allows for clocks that differ. An owner with nothing open is closed.
CREATE FUNCTION billing_first_id_at(moment timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION billing_release_lost(p_grace interval, p_limit int)
RETURNS TABLE (id uuid, account_id bigint, amount_nanos bigint, memo text, created_at timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    gone record; lost uuid[] := '{}'; found uuid[];
BEGIN
    IF clock_timestamp() - pg_postmaster_start_time() < p_grace THEN
        RETURN;
    END IF;
    FOR gone IN
        SELECT o.id, coalesce(o.busy_since, o.started_at) AS busy_since FROM billing_holdowner o
        WHERE o.closed_at IS NULL AND o.seen_at < clock_timestamp() - p_grace
        ORDER BY o.id
    LOOP
        IF NOT pg_try_advisory_xact_lock(7301, gone.id::int) THEN
            CONTINUE;
        END IF;
        found := ARRAY(
            SELECT h.id FROM billing_hold h
            WHERE h.id >= billing_first_id_at(gone.busy_since - interval '1 hour')
              AND h.state = 'open' AND h.owner_id = gone.id
            LIMIT p_limit);
        IF cardinality(found) = 0 THEN
            UPDATE billing_holdowner o SET closed_at = clock_timestamp() WHERE o.id = gone.id;
        END IF;
        lost := lost || found;
    END LOOP;
    IF cardinality(lost) = 0 THEN
        RETURN;
    END IF;
    PERFORM 1 FROM billing_account a
    WHERE a.id IN (SELECT h.account_id FROM billing_hold h WHERE h.id = ANY(lost))
    ORDER BY a.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH before AS MATERIALIZED (
        SELECT h.id, h.memo FROM billing_hold h WHERE h.id = ANY(lost) AND h.state = 'open'
    ), released AS (
        UPDATE billing_hold h SET state = 'released', resolved_at = clock_timestamp(), memo = ''
        FROM before b WHERE h.id = b.id AND h.state = 'open'
        RETURNING h.id, h.account_id, h.amount_nanos, b.memo, h.created_at
    ), freed AS (
        UPDATE billing_account a SET held_nanos = a.held_nanos - r.amount
        FROM (SELECT r.account_id, sum(r.amount_nanos) AS amount FROM released r GROUP BY r.account_id) r
        WHERE a.id = r.account_id
    )
    SELECT r.id, r.account_id, r.amount_nanos, r.memo, r.created_at FROM released r;
END $$;

-- 6. Gateway processes reread what they cache when this says so.
CREATE FUNCTION billing_notify_catalog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tollgate_catalog', TG_TABLE_NAME);
    RETURN NULL;
END $$;
CREATE TRIGGER billing_price_notify AFTER INSERT ON billing_price
    FOR EACH STATEMENT EXECUTE FUNCTION billing_notify_catalog();
