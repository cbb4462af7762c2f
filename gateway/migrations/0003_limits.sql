-- gateway_apply as in migration 0002, with the limits of billing_apply: the new parameters may be left out.
DROP FUNCTION gateway_apply(
    bigint, uuid[], bigint[], bigint[], uuid[], bigint[], bigint[], bigint[], text[], jsonb);
CREATE FUNCTION gateway_apply(
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
            basis, price_id, hold_nanos, list_nanos, amount_nanos, written_off_nanos, error_code, error_message,
            attempts)
        SELECT r.id, r.organization_id, r.group_id, r.api_key_id, r.source, r.endpoint, r.model, r.status, r.stream,
            r.service_tier, to_timestamp(r.created_at), r.duration_ms, r.first_token_ms, r.input_tokens,
            r.cached_input_tokens, r.cache_write_tokens, r.cache_write_1h_tokens, r.output_tokens,
            r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.images, r.basis, r.price_id,
            r.hold_nanos, r.list_nanos, greatest(coalesce(t.taken, 0), 0), coalesce(t.written_off, 0),
            r.error_code, r.error_message, r.attempts
        FROM jsonb_to_recordset(p_records) AS r(
            id uuid, organization_id uuid, group_id uuid, api_key_id uuid, source text, endpoint text, model text,
            status text, stream boolean, service_tier text, created_at double precision, duration_ms int,
            first_token_ms int, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            cache_write_1h_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
            audio_output_tokens bigint, images int, basis text, price_id bigint, hold_nanos bigint,
            list_nanos bigint, error_code text, error_message text, attempts jsonb)
        LEFT JOIN unnest(s_ids, s_taken, s_written_off) AS t(id, taken, written_off) ON t.id = r.id
        ON CONFLICT (id) DO NOTHING;
    END IF;
END $$;

-- A new limit begins with what its key or group has spent before. Which key a call had, only its record knows; what a
-- group's wallet was charged, the ledger knows. A call that was running when the limit was made is counted by neither.
CREATE FUNCTION gateway_seed_limit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    today timestamptz := date_trunc('day', clock_timestamp(), 'UTC');
    this_month timestamptz := date_trunc('month', clock_timestamp(), 'UTC');
BEGIN
    NEW.day := (today AT TIME ZONE 'UTC')::date;
    NEW.month := (this_month AT TIME ZONE 'UTC')::date;
    IF NEW.api_key_id IS NOT NULL THEN
        SELECT coalesce(sum(r.amount), 0), coalesce(sum(r.amount) FILTER (WHERE r.ended_at >= this_month), 0),
               coalesce(sum(r.amount) FILTER (WHERE r.ended_at >= today), 0)
        INTO NEW.lifetime_spent_nanos, NEW.month_spent_nanos, NEW.day_spent_nanos
        FROM (SELECT amount_nanos AS amount, created_at + duration_ms * interval '1 ms' AS ended_at
              FROM gateway_callrecord WHERE api_key_id = NEW.api_key_id) r;
    ELSE
        SELECT coalesce(sum(t.amount), 0), coalesce(sum(t.amount) FILTER (WHERE t.created_at >= this_month), 0),
               coalesce(sum(t.amount) FILTER (WHERE t.created_at >= today), 0)
        INTO NEW.lifetime_spent_nanos, NEW.month_spent_nanos, NEW.day_spent_nanos
        FROM (SELECT t.amount_nanos AS amount, t.created_at
              FROM billing_transfer t JOIN billing_account a ON a.id = t.debit_account_id
              WHERE a.group_id = NEW.group_id AND t.kind = 'capture') t;
    END IF;
    NEW.seeded_nanos := NEW.lifetime_spent_nanos;
    RETURN NEW;
END $$;
CREATE TRIGGER gateway_seed_limit BEFORE INSERT ON billing_limit
    FOR EACH ROW EXECUTE FUNCTION gateway_seed_limit();
