-- gateway_apply as in migration 0003, with the provider's id of an answer that a later call may continue.
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
            basis, price_id, hold_nanos, list_nanos, amount_nanos, written_off_nanos, error_code, error_message,
            upstream_id, attempts)
        SELECT r.id, r.organization_id, r.group_id, r.api_key_id, r.source, r.endpoint, r.model, r.status, r.stream,
            r.service_tier, to_timestamp(r.created_at), r.duration_ms, r.first_token_ms, r.input_tokens,
            r.cached_input_tokens, r.cache_write_tokens, r.cache_write_1h_tokens, r.output_tokens,
            r.reasoning_tokens, r.audio_input_tokens, r.audio_output_tokens, r.images, r.basis, r.price_id,
            r.hold_nanos, r.list_nanos, greatest(coalesce(t.taken, 0), 0), coalesce(t.written_off, 0),
            r.error_code, r.error_message, coalesce(r.upstream_id, ''), r.attempts
        FROM jsonb_to_recordset(p_records) AS r(
            id uuid, organization_id uuid, group_id uuid, api_key_id uuid, source text, endpoint text, model text,
            status text, stream boolean, service_tier text, created_at double precision, duration_ms int,
            first_token_ms int, input_tokens bigint, cached_input_tokens bigint, cache_write_tokens bigint,
            cache_write_1h_tokens bigint, output_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
            audio_output_tokens bigint, images int, basis text, price_id bigint, hold_nanos bigint,
            list_nanos bigint, error_code text, error_message text, upstream_id text,
            attempts jsonb)
        LEFT JOIN unnest(s_ids, s_taken, s_written_off) AS t(id, taken, written_off) ON t.id = r.id
        ON CONFLICT (id) DO NOTHING;
    END IF;
END $$;
