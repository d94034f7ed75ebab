//! HTTP in: look at the payments. Nobody creates one from outside.

use crate::sql;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::PaymentId;
use contract::http::Payment;
use platform::http::{Api, Doc, Id, Listing, Problem, Reply, list};
use platform::{Context, Result};

pub(crate) fn routes(ctx: &Context) -> Api {
    Api::new(ctx)
        .get(
            "/api/v1/payments",
            all,
            Doc::new("List payments").lists::<Payment>(),
        )
        .get(
            "/api/v1/payments/{id}",
            read,
            Doc::new("Look at a payment").gives::<Payment>(200, "the payment"),
        )
}

async fn all(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(sql::page(tx, after, n))
    })
    .await
}

async fn read(State(ctx): State<Context>, Id(id): Id<PaymentId>) -> Result<Response> {
    let payment = sql::look(ctx.store(), id)
        .await?
        .ok_or_else(|| Problem::not_found("payment", id))?;
    Ok(Reply::json(StatusCode::OK, &payment).into_response())
}
