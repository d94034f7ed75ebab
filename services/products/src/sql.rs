//! Every statement of the products service.

use contract::http::{Product, Reservation, ReservationStatus};
use contract::{Bug, Cents, Line, OrderId, ProductId, Quantity, ReservedLine};
use platform::store::{Edit, Find, Insert, Kind, Param, Result, Row, Store, StoreError, Tx};
use platform::{Context, params, planted};
use std::fmt::Write;

/// More units than this are never in one place: 2^53 - 1, as for money.
pub(crate) const RECEIVED_MAX: i64 = Cents::MAX.get();

/// Stores a new product.
pub(crate) async fn insert(tx: &dyn Tx, product: &Product) -> Result<()> {
    let Product {
        id,
        name,
        price_cents,
        available,
        received,
        version,
    } = product;
    tx.execute(
        "insert into products (id, name, price_cents, available, received, version) values ($1, $2, $3, $4, $5, $6)",
        params![id.0, name, price_cents.get(), *available, *received, *version],
    )
    .await?;
    Ok(())
}

/// Adds units; returns the product as it is right after that, whatever its neighbours do. None: no such product, or
/// it would be too many.
pub(crate) async fn restock(tx: &dyn Tx, id: ProductId, quantity: i64) -> Result<Option<Product>> {
    let columns = PRODUCT.columns;
    let sql = format!(
        "update products set available = available + $2, received = received + $2, version = version + 1
         where id = $1 and received <= $3 - $2 returning {columns}"
    );
    let rows = tx
        .query(&sql, params![id.0, quantity, RECEIVED_MAX])
        .await?;
    rows.first().map(product).transpose()
}

/// Takes all of `lines` from the stock for an order that has no reservation yet, or nothing: one statement.
/// Empty: it could not be done.
pub(crate) async fn reserve(
    ctx: &Context,
    tx: &dyn Tx,
    order_id: OrderId,
    lines: &[Line],
) -> Result<Vec<ReservedLine>> {
    let mut params: Vec<Param<'_>> = Vec::with_capacity(lines.len() * 2 + 3);
    let mut values = String::new();
    for line in lines {
        let n = params.len();
        let comma = if n == 0 { "" } else { ", " };
        // Writing into a string cannot fail.
        let _ = write!(
            values,
            "{comma}(cast(${} as text), cast(${} as bigint))",
            n + 1,
            n + 2
        );
        params.push(line.product_id.0.into());
        params.push(line.quantity.get().into());
    }
    let n = params.len();
    params.push(Param::Int(i64::try_from(lines.len()).unwrap_or(i64::MAX)));
    params.push(Param::Int(Cents::MAX.get()));
    params.push(order_id.0.into());
    let mut sql = format!(
        "with lines (id, q) as (values {values})
         update products
         set available = available - (select q from lines where lines.id = products.id), version = version + 1
         where id in (select id from lines)
           and (select count(*) from products p join lines l on p.id = l.id where p.available >= l.q) = ${}
           and (select sum(p.price_cents * l.q) from products p join lines l on p.id = l.id) <= ${}
           and not exists (select 1 from reservations where order_id = ${})
         returning id, available, version, price_cents",
        n + 1,
        n + 2,
        n + 3,
    );
    if planted!(ctx, Bug::Oversell) {
        sql = sql
            .replace("p.available >= l.q", "p.available >= 0")
            .replace(
                "available - (select q from",
                "(select case when available > q then available - q else 0 end from",
            );
    }
    if planted!(ctx, Bug::KeepTheVersion) {
        sql = sql.replace("version = version + 1", "version = version");
    }
    let mut reserved = Vec::with_capacity(lines.len());
    for row in tx.query(&sql, &params).await? {
        let product_id = ProductId(row.get(0)?);
        let line = lines.iter().find(|line| line.product_id == product_id);
        let line =
            line.ok_or_else(|| StoreError::Statement(format!("{product_id} was not asked for")))?;
        reserved.push(ReservedLine {
            product_id,
            quantity: line.quantity,
            unit_price_cents: row.via::<i64, Cents>(3)?,
            available_after: row.get(1)?,
            product_version: row.get(2)?,
        });
    }
    // Engines return rows in any order; what is said must not depend on it.
    reserved.sort_by_key(|line| line.product_id);
    Ok(reserved)
}

const RESERVATIONS: Insert = Insert {
    table: "reservations",
    columns: &[
        ("order_id", Kind::Text),
        ("product_id", Kind::Text),
        ("quantity", Kind::Int),
        ("unit_price_cents", Kind::Int),
        ("status", Kind::Text),
        ("version", Kind::Int),
    ],
    key: None,
};

/// Stores the reservation of an order.
pub(crate) async fn insert_reservation(
    tx: &dyn Tx,
    order_id: OrderId,
    lines: &[ReservedLine],
) -> Result<()> {
    let row = |line: &ReservedLine| {
        params![
            order_id.0,
            line.product_id.0,
            line.quantity.get(),
            line.unit_price_cents.get(),
            ReservationStatus::Created.as_str(),
            1_i64
        ]
        .to_vec()
    };
    let rows: Vec<Vec<Param<'_>>> = lines.iter().map(row).collect();
    tx.insert_many(&RESERVATIONS, &rows).await.map(drop)
}

/// Sets the stock of a product to `available`, whatever it is by now; only a planted bug does that.
pub(crate) async fn overwrite(tx: &dyn Tx, line: &Line, available: i64) -> Result<ReservedLine> {
    let rows = tx
        .query(
            "update products set available = $2, version = version + 1 where id = $1
             returning available, version, price_cents",
            params![line.product_id.0, available],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Statement(format!("no product {}", line.product_id)))?;
    Ok(ReservedLine {
        product_id: line.product_id,
        quantity: line.quantity,
        unit_price_cents: row.via::<i64, Cents>(2)?,
        available_after: row.get(0)?,
        product_version: row.get(1)?,
    })
}

const END_RESERVATION: Edit = Edit {
    table: "reservations",
    given: &[Kind::Text, Kind::Text],
    set: "status = $2, version = version + 1",
    key: "order_id",
    guard: "coalesce(status, '') = 'created'",
    returns: LINE,
};

/// Ends an open reservation; returns its lines with the version after it. Empty: it is not open. Only a planted
/// bug is not `guarded`: it ends the reservation again.
pub(crate) async fn end_reservation(
    tx: &dyn Tx,
    order_id: OrderId,
    status: ReservationStatus,
    guarded: bool,
) -> Result<Vec<Reservation>> {
    let edit = END_RESERVATION.guarded(guarded);
    let rows = tx.edit(&edit, params![order_id.0, status.as_str()]).await?;
    let mut lines = rows.iter().map(reservation).collect::<Result<Vec<_>>>()?;
    lines.sort_by_key(|line| line.product_id);
    Ok(lines)
}

/// Gives `quantity` units of one line back; returns the line with the stock after it.
pub(crate) async fn give_back(
    tx: &dyn Tx,
    line: &Reservation,
    quantity: Quantity,
) -> Result<ReservedLine> {
    let rows = tx
        .query(
            "update products set available = available + $2, version = version + 1 where id = $1
             returning available, version",
            params![line.product_id.0, quantity.get()],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::Statement(format!("no product {}", line.product_id)))?;
    Ok(ReservedLine {
        product_id: line.product_id,
        quantity,
        unit_price_cents: line.unit_price_cents,
        available_after: row.get(0)?,
        product_version: row.get(1)?,
    })
}

/// Where the reservation of an order stands.
pub(crate) async fn reservation_status(
    tx: &dyn Tx,
    order_id: OrderId,
) -> Result<Option<ReservationStatus>> {
    let rows = tx
        .query(
            "select status from reservations where order_id = $1 limit 1",
            params![order_id.0],
        )
        .await?;
    rows.first()
        .map(|row| row.parsed(0, ReservationStatus::parse))
        .transpose()
}

/// The products that an order has reserved.
pub(crate) async fn reserved_products(tx: &dyn Tx, order_id: OrderId) -> Result<Vec<String>> {
    let sql = "select product_id from reservations where order_id = $1";
    tx.query(sql, params![order_id.0])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect()
}

const PRODUCT: Find = Find {
    table: "products",
    columns: "id, name, price_cents, available, received, version",
    key: "id",
};

/// The product with this id.
pub(crate) async fn find(tx: &dyn Tx, id: ProductId) -> Result<Option<Product>> {
    let found = tx.find(&PRODUCT, &id.to_string()).await?;
    found.as_ref().map(product).transpose()
}

/// The product with this id, as it is just now.
pub(crate) async fn look(store: &dyn Store, id: ProductId) -> Result<Option<Product>> {
    let found = store.find(&PRODUCT, &id.to_string()).await?;
    found.as_ref().map(product).transpose()
}

/// Products after the id `after`, in id order.
pub(crate) async fn page(tx: &dyn Tx, after: &str, n: i64) -> Result<Vec<(String, Product)>> {
    let columns = PRODUCT.columns;
    let sql = format!("select {columns} from products where id > $1 order by id limit $2");
    let rows = tx.query(&sql, params![after, n]).await?;
    rows.iter()
        .map(|row| product(row).map(|product| (product.id.to_string(), product)))
        .collect()
}

/// All products together.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stock {
    pub(crate) products: i64,
    pub(crate) sold_out: i64,
    pub(crate) available: i64,
    pub(crate) taken: i64,
}

/// What there is of all products together.
pub(crate) async fn stock(tx: &dyn Tx) -> Result<Stock> {
    let sql = "select count(*), cast(coalesce(sum(case when available = 0 then 1 else 0 end), 0) as bigint),
               cast(coalesce(sum(available), 0) as bigint), cast(coalesce(sum(received - available), 0) as bigint)
               from products";
    let rows = tx.query(sql, &[]).await?;
    rows.first().map_or(Ok(Stock::default()), |row| {
        Ok(Stock {
            products: row.get(0)?,
            sold_out: row.get(1)?,
            available: row.get(2)?,
            taken: row.get(3)?,
        })
    })
}

const LINE: &str = "order_id, product_id, quantity, unit_price_cents, status, version";

/// Reservation lines after `after` (`orderId/productId`), in that order.
pub(crate) async fn reservations_page(
    tx: &dyn Tx,
    after: &str,
    n: i64,
) -> Result<Vec<(String, Reservation)>> {
    let (order_id, product_id) = after.split_once('/').unwrap_or((after, ""));
    let sql = format!(
        "select {LINE} from reservations
         where (order_id, product_id) > ($1, $2) order by order_id, product_id limit $3"
    );
    let rows = tx.query(&sql, params![order_id, product_id, n]).await?;
    let keyed =
        |row| reservation(row).map(|line| (format!("{}/{}", line.order_id, line.product_id), line));
    rows.iter().map(keyed).collect()
}

fn product(row: &Row) -> Result<Product> {
    Ok(Product {
        id: ProductId(row.get(0)?),
        name: row.get(1)?,
        price_cents: row.via::<i64, Cents>(2)?,
        available: row.get(3)?,
        received: row.get(4)?,
        version: row.get(5)?,
    })
}

fn reservation(row: &Row) -> Result<Reservation> {
    Ok(Reservation {
        order_id: OrderId(row.get(0)?),
        product_id: ProductId(row.get(1)?),
        quantity: row.via::<i64, Quantity>(2)?,
        unit_price_cents: row.via::<i64, Cents>(3)?,
        status: row.parsed(4, ReservationStatus::parse)?,
        version: row.get(5)?,
    })
}
