-- Balances of the past. billing_transfer has an index on (account, id); ids of captures begin with the time of their
-- call, which is up to a day before its charge, and a clock may be ten minutes off. billing/README.md, "Closings".
--
-- Plans are made for the span that is asked for: one for any span would read all of a wallet's captures.

-- What entered and left the account from p_from up to, not including, p_until, except for charges of calls.
CREATE FUNCTION billing_moved(p_account bigint, p_from timestamptz, p_until timestamptz)
RETURNS bigint LANGUAGE sql STABLE SET plan_cache_mode = force_custom_plan AS $$
    SELECT coalesce((
        SELECT sum(amount_nanos) FROM billing_transfer
        WHERE credit_account_id = p_account AND kind <> 'capture' AND created_at >= p_from AND created_at < p_until
    ), 0)::bigint - coalesce((
        SELECT sum(amount_nanos) FROM billing_transfer
        WHERE debit_account_id = p_account AND kind <> 'capture' AND created_at >= p_from AND created_at < p_until
    ), 0)::bigint
$$;

-- What calls took from the account in that time, and how many.
CREATE FUNCTION billing_captured(
    p_account bigint, p_from timestamptz, p_until timestamptz, OUT nanos bigint, OUT calls bigint
) LANGUAGE sql STABLE SET plan_cache_mode = force_custom_plan AS $$
    SELECT coalesce(sum(amount_nanos), 0)::bigint, count(*) FROM billing_transfer
    WHERE debit_account_id = p_account AND kind = 'capture'
      AND id >= billing_first_id_at(greatest(p_from, '1971-01-01') - interval '1 day')
      AND id < billing_first_id_at(greatest(p_until, '1971-01-01') + interval '10 minutes')
      AND created_at >= p_from AND created_at < p_until
$$;

-- The balance of a pool or wallet just before p_moment: the last closing before, and what has moved since.
CREATE FUNCTION billing_balance_at(p_account bigint, p_moment timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    WITH known AS (
        SELECT balance_nanos, (day + 1)::timestamp AT TIME ZONE 'UTC' AS since FROM billing_closing
        WHERE account_id = p_account AND day < (p_moment AT TIME ZONE 'UTC')::date
        ORDER BY day DESC LIMIT 1
    ), start AS (
        SELECT balance_nanos, since FROM known
        UNION ALL SELECT 0, '1971-01-01' WHERE NOT EXISTS (SELECT 1 FROM known)
    )
    SELECT s.balance_nanos + billing_moved(p_account, s.since, p_moment)
        - (billing_captured(p_account, s.since, p_moment)).nanos
    FROM start s
$$;

-- What calls took in days of UTC from p_from up to, not including, p_until: closings, and what they do not have yet.
CREATE FUNCTION billing_captured_days(
    p_account bigint, p_from date, p_until date, OUT nanos bigint, OUT calls bigint
) LANGUAGE sql STABLE AS $$
    WITH closed AS (
        SELECT greatest(coalesce(max(day) + 1, p_from), p_from) AS until FROM billing_closing WHERE account_id = p_account
    ), kept AS (
        SELECT coalesce(sum(captured_nanos), 0) AS nanos, coalesce(sum(captures), 0) AS calls FROM billing_closing
        WHERE account_id = p_account AND day >= p_from AND day < p_until
    ), fresh AS (
        SELECT t.nanos, t.calls FROM closed c, LATERAL billing_captured(
            p_account, c.until::timestamp AT TIME ZONE 'UTC', p_until::timestamp AT TIME ZONE 'UTC') t
    )
    SELECT (k.nanos + f.nanos)::bigint, (k.calls + f.calls)::bigint FROM kept k, fresh f
$$;

-- Close the account's days before p_today that are not closed yet. The caller locked the account for a moment once the
-- last of these days was over: whoever moves money takes that lock before it takes the time, so nothing that belongs
-- to these days can appear any more. Answers how many rows were made.
CREATE FUNCTION billing_close_days(p_account bigint, p_today date) RETURNS integer LANGUAGE plpgsql
SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    v_day date; v_balance bigint := 0; v_from timestamptz; v_until timestamptz; made integer;
BEGIN
    SELECT day, balance_nanos INTO v_day, v_balance FROM billing_closing
    WHERE account_id = p_account ORDER BY day DESC LIMIT 1;
    v_balance := coalesce(v_balance, 0);
    v_from := CASE WHEN v_day IS NULL THEN '1971-01-01' ELSE (v_day + 1)::timestamp AT TIME ZONE 'UTC' END;
    v_until := p_today::timestamp AT TIME ZONE 'UTC';
    INSERT INTO billing_closing (account_id, day, balance_nanos, captured_nanos, captures)
    SELECT p_account, d.day, v_balance + sum(d.change) OVER (ORDER BY d.day), d.captured, d.calls
    FROM (
        SELECT (m.created_at AT TIME ZONE 'UTC')::date AS day, sum(m.change) AS change,
               coalesce(sum(m.captured), 0) AS captured, count(m.captured) AS calls
        FROM (
            SELECT created_at, amount_nanos AS change, NULL::bigint AS captured FROM billing_transfer
            WHERE credit_account_id = p_account AND kind <> 'capture' AND created_at >= v_from AND created_at < v_until
            UNION ALL
            SELECT created_at, -amount_nanos, NULL FROM billing_transfer
            WHERE debit_account_id = p_account AND kind <> 'capture' AND created_at >= v_from AND created_at < v_until
            UNION ALL
            SELECT created_at, -amount_nanos, amount_nanos FROM billing_transfer
            WHERE debit_account_id = p_account AND kind = 'capture'
              AND id >= billing_first_id_at(v_from - interval '1 day')
              AND id < billing_first_id_at(v_until + interval '10 minutes')
              AND created_at >= v_from AND created_at < v_until
        ) m GROUP BY 1
    ) d
    ON CONFLICT (account_id, day) DO NOTHING;
    GET DIAGNOSTICS made = ROW_COUNT;
    RETURN made;
END $$;
