-- What the provider was asked and answered. One row per idempotency key, whatever the answer.
create table charges (
    key text primary key,
    payment_id text not null,
    order_id text not null,
    amount_cents bigint not null check (amount_cents >= 0),
    outcome text not null check (outcome in ('charged', 'declined')),
    at_us bigint not null
);
