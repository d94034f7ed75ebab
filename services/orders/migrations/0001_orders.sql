create table orders (
    id text primary key,
    status text not null check (status in ('created', 'finished', 'canceled')),
    version bigint not null,
    items text not null,
    amount_cents bigint check (amount_cents >= 0),
    reason text,
    created_at_us bigint not null,
    settled_at_us bigint,
    trace_id text not null,
    idempotency_key text,
    check ((status = 'created') = (settled_at_us is null)),
    check ((status = 'canceled') = (reason is not null))
);

-- Each row is changed once, when it is settled: room for that beside it.
--tune alter table orders set (fillfactor = 80)
