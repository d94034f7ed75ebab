-- What a service said, in the transaction that made it true. Also the outbox: published_at_us is null until
-- the relay has the broker's confirm.
create table events (
    id text primary key,
    type text not null,
    entity text not null,
    entity_id text not null,
    version bigint not null,
    subject text not null,
    cause text,
    data text not null,
    traceparent text,
    tracestate text,
    time_us bigint not null,
    published_at_us bigint,
    leased_until_us bigint
);

create index events_unpublished on events (time_us) where published_at_us is null;

-- Ids of the messages that were applied. `seen` counts deliveries, the first included.
create table inbox (
    message_id text primary key,
    seen bigint not null,
    applied_at_us bigint not null
);

-- The reply to each keyed request, kept for 24 hours.
create table idempotency_keys (
    key text primary key,
    fingerprint text not null,
    status bigint not null,
    location text,
    body text not null,
    created_at_us bigint not null
);

create index idempotency_keys_age on idempotency_keys (created_at_us);

-- Rows are written once or twice and then only read: cleaning up goes by what changed, not by the size.
--tune alter table events set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000, autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)
--tune alter table inbox set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000)
