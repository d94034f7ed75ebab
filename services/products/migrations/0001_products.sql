create table products (
    id text primary key,
    name text not null,
    price_cents bigint not null check (price_cents >= 0),
    available bigint not null check (available >= 0),
    received bigint not null check (received >= available),
    version bigint not null
);

-- One row per order line. `received` of a product minus what is reserved or sold is what is available.
create table reservations (
    order_id text not null,
    product_id text not null references products (id),
    quantity bigint not null check (quantity > 0),
    unit_price_cents bigint not null check (unit_price_cents >= 0),
    status text not null check (status in ('created', 'consumed', 'canceled')),
    version bigint not null,
    primary key (order_id, product_id)
);

-- Every order changes some of these rows: room for the next version of a row beside it.
--tune alter table products set (fillfactor = 50)
--tune alter table reservations set (fillfactor = 80)
