//! Every statement of the payments service.

use contract::http::{Payment, PaymentStatus};
use contract::{Bug, Cents, MessageId, OrderId, PaymentId, Reason};
use platform::store::{Claim, Edit, Find, Insert, Kind, Result, Row, Store, StoreError, Tx};
use platform::{Context, Origin, Trace, params, planted};

/// A payment that waits to be charged, with what its outcome will be said in answer to.
#[derive(Debug, Clone)]
pub(crate) struct Open {
    pub(crate) payment_id: PaymentId,
    pub(crate) order_id: OrderId,
    pub(crate) amount_cents: Cents,
    pub(crate) origin: Origin,
}

const PAYMENTS: Insert = Insert {
    table: "payments",
    columns: &[
        ("id", Kind::Text),
        ("order_id", Kind::Text),
        ("amount_cents", Kind::Int),
        ("status", Kind::Text),
        ("version", Kind::Int),
        ("told_by", Kind::Text),
        ("traceparent", Kind::Text),
        ("tracestate", Kind::Text),
        ("created_at_us", Kind::Int),
    ],
    key: Some("id"),
};

/// Stores a new payment. False: the order has one already.
pub(crate) async fn insert(tx: &dyn Tx, open: &Open, now_us: i64) -> Result<bool> {
    let row = params![
        open.payment_id.0,
        open.order_id.0,
        open.amount_cents.get(),
        PaymentStatus::Created.as_str(),
        1_i64,
        open.origin.cause.map(|cause| cause.0),
        open.origin.trace.traceparent(),
        open.origin.trace.tracestate(),
        now_us
    ];
    tx.insert(&PAYMENTS, row).await
}

/// How many payments are neither processed nor failed.
pub(crate) async fn count_open(tx: &dyn Tx) -> Result<i64> {
    let sql = "select count(*) from payments where status = 'created'";
    let rows = tx.query(sql, &[]).await?;
    rows.first().map_or(Ok(0), |row| row.get(0))
}

const END: Edit = Edit {
    table: "payments",
    given: &[Kind::Text, Kind::Text, Kind::Text],
    set: "status = $2, reason = $3, version = version + 1",
    key: "id",
    guard: "coalesce(status, '') = 'created'",
    returns: "version",
};

/// Ends an open payment; returns the version after it. None: it is not open. Only a planted bug is not `guarded`:
/// it ends the payment again.
pub(crate) async fn end(
    tx: &dyn Tx,
    id: PaymentId,
    status: PaymentStatus,
    reason: Option<Reason>,
    guarded: bool,
) -> Result<Option<i64>> {
    let given = params![id.0, status.as_str(), reason.map(Reason::as_str)];
    let rows = tx.edit(&END.guarded(guarded), given).await?;
    rows.first().map(|row| row.get(0)).transpose()
}

const STATUS: Find = Find {
    table: "payments",
    columns: "status",
    key: "id",
};

/// Where a payment stands.
pub(crate) async fn status(tx: &dyn Tx, id: PaymentId) -> Result<Option<PaymentStatus>> {
    let found = tx.find(&STATUS, &id.to_string()).await?;
    found
        .map(|row| row.parsed(0, PaymentStatus::parse))
        .transpose()
}

/// Claims up to `n` payments that were created before `before_us` and are not charged yet, oldest first.
pub(crate) async fn open(
    ctx: &Context,
    before_us: i64,
    n: i64,
    lease_us: i64,
) -> Result<Vec<Open>> {
    let claim = Claim {
        table: "payments",
        columns: "id, order_id, amount_cents, told_by, traceparent, tracestate",
        due: "status = 'created' and created_at_us < $1",
        order: "created_at_us, id",
        before_us,
        n,
        now_us: ctx.now_us(),
        lease_us,
    };
    let mut open = ctx
        .store()
        .claim(claim)
        .await?
        .iter()
        .map(|row| {
            let cause: uuid::Uuid = row.get(3)?;
            let tracestate: Option<String> = row.get(5)?;
            Ok(Open {
                payment_id: PaymentId(row.get(0)?),
                order_id: OrderId(row.get(1)?),
                amount_cents: row.via::<i64, Cents>(2)?,
                origin: Origin {
                    cause: (!planted!(ctx, Bug::SweepWithoutCause)).then_some(MessageId(cause)),
                    trace: row.parsed(4, |text| Trace::parse(text, tracestate.as_deref()))?,
                },
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    open.sort_by_key(|open| open.payment_id);
    Ok(open)
}

/// Payments after the id `after`, in id order.
pub(crate) async fn page(tx: &dyn Tx, after: &str, n: i64) -> Result<Vec<(String, Payment)>> {
    let sql = format!("select {COLUMNS} from payments where id > $1 order by id limit $2");
    let rows = tx.query(&sql, params![after, n]).await?;
    rows.iter()
        .map(|row| payment(row).map(|payment| (payment.id.to_string(), payment)))
        .collect()
}

const COLUMNS: &str = "id, order_id, amount_cents, status, reason, version";

/// The payment with this id, as it is just now.
pub(crate) async fn look(store: &dyn Store, id: PaymentId) -> Result<Option<Payment>> {
    let find = Find {
        columns: COLUMNS,
        ..STATUS
    };
    let found = store.find(&find, &id.to_string()).await?;
    found.as_ref().map(payment).transpose()
}

fn payment(row: &Row) -> Result<Payment> {
    Ok(Payment {
        id: PaymentId(row.get(0)?),
        order_id: OrderId(row.get(1)?),
        amount_cents: row.via::<i64, Cents>(2)?,
        status: row.parsed(3, PaymentStatus::parse)?,
        reason: row.parsed_opt(4, Reason::parse)?,
        version: row.get(5)?,
    })
}
