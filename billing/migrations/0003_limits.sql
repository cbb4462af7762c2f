-- Limits of keys and groups, decided in the transaction that places the hold. billing/README.md explains them.

-- 1. Limit rows are as hot as accounts: no index names a counter, and the page has room for new versions.
ALTER TABLE billing_limit SET (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 500);

CREATE TRIGGER billing_limit_same BEFORE UPDATE ON billing_limit
    FOR EACH ROW WHEN ((NEW.id, NEW.api_key_id, NEW.group_id, NEW.seeded_nanos)
          IS DISTINCT FROM (OLD.id, OLD.api_key_id, OLD.group_id, OLD.seeded_nanos))
    EXECUTE FUNCTION billing_refuse();

-- A hold counts where it was admitted until it ends.
CREATE TRIGGER billing_hold_keeps_its_limits BEFORE UPDATE ON billing_hold
    FOR EACH ROW WHEN ((NEW.key_limit_id, NEW.group_limit_id, NEW.tokens, NEW.key_window_at, NEW.group_window_at)
          IS DISTINCT FROM (OLD.key_limit_id, OLD.group_limit_id, OLD.tokens, OLD.key_window_at, OLD.group_window_at))
    EXECUTE FUNCTION billing_refuse();

-- Gateway processes keep whether a key has limits with what they know of the key. Counters change with every call and
-- are read by nobody but the functions below: they are not announced.
CREATE FUNCTION billing_notify_limit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    key_id uuid := CASE WHEN TG_OP = 'DELETE' THEN OLD.api_key_id ELSE NEW.api_key_id END;
BEGIN
    IF key_id IS NULL THEN
        PERFORM pg_notify('tollgate_keys', '*');
    ELSE
        PERFORM pg_notify('tollgate_keys', k.public_id) FROM accounts_apikey k WHERE k.id = key_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER billing_limit_notify AFTER INSERT OR DELETE OR UPDATE OF
    requests_per_minute, tokens_per_minute, concurrent_calls, day_nanos, month_nanos, lifetime_nanos
    ON billing_limit FOR EACH ROW EXECUTE FUNCTION billing_notify_limit();

-- 2. What a limit says. Each function takes a limit as it is now and answers one thing about it, or the limit after one
-- step; none reads or writes a table.

-- The limit at `moment`: a window of 60 seconds, a day or a month that has ended counts no more. Clocks that step back
-- open nothing.
CREATE FUNCTION billing_limit_at(l billing_limit, moment timestamptz) RETURNS billing_limit
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    today date := (moment AT TIME ZONE 'UTC')::date;
BEGIN
    IF moment >= l.window_started_at + interval '60 s' THEN
        l.window_started_at := NULL;
        l.window_requests := 0;
        l.window_tokens := 0;
    END IF;
    IF l.day IS NULL OR l.day < today THEN
        l.day := today;
        l.day_spent_nanos := 0;
        today := date_trunc('month', today::timestamp)::date;
        IF l.month IS NULL OR l.month < today THEN
            l.month := today;
            l.month_spent_nanos := 0;
        END IF;
    END IF;
    RETURN l;
END $$;

-- Which of the limits that free themselves with time has no room for one more call, NULL if all have. A call with more
-- tokens than the whole limit needs an unused window.
CREATE FUNCTION billing_limit_is_full(l billing_limit, p_tokens bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN l.window_requests >= l.requests_per_minute THEN 'requests'
        WHEN l.window_tokens > l.tokens_per_minute - least(p_tokens, l.tokens_per_minute) THEN 'tokens'
        WHEN l.running_calls >= l.concurrent_calls THEN 'concurrency'
    END
$$;

-- The budget that leaves the least, and what it leaves; NULL where there is none.
CREATE FUNCTION billing_limit_budget(l billing_limit, OUT name text, OUT room bigint) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    room := least(l.day_nanos - l.day_spent_nanos, l.month_nanos - l.month_spent_nanos,
                  l.lifetime_nanos - l.lifetime_spent_nanos);
    name := CASE room
        WHEN l.lifetime_nanos - l.lifetime_spent_nanos THEN 'lifetime'
        WHEN l.month_nanos - l.month_spent_nanos THEN 'month'
        WHEN l.day_nanos - l.day_spent_nanos THEN 'day' END;
    room := room - l.held_nanos;
END $$;

-- What is left of the rate limits (NULL where there is none), and when their window ends.
CREATE FUNCTION billing_limit_rate(
    l billing_limit, moment timestamptz, OUT requests_left bigint, OUT tokens_left bigint, OUT reset_s int
) LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    requests_left := CASE WHEN l.requests_per_minute > l.window_requests
        THEN l.requests_per_minute - l.window_requests ELSE l.requests_per_minute * 0 END;
    tokens_left := CASE WHEN l.tokens_per_minute > l.window_tokens
        THEN l.tokens_per_minute - l.window_tokens ELSE l.tokens_per_minute * 0 END;
    reset_s := coalesce(ceil(extract(epoch FROM l.window_started_at + interval '60 s' - moment)), 0);
END $$;

-- After a call was admitted. The first one opens the window.
CREATE FUNCTION billing_limit_with(l billing_limit, p_granted bigint, p_tokens bigint, moment timestamptz)
RETURNS billing_limit LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    l.window_started_at := coalesce(l.window_started_at, moment);
    l.window_requests := l.window_requests + 1;
    l.window_tokens := l.window_tokens + p_tokens;
    l.running_calls := l.running_calls + 1;
    l.held_nanos := l.held_nanos + p_granted;
    RETURN l;
END $$;

-- After a call has ended. Its tokens replace what it brought, unless the window that it brought it to is over.
CREATE FUNCTION billing_limit_without(
    l billing_limit, p_window timestamptz, p_held bigint, p_taken bigint, p_brought bigint, p_used bigint
) RETURNS billing_limit LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF l.window_started_at = p_window THEN
        l.window_tokens := greatest(l.window_tokens + p_used - p_brought, 0);
    END IF;
    l.running_calls := l.running_calls - 1;
    l.held_nanos := l.held_nanos - p_held;
    l.day_spent_nanos := l.day_spent_nanos + p_taken;
    l.month_spent_nanos := l.month_spent_nanos + p_taken;
    l.lifetime_spent_nanos := l.lifetime_spent_nanos + p_taken;
    RETURN l;
END $$;

-- 3. billing_apply as in migration 0002, and with limits.
--
-- s_tokens is what each call used; h_key_limits, h_group_limits and h_tokens belong to holds whose key or group has
-- limits. All four may be NULL for a batch that has none, and nothing of limits is touched then. A limit that is gone
-- by now limits nothing.
--
-- A hold is refused where a limit is full, and clamped by budgets as by the wallet. For each hold of a batch with
-- limits: h_refusals says why not ('' admitted; 'credits', or 'key_' or 'group_' and requests, tokens, concurrency, day,
-- month or lifetime), h_retry_s when to try again (0 where time alone does not help), h_left what the budget leaves that
-- refused it, and the last six columns what remains of the tighter rate limits.
--
-- What is locked is looked for in one table and never joined: a row that another transaction changed while we waited for
-- it is checked once more, and a join (with what was read before the wait) can lose it there.
--
-- Limits are locked after accounts, in the order of their ids. A limit is of one wallet, so that whoever has the wallet
-- has its limits too: the order only matters towards those that change a limit.
DROP FUNCTION billing_apply(
    bigint, uuid[], bigint[], bigint[], uuid[], bigint[], bigint[], bigint[], text[]);
CREATE FUNCTION billing_apply(
    p_owner bigint,
    s_ids uuid[], s_accounts bigint[], s_amounts bigint[],
    h_ids uuid[], h_accounts bigint[], h_amounts bigint[], h_floors bigint[], h_memos text[],
    s_tokens bigint[] DEFAULT NULL,
    h_key_limits bigint[] DEFAULT NULL, h_group_limits bigint[] DEFAULT NULL, h_tokens bigint[] DEFAULT NULL,
    OUT s_taken bigint[], OUT s_written_off bigint[], OUT h_granted bigint[], OUT h_available bigint[],
    OUT h_refusals text[], OUT h_retry_s int[], OUT h_left bigint[],
    OUT h_request_limits bigint[], OUT h_requests_left bigint[], OUT h_requests_reset_s int[],
    OUT h_token_limits bigint[], OUT h_tokens_left bigint[], OUT h_tokens_reset_s int[]
) LANGUAGE plpgsql AS $$
DECLARE
    a_ids bigint[]; a_available bigint[]; a_revenue bigint[]; a_writeoffs bigint[];
    a_balance bigint[]; a_held bigint[];
    r_order int[]; r_held bigint[]; r_limited boolean;
    r_limits bigint[]; r_windows timestamptz[]; r_tokens bigint[];
    t_ids uuid[] := '{}'; t_kinds text[] := '{}'; t_debits bigint[] := '{}'; t_credits bigint[] := '{}';
    t_amounts bigint[] := '{}'; t_calls uuid[] := '{}';
    l_ids bigint[]; l_rows billing_limit[]; moment timestamptz;
    w_key timestamptz[]; w_group timestamptz[];
    n_settle int := coalesce(cardinality(s_ids), 0);
    n_hold int := coalesce(cardinality(h_ids), 0);
    i int; j int; k int; m int; held bigint; charge bigint; taken bigint; granted bigint;
    limited boolean; places int[]; tokens bigint; side text; reason text; budget record; rate record;
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
    IF n_settle <> coalesce(cardinality(s_tokens), n_settle) OR n_hold <> coalesce(cardinality(h_tokens), n_hold)
       OR n_hold <> coalesce(cardinality(h_key_limits), n_hold)
       OR n_hold <> coalesce(cardinality(h_group_limits), n_hold)
       OR array_position(s_tokens, NULL) IS NOT NULL OR array_position(h_tokens, NULL) IS NOT NULL
       OR 0 > ANY (s_tokens) OR 0 > ANY (h_tokens) THEN
        RAISE EXCEPTION 'a batch with unequal arrays, or tokens that are negative or missing'
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
        FROM billing_account a WHERE a.id = ANY (ARRAY(SELECT id FROM touched))
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
            RETURNING s.ord, h.amount_nanos, h.key_limit_id IS NOT NULL OR h.group_limit_id IS NOT NULL AS has_limits
        )
        SELECT array_agg(ord ORDER BY ord), array_agg(amount_nanos ORDER BY ord), bool_or(has_limits)
        INTO r_order, r_held, r_limited FROM resolved;
        IF r_limited THEN
            -- Two places for each: the key's and the group's.
            SELECT array_agg(x.limit_id ORDER BY r.place, x.is_group),
                   array_agg(x.window_at ORDER BY r.place, x.is_group), array_agg(h.tokens ORDER BY r.place, x.is_group)
            INTO r_limits, r_windows, r_tokens
            FROM unnest(r_order) WITH ORDINALITY AS r(ord, place)
            JOIN billing_hold h ON h.id = s_ids[r.ord]
            CROSS JOIN LATERAL (VALUES (h.key_limit_id, h.key_window_at, false),
                                       (h.group_limit_id, h.group_window_at, true)) AS x(limit_id, window_at, is_group);
        END IF;
    END IF;

    l_ids := array_remove(r_limits || h_key_limits || h_group_limits, NULL);
    IF cardinality(l_ids) > 0 THEN
        SELECT array_agg((x.l).id ORDER BY (x.l).id), array_agg(x.l ORDER BY (x.l).id) INTO l_ids, l_rows
        FROM (SELECT l FROM billing_limit l WHERE l.id = ANY(l_ids) ORDER BY l.id FOR NO KEY UPDATE) x;
        moment := clock_timestamp();
        FOR m IN 1 .. coalesce(cardinality(l_ids), 0) LOOP
            l_rows[m] := billing_limit_at(l_rows[m], moment);
        END LOOP;
    END IF;
    IF l_rows IS NULL THEN
        l_ids := NULL; h_key_limits := NULL; h_group_limits := NULL;
    END IF;

    IF n_settle > 0 THEN
        FOR j IN 1 .. coalesce(cardinality(r_order), 0) LOOP
            i := r_order[j];
            held := r_held[j];
            charge := s_amounts[i];
            k := array_position(a_ids, s_accounts[i]);
            taken := least(charge, held + greatest(a_available[k], 0));
            a_available[k] := a_available[k] + held - taken;
            a_held[k] := a_held[k] - held;
            s_taken[i] := taken;
            IF r_limited THEN
                FOR place IN 2 * j - 1 .. 2 * j LOOP
                    m := array_position(l_ids, r_limits[place]);
                    IF m IS NOT NULL THEN
                        l_rows[m] := billing_limit_without(
                            l_rows[m], r_windows[place], held, taken, r_tokens[place], coalesce(s_tokens[i], 0));
                    END IF;
                END LOOP;
            END IF;
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
        limited := h_key_limits IS NOT NULL OR h_group_limits IS NOT NULL;
        IF limited THEN
            h_refusals := array_fill('credits'::text, ARRAY[n_hold]);
            h_retry_s := array_fill(0, ARRAY[n_hold]);
            h_left := h_granted;
            h_request_limits := array_fill(NULL::bigint, ARRAY[n_hold]);
            h_requests_left := h_request_limits; h_token_limits := h_request_limits; h_tokens_left := h_request_limits;
            h_requests_reset_s := array_fill(NULL::int, ARRAY[n_hold]);
            h_tokens_reset_s := h_requests_reset_s;
            w_key := array_fill(NULL::timestamptz, ARRAY[n_hold]); w_group := w_key;
        END IF;
        FOR i IN 1 .. n_hold LOOP
            k := array_position(a_ids, h_accounts[i]);
            IF k IS NULL THEN
                CONTINUE;
            END IF;
            h_available[i] := a_available[k];
            granted := least(h_amounts[i], a_available[k]);
            IF limited THEN
                places := ARRAY[array_position(l_ids, h_key_limits[i]), array_position(l_ids, h_group_limits[i])];
                tokens := coalesce(h_tokens[i], 0);
                FOR place IN 1 .. 2 LOOP
                    m := places[place];
                    CONTINUE WHEN m IS NULL;
                    side := CASE place WHEN 1 THEN 'key_' ELSE 'group_' END;
                    reason := billing_limit_is_full(l_rows[m], tokens);
                    IF reason IS NOT NULL THEN
                        granted := 0;
                        h_refusals[i] := side || reason;
                        h_left[i] := 0;
                        h_retry_s[i] := CASE reason WHEN 'concurrency' THEN 1 ELSE
                            ceil(extract(epoch FROM l_rows[m].window_started_at + interval '60 s' - moment)) END;
                        EXIT;
                    END IF;
                    budget := billing_limit_budget(l_rows[m]);
                    IF budget.room < granted THEN
                        granted := budget.room;
                        h_refusals[i] := side || budget.name;
                        h_left[i] := greatest(budget.room, 0);
                    END IF;
                END LOOP;
            END IF;
            IF granted > 0 AND granted >= h_floors[i] THEN
                h_granted[i] := granted;
                a_available[k] := a_available[k] - granted;
                a_held[k] := a_held[k] + granted;
            END IF;
            IF limited THEN
                IF h_granted[i] > 0 THEN
                    h_refusals[i] := '';
                    h_left[i] := 0;
                END IF;
                FOR place IN 1 .. 2 LOOP
                    m := places[place];
                    CONTINUE WHEN m IS NULL;
                    IF h_granted[i] > 0 THEN
                        l_rows[m] := billing_limit_with(l_rows[m], granted, tokens, moment);
                        IF place = 1 THEN
                            w_key[i] := l_rows[m].window_started_at;
                        ELSE
                            w_group[i] := l_rows[m].window_started_at;
                        END IF;
                    END IF;
                    rate := billing_limit_rate(l_rows[m], moment);
                    IF rate.requests_left < coalesce(h_requests_left[i], rate.requests_left + 1) THEN
                        h_request_limits[i] := l_rows[m].requests_per_minute;
                        h_requests_left[i] := rate.requests_left;
                        h_requests_reset_s[i] := rate.reset_s;
                    END IF;
                    IF rate.tokens_left < coalesce(h_tokens_left[i], rate.tokens_left + 1) THEN
                        h_token_limits[i] := l_rows[m].tokens_per_minute;
                        h_tokens_left[i] := rate.tokens_left;
                        h_tokens_reset_s[i] := rate.reset_s;
                    END IF;
                END LOOP;
            END IF;
        END LOOP;
        INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, created_at,
                                  key_limit_id, group_limit_id, tokens, key_window_at, group_window_at)
        SELECT h.id, h.account_id, p_owner, h.granted, 'open', h.memo, clock_timestamp(),
               CASE WHEN h.key_window_at IS NOT NULL THEN h.key_limit_id END,
               CASE WHEN h.group_window_at IS NOT NULL THEN h.group_limit_id END,
               coalesce(h.tokens, 0), h.key_window_at, h.group_window_at
        FROM unnest(h_ids, h_accounts, h_granted, h_memos, h_key_limits, h_group_limits, h_tokens, w_key, w_group)
            AS h(id, account_id, granted, memo, key_limit_id, group_limit_id, tokens, key_window_at, group_window_at)
        WHERE h.granted > 0;
    END IF;

    UPDATE billing_account a
    SET balance_nanos = a.balance_nanos + d.balance, held_nanos = a.held_nanos + d.held
    FROM unnest(a_ids, a_balance, a_held) AS d(id, balance, held)
    WHERE a.id = d.id AND (d.balance <> 0 OR d.held <> 0);

    IF l_rows IS NOT NULL THEN
        UPDATE billing_limit l
        SET window_started_at = n.window_started_at, window_requests = n.window_requests,
            window_tokens = n.window_tokens, running_calls = n.running_calls, held_nanos = n.held_nanos,
            day = n.day, day_spent_nanos = n.day_spent_nanos, month = n.month, month_spent_nanos = n.month_spent_nanos,
            lifetime_spent_nanos = n.lifetime_spent_nanos
        FROM unnest(l_rows) AS n
        WHERE l.id = n.id AND l IS DISTINCT FROM n;
    END IF;
END $$;

-- 4. billing_release_lost as in migration 0002; what it releases leaves its limits too.
CREATE OR REPLACE FUNCTION billing_release_lost(p_grace interval, p_limit int)
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
    WHERE a.id = ANY (ARRAY(SELECT h.account_id FROM billing_hold h WHERE h.id = ANY(lost)))
    ORDER BY a.id FOR NO KEY UPDATE;
    PERFORM 1 FROM billing_limit l
    WHERE l.id = ANY (ARRAY(
        SELECT unnest(ARRAY[h.key_limit_id, h.group_limit_id]) FROM billing_hold h WHERE h.id = ANY(lost)))
    ORDER BY l.id FOR NO KEY UPDATE;
    RETURN QUERY
    WITH before AS MATERIALIZED (
        SELECT h.id, h.memo FROM billing_hold h WHERE h.id = ANY(lost) AND h.state = 'open'
    ), released AS (
        UPDATE billing_hold h SET state = 'released', resolved_at = clock_timestamp(), memo = ''
        FROM before b WHERE h.id = b.id AND h.state = 'open'
        RETURNING h.id, h.account_id, h.amount_nanos, b.memo, h.created_at,
                  h.key_limit_id, h.group_limit_id, h.tokens, h.key_window_at, h.group_window_at
    ), freed AS (
        UPDATE billing_account a SET held_nanos = a.held_nanos - r.amount
        FROM (SELECT r.account_id, sum(r.amount_nanos) AS amount FROM released r GROUP BY r.account_id) r
        WHERE a.id = r.account_id
    ), ended AS (
        SELECT l.id, count(*) AS calls, sum(x.amount_nanos) AS amount,
               coalesce(sum(x.tokens) FILTER (WHERE x.window_at = l.window_started_at), 0) AS tokens
        FROM (SELECT r.key_limit_id AS limit_id, r.key_window_at AS window_at, r.amount_nanos, r.tokens FROM released r
              UNION ALL
              SELECT r.group_limit_id, r.group_window_at, r.amount_nanos, r.tokens FROM released r) x
        JOIN billing_limit l ON l.id = x.limit_id
        GROUP BY l.id
    ), left_limits AS (
        UPDATE billing_limit l
        SET running_calls = l.running_calls - e.calls, held_nanos = l.held_nanos - e.amount,
            window_tokens = greatest(l.window_tokens - e.tokens, 0)
        FROM ended e WHERE l.id = e.id
    )
    SELECT r.id, r.account_id, r.amount_nanos, r.memo, r.created_at FROM released r;
END $$;
