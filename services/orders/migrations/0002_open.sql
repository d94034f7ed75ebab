-- How many sagas are open is asked often, and few of the orders are.
create index orders_open on orders (id) where status = 'created';
