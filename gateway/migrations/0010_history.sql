-- What finds the few among the many in a group's history (gateway/pages/walks.py names each). Like the index of the
-- group they end in the id, newest first, so that a page is read in its order and reading stops when the page is full.
-- All but the first are partial: a call that went well writes to none of them.

-- Every model that the group called, each newest first, and the list of models to choose from.
CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_callrecord_of_model
    ON gateway_callrecord (group_id, model, id DESC);

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_callrecord_of_status
    ON gateway_callrecord (group_id, status, id DESC) WHERE status <> 'completed';

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_callrecord_of_error
    ON gateway_callrecord (group_id, error_code, id DESC) WHERE error_code > '';

CREATE INDEX CONCURRENTLY IF NOT EXISTS gateway_callrecord_of_tasks
    ON gateway_callrecord (group_id, id DESC) WHERE source = 'task';
