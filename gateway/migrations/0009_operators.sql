-- What operators see and set.

-- 1. A cost that could be rewritten would change the margins of months that are over.
CREATE TRIGGER gateway_channelcost_immutable BEFORE UPDATE OR DELETE ON gateway_channelcost
    FOR EACH ROW EXECUTE FUNCTION accounts_refuse();
CREATE TRIGGER gateway_channelcost_kept BEFORE TRUNCATE ON gateway_channelcost
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_refuse();

-- 2. Calls that failed, of every tenant, newest first: few among many, and looked for when things go wrong. Only such a
-- call pays for it.
CREATE INDEX gateway_callrecord_failing ON gateway_callrecord (id DESC)
    WHERE status IN ('upstream_failed', 'timed_out', 'lost', 'refused');
