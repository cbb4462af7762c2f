-- Money and the records of calls in one transaction and one round trip.
--
-- p_records is a JSON array of call records. One that belongs to a settlement of the same batch gets the amount that
-- was truly taken; one of a hold that had been resolved before (a batch sent twice, or a process taken for dead) is
-- left out where its row exists, and the row that exists stays.
CREATE FUNCTION gateway_apply(
    p_owner bigint,
    s_ids uuid[], s_accounts bigint[], s_amounts bigint[],
    h_ids uuid[], h_accounts bigint[], h_amounts bigint[], h_floors bigint[], h_memos text[],
    p_records jsonb,
    OUT s_taken bigint[], OUT s_written_off bigint[], OUT h_granted bigint[], OUT h_available bigint[]
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT b.* INTO s_taken, s_written_off, h_granted, h_available
    FROM billing_apply(p_owner, s_ids, s_accounts, s_amounts, h_ids, h_accounts, h_amounts, h_floors, h_memos) b;
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

CREATE TRIGGER gateway_provider_notify AFTER INSERT OR UPDATE OR DELETE ON gateway_provider
    FOR EACH STATEMENT EXECUTE FUNCTION billing_notify_catalog();
CREATE TRIGGER gateway_channel_notify AFTER INSERT OR UPDATE OR DELETE ON gateway_channel
    FOR EACH STATEMENT EXECUTE FUNCTION billing_notify_catalog();
CREATE TRIGGER gateway_model_notify AFTER INSERT OR UPDATE OR DELETE ON gateway_model
    FOR EACH STATEMENT EXECUTE FUNCTION billing_notify_catalog();
