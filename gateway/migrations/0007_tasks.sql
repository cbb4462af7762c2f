-- gateway_apply as in migration 0006, with the key of the rate for pictures.
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

-- A task has ended once and for all.
CREATE TRIGGER gateway_task_ends_once BEFORE UPDATE ON gateway_task
    FOR EACH ROW WHEN (OLD.status IN ('completed', 'failed')
          AND (NEW.id, NEW.status, NEW.amount_nanos, NEW.hold_nanos, NEW.ended_at, NEW.error_code)
          IS DISTINCT FROM (OLD.id, OLD.status, OLD.amount_nanos, OLD.hold_nanos, OLD.ended_at, OLD.error_code))
    EXECUTE FUNCTION billing_refuse();

-- A task and its hold, in the caller's transaction. p_task is the row as JSON, p_limits the ids of its key's and its
-- group's limits (NULL: none).
--
-- outcome: 'created'; 'replayed' (the same key of idempotency with the same request: task_id is the task that exists);
-- 'conflict' (with another request); or 'refused', as billing_apply refuses a hold, and then nothing is left behind.
--
-- The row goes in before the hold: of two requests with one key of idempotency the second waits here, and while it
-- waits it must hold nothing that others need.
--
-- The hold's owner is 0: no process, so that none can take it with it. gateway_end_task ends it with its task.
CREATE FUNCTION gateway_create_task(
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
    END IF;
END $$;

-- One entry of a task's timeline.
CREATE FUNCTION gateway_event(what text, detail text) RETURNS jsonb LANGUAGE sql VOLATILE AS $$
    SELECT jsonb_build_object('at', round(extract(epoch FROM clock_timestamp()), 3), 'what', what, 'detail', detail)
$$;

-- Whether a task exists whose creation ended without an answer; where it does not, it never will: the hold that is left
-- here, resolved, makes a transaction fail that is still on its way. (While one is being committed, the insert waits.)
CREATE FUNCTION gateway_forget_task(p_id uuid, p_account bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_hold (id, account_id, owner_id, amount_nanos, state, memo, created_at, resolved_at)
    VALUES (p_id, p_account, 0, 1, 'released', 'never placed', clock_timestamp(), clock_timestamp())
    ON CONFLICT (id) DO NOTHING;
    RETURN NOT FOUND;
END $$;

-- The end of a task, in the caller's transaction: its status by compare-and-set, its hold captured (p_amount) or
-- released (0), its record, and the message to its callback. False, and nothing is done, where the task has ended or is
-- in other hands: p_fence is how many workers had claimed it when the caller last looked.
CREATE FUNCTION gateway_end_task(
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
    PERFORM pg_notify('tollgate_tasks', p_id::text);
    RETURN true;
END $$;

-- Cancels a task of the group that no worker has claimed, as gateway_end_task ends it. False where there is none.
CREATE FUNCTION gateway_cancel_task(p_id uuid, p_group uuid, p_delivery uuid) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    t gateway_task;
    message text := 'Cancelled before it was begun. Nothing was charged.';
BEGIN
    SELECT * INTO t FROM gateway_task e
    WHERE e.id = p_id AND e.group_id = p_group AND e.status = 'pending' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    RETURN gateway_end_task(p_id, t.attempts, 'failed', 'cancelled', message, 0, jsonb_build_array(jsonb_build_object(
        'id', t.id, 'organization_id', t.organization_id, 'group_id', t.group_id, 'api_key_id', t.api_key_id,
        'source', 'task', 'endpoint', t.endpoint, 'model', t.model, 'status', 'client_gone', 'stream', false,
        'service_tier', 'standard', 'created_at', extract(epoch FROM t.created_at),
        'duration_ms', (extract(epoch FROM clock_timestamp() - t.created_at) * 1000)::int,
        'input_tokens', 0, 'cached_input_tokens', 0, 'cache_write_tokens', 0, 'cache_write_1h_tokens', 0,
        'output_tokens', 0, 'reasoning_tokens', 0, 'audio_input_tokens', 0, 'audio_output_tokens', 0, 'images', 0,
        'basis', '', 'price_id', t.price_id, 'hold_nanos', t.hold_nanos, 'list_nanos', 0,
        'error_code', 'cancelled', 'error_message', message, 'attempts', '[]'::jsonb)), p_delivery);
END $$;
