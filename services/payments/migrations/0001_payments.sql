create table payments (
    id text primary key,
    order_id text not null unique,
    amount_cents bigint not null check (amount_cents >= 0),
    status text not null check (status in ('created', 'processed', 'failed')),
    reason text,
    version bigint not null,
    -- The payment.created that told of it: the cause and the trace of whatever the charger says, also after a sweep.
    told_by text not null,
    traceparent text not null,
    tracestate text,
    created_at_us bigint not null,
    leased_until_us bigint,
    check ((status = 'failed') = (reason is not null))
);

create index payments_open on payments (created_at_us) where status = 'created';
