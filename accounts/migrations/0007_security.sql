-- What `manage.py createcachetable` makes, but unlogged: counts of attempts may be lost when the server crashes, and
-- each attempt writes several rows.
CREATE UNLOGGED TABLE tollgate_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamp with time zone NOT NULL
);
CREATE INDEX tollgate_cache_expires ON tollgate_cache (expires);
