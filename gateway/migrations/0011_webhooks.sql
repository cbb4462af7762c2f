-- Webhooks of groups: an event and its deliveries are written in the transaction of what they tell.

-- 1. Telling.

-- As accounts.ids.uuid7: milliseconds, twelve bits of their fraction, the rest random.
CREATE FUNCTION gateway_new_id() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex(t.us / 1000), 12, '0') || '7' || lpad(to_hex(t.us % 1000 * 4096 / 1000), 3, '0')
            || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid
    FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us) t
$$;

-- Tells those webhooks of the group that want events of this type, once for each cause. `nudged_at` lies in the past,
-- so that the next sweep wakes a sender. Nothing is locked: whoever takes a webhook away finds what was told meanwhile
-- refused when it is sent.
CREATE FUNCTION gateway_tell(p_group uuid, p_type text, p_cause text, p_facts jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanting uuid[] := ARRAY(
        SELECT e.id FROM gateway_webhookendpoint e
        WHERE e.group_id = p_group AND e.is_enabled AND e.events @> to_jsonb(p_type));
    told uuid;
BEGIN
    IF cardinality(wanting) = 0 THEN
        RETURN;
    END IF;
    INSERT INTO gateway_webhookevent (id, group_id, type, cause, facts, created_at)
    VALUES (gateway_new_id(), p_group, p_type, p_cause, p_facts, clock_timestamp())
    ON CONFLICT (cause) DO NOTHING
    RETURNING id INTO told;
    INSERT INTO gateway_delivery (id, group_id, endpoint_id, event_id, url, nudged_at)
    SELECT gateway_new_id(), p_group, e.id, told, e.url, clock_timestamp() - interval '1 minute'
    FROM gateway_webhookendpoint e WHERE told IS NOT NULL AND e.id = ANY (wanting);
END $$;

-- 2. A budget that refuses a call. Looked at only in batches in which one does, and told once for each limit, window
-- and amount: a budget that was raised and is used up again is told again.

CREATE FUNCTION gateway_budget_refusals() RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY['key_day', 'key_month', 'key_lifetime', 'group_day', 'group_month', 'group_lifetime']
$$;

CREATE FUNCTION gateway_tell_limits(p_refusals text[], p_key_limits bigint[], p_group_limits bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    hit record; l billing_limit; k record; moment timestamptz := clock_timestamp();
    amount bigint; spent bigint; since date; resets timestamptz;
BEGIN
    FOR hit IN
        SELECT DISTINCT CASE WHEN x.refusal LIKE 'key%' THEN x.key_limit ELSE x.group_limit END AS limit_id,
               split_part(x.refusal, '_', 2) AS budget
        FROM unnest(p_refusals, p_key_limits, p_group_limits) AS x(refusal, key_limit, group_limit)
        WHERE x.refusal = ANY (gateway_budget_refusals())
    LOOP
        SELECT * INTO l FROM billing_limit b WHERE b.id = hit.limit_id;
        CONTINUE WHEN NOT FOUND;
        l := billing_limit_at(l, moment);
        CASE hit.budget
            WHEN 'day' THEN
                amount := l.day_nanos; spent := l.day_spent_nanos; since := l.day;
                resets := (l.day + 1)::timestamp AT TIME ZONE 'UTC';
            WHEN 'month' THEN
                amount := l.month_nanos; spent := l.month_spent_nanos; since := l.month;
                resets := (l.month + interval '1 month') AT TIME ZONE 'UTC';
            ELSE
                amount := l.lifetime_nanos; spent := l.lifetime_spent_nanos; since := NULL; resets := NULL;
        END CASE;
        SELECT a.id, a.group_id INTO k FROM accounts_apikey a WHERE a.id = l.api_key_id;
        PERFORM gateway_tell(
            coalesce(l.group_id, k.group_id), 'limit.reached',
            format('limit.reached:%s:%s:%s:%s', l.id, hit.budget, coalesce(since::text, ''), amount),
            jsonb_build_object(
                'budget', hit.budget, 'key_id', l.api_key_id, 'amount_nanos', amount, 'spent_nanos', spent,
                'reserved_nanos', l.held_nanos, 'resets_at', extract(epoch FROM resets)));
    END LOOP;
END $$;

-- As in migration 0007, and budgets that refuse are told.
CREATE OR REPLACE FUNCTION gateway_apply(
    p_owner bigint,
    s_ids uuid[], s_accounts bigint[], s_amounts bigint[],
    h_ids uuid[], h_accounts bigint[], h_amounts bigint[], h_floors bigint[], h_memos text[],
    p_records jsonb,
    s_tokens bigint[] DEFAULT NULL,
    h_key_limits bigint[] DEFAULT NULL, h_group_limits bigint[] DEFAULT NULL, h_tokens bigint[] DEFAULT NULL,
    OUT s_taken bigint[], OUT s_written_off bigint[], OUT h_granted bigint[], OUT h_available bigint[],
    OUT h_refusals text[], OUT h_retry_s int[], OUT h_left bigint[],
    OUT h_request_limits bigint[], OUT h_requests_left bigint[], OUT h_requests_reset_s int[],
    OUT h_token_limits bigint[], OUT h_tokens_left bigint[], OUT h_tokens_reset_s int[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT b.* INTO s_taken, s_written_off, h_granted, h_available, h_refusals, h_retry_s, h_left,
        h_request_limits, h_requests_left, h_requests_reset_s, h_token_limits, h_tokens_left, h_tokens_reset_s
    FROM billing_apply(p_owner, s_ids, s_accounts, s_amounts, h_ids, h_accounts, h_amounts, h_floors, h_memos,
                       s_tokens, h_key_limits, h_group_limits, h_tokens) b;
    IF h_refusals && gateway_budget_refusals() THEN
        PERFORM gateway_tell_limits(h_refusals, h_key_limits, h_group_limits);
    END IF;
    IF p_records IS NOT NULL THEN
        INSERT INTO gateway_callrecord (
            id, organization_id, group_id, api_key_id, source, endpoint, model, status, stream, service_tier,
            created_at, duration_ms, first_token_ms, input_tokens, cached_input_tokens, cache_write_tokens,
            cache_write_1h_tokens, output_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, images,
            price_key, basis, price_id, hold_nanos, list_nanos, amount_nanos, written_off_nanos, error_code,
            error_message, upstream_id, attempts)
        SELECT r.id, r.organization_id, r.group_id, r.api_key_id, r.source, r.endpoint, r.model, r.status, r.stream,
            r.service_tier, to_timestamp(r.created_at), r.duration_ms, r.first_token_ms, r.input_tokens,
            r.cached_input_tokens, r.cache_write_tokens, r.cache_write_1h_tokens, r.output_tokens,
            r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.images, coalesce(r.price_key, ''),
            r.basis, r.price_id, r.hold_nanos, r.list_nanos, greatest(coalesce(t.taken, 0), 0),
            coalesce(t.written_off, 0), r.error_code, r.error_message, coalesce(r.upstream_id, ''), r.attempts
        FROM jsonb_to_recordset(p_records) AS r(
            id uuid, organization_id uuid, group_id uuid, api_key_id uuid, source text, endpoint text, model text,
            status text, stream boolean, service_tier text, created_at double precision, duration_ms int,
            first_token_ms int, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            cache_write_1h_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
            audio_output_tokens bigint, images int, price_key text, basis text, price_id bigint, hold_nanos bigint,
            list_nanos bigint, error_code text, error_message text, upstream_id text,
            attempts jsonb)
        LEFT JOIN unnest(s_ids, s_taken, s_written_off) AS t(id, taken, written_off) ON t.id = r.id
        ON CONFLICT (id) DO NOTHING;
    END IF;
END $$;

-- As in migration 0007, and budgets that refuse are told.
CREATE OR REPLACE FUNCTION gateway_create_task(
    p_task jsonb, p_key_limit bigint, p_group_limit bigint,
    OUT outcome text, OUT task_id uuid, OUT available_nanos bigint, OUT refusal text, OUT retry_after_s int,
    OUT left_nanos bigint, OUT request_limit bigint, OUT requests_left bigint, OUT requests_reset_s int,
    OUT token_limit bigint, OUT tokens_left bigint, OUT tokens_reset_s int
) LANGUAGE plpgsql AS $$
DECLARE
    t record; b record; earlier record; granted bigint;
    limited boolean := p_key_limit IS NOT NULL OR p_group_limit IS NOT NULL;
BEGIN
    SELECT * INTO t FROM jsonb_to_record(p_task) AS t(
        id uuid, organization_id uuid, group_id uuid, api_key_id uuid, account_id bigint, action text, endpoint text,
        requested_model text, model text, request jsonb, count int, price_id bigint, price_key text, hold_nanos bigint,
        base_url text, callback_url text, idempotency_key text, request_digest text, timeout_s double precision);
    INSERT INTO gateway_task (
        id, organization_id, group_id, api_key_id, account_id, action, endpoint, requested_model, model, request, count,
        price_id, price_key, hold_nanos, base_url, callback_url, idempotency_key, request_digest, deadline_at, events)
    VALUES (
        t.id, t.organization_id, t.group_id, t.api_key_id, t.account_id, t.action, t.endpoint, t.requested_model,
        t.model, t.request, t.count, t.price_id, t.price_key, t.hold_nanos, t.base_url, t.callback_url,
        t.idempotency_key, t.request_digest, clock_timestamp() + make_interval(secs => t.timeout_s),
        jsonb_build_array(gateway_event('created', '')))
    ON CONFLICT (api_key_id, idempotency_key) WHERE idempotency_key > '' DO NOTHING;
    IF NOT FOUND THEN
        SELECT e.id, e.request_digest INTO STRICT earlier FROM gateway_task e
        WHERE e.api_key_id = t.api_key_id AND e.idempotency_key = t.idempotency_key;
        task_id := earlier.id;
        outcome := CASE WHEN earlier.request_digest = t.request_digest THEN 'replayed' ELSE 'conflict' END;
        RETURN;
    END IF;
    SELECT a.* INTO b FROM billing_apply(
        0, '{}', '{}', '{}', ARRAY[t.id], ARRAY[t.account_id], ARRAY[t.hold_nanos], ARRAY[t.hold_nanos],
        ARRAY['task'], NULL,
        CASE WHEN limited THEN ARRAY[p_key_limit] END, CASE WHEN limited THEN ARRAY[p_group_limit] END,
        CASE WHEN limited THEN ARRAY[0::bigint] END) a;
    granted := b.h_granted[1];
    available_nanos := b.h_available[1];
    refusal := CASE WHEN granted > 0 THEN '' ELSE coalesce(b.h_refusals[1], 'credits') END;
    retry_after_s := coalesce(b.h_retry_s[1], 0);
    left_nanos := coalesce(b.h_left[1], 0);
    request_limit := b.h_request_limits[1];
    requests_left := b.h_requests_left[1];
    requests_reset_s := b.h_requests_reset_s[1];
    token_limit := b.h_token_limits[1];
    tokens_left := b.h_tokens_left[1];
    tokens_reset_s := b.h_tokens_reset_s[1];
    IF granted > 0 THEN
        outcome := 'created';
        task_id := t.id;
    ELSE
        outcome := 'refused';
        DELETE FROM gateway_task WHERE id = t.id;
        IF refusal = ANY (gateway_budget_refusals()) THEN
            PERFORM gateway_tell_limits(ARRAY[refusal], ARRAY[p_key_limit], ARRAY[p_group_limit]);
        END IF;
    END IF;
END $$;

-- 3. The end of a task: as in migration 0007, and webhooks are told.
CREATE OR REPLACE FUNCTION gateway_end_task(
    p_id uuid, p_fence int, p_status text, p_code text, p_message text, p_amount bigint, p_records jsonb,
    p_delivery uuid
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    t record; taken bigint;
BEGIN
    UPDATE gateway_task e
    SET status = p_status, error_code = p_code, error_message = p_message, amount_nanos = p_amount,
        progress = CASE p_status WHEN 'completed' THEN 100 ELSE e.progress END, lease_until = NULL,
        ended_at = clock_timestamp(), updated_at = clock_timestamp(),
        events = e.events || gateway_event(CASE WHEN p_code = 'cancelled' THEN p_code ELSE p_status END, p_message)
    WHERE e.id = p_id AND e.attempts = p_fence AND e.status IN ('pending', 'processing')
    RETURNING e.account_id, e.group_id, e.api_key_id, e.callback_url INTO t;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT a.s_taken[1] INTO taken FROM gateway_apply(
        0, ARRAY[p_id], ARRAY[t.account_id], ARRAY[p_amount], '{}', '{}', '{}', '{}', '{}', p_records,
        ARRAY[0::bigint]) a;
    IF taken IS DISTINCT FROM p_amount THEN
        RAISE EXCEPTION 'task %: % taken instead of %', p_id, taken, p_amount
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF t.callback_url <> '' THEN
        INSERT INTO gateway_delivery (id, group_id, api_key_id, task_id, url)
        VALUES (p_delivery, t.group_id, t.api_key_id, p_id, t.callback_url);
    END IF;
    PERFORM gateway_tell(t.group_id, 'task.ended', 'task.ended:' || p_id, jsonb_build_object('task_id', p_id));
    PERFORM pg_notify('tollgate_tasks', p_id::text);
    RETURN true;
END $$;

-- 4. A balance below a threshold: an alert that fires (billing.alerts.check_balances). Who fell past several at once
-- hears of the lowest.
CREATE FUNCTION gateway_tell_low_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_tell(
        c.group_id, 'balance.low', format('balance.low:%s:%s', c.id, extract(epoch FROM c.fired_at)),
        jsonb_build_object(
            'threshold_nanos', c.threshold_nanos, 'balance_nanos', a.balance_nanos,
            'available_nanos', a.balance_nanos - a.held_nanos + a.credit_line_nanos))
    FROM (
        SELECT DISTINCT ON (n.group_id) n.id, n.group_id, n.threshold_nanos, n.fired_at
        FROM after_update n JOIN before_update o ON o.id = n.id
        WHERE o.is_armed AND NOT n.is_armed
        ORDER BY n.group_id, n.threshold_nanos
    ) c
    JOIN billing_account a ON a.group_id = c.group_id AND a.kind = 'wallet';
    RETURN NULL;
END $$;
CREATE TRIGGER gateway_alert_fires AFTER UPDATE ON billing_alert
    REFERENCING OLD TABLE AS before_update NEW TABLE AS after_update
    FOR EACH STATEMENT EXECUTE FUNCTION gateway_tell_low_balances();

-- 5. A key that was revoked, by whatever way. Looked at when the transaction is about to commit: by then the audit
-- trail has who did it, and group, maker and memberships are what they are now, which says why.
CREATE FUNCTION gateway_tell_revoked_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM gateway_tell(
        NEW.group_id, 'key.revoked', 'key.revoked:' || NEW.id,
        jsonb_build_object(
            'key_id', NEW.id, 'revoked_at', extract(epoch FROM NEW.revoked_at),
            'by', (SELECT c.actor_name FROM accounts_change c
                   WHERE c.subject_kind = 'apikey' AND c.subject_id = NEW.id::text AND c.verb = 'key.revoked'
                   ORDER BY c.id DESC LIMIT 1),
            'reason', CASE
                WHEN g.archived_at IS NOT NULL THEN 'group_archived'
                WHEN NOT u.is_active THEN 'account_deactivated'
                WHEN NOT u.is_staff
                 AND NOT EXISTS (SELECT 1 FROM accounts_groupmembership m WHERE m.group_id = g.id AND m.user_id = u.id)
                 AND NOT EXISTS (SELECT 1 FROM accounts_membership m
                                 WHERE m.organization_id = g.organization_id AND m.user_id = u.id AND m.role = 'admin')
                    THEN 'member_left'
                ELSE 'by_hand' END))
    FROM accounts_group g JOIN accounts_user u ON u.id = NEW.created_by_id
    WHERE g.id = NEW.group_id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gateway_key_revoked AFTER UPDATE OF revoked_at ON accounts_apikey
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL AND NEW.purpose <> 'playground')
    EXECUTE FUNCTION gateway_tell_revoked_key();
