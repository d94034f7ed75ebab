//! HTTP in: ask for a charge, see the ledger, change how the provider behaves.

use super::{Provider, ProviderSettings, Simulated, ledger};
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contract::http::{Charge, ChargeOutcome, ChargeRequest};
use platform::http::{About, Api, Body, Doc, Listing, Problem, Reply, list};
use platform::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a request that is not answered is held. Whoever asks has lost patience long before; held for ever, the
/// requests of all lost answers would pile up.
const HELD_MAX: Duration = Duration::from_secs(2);

/// The answer to a charge.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(super) struct Answer {
    pub(super) outcome: ChargeOutcome,
}

pub(super) fn routes(ctx: &Context, provider: &Simulated) -> Api {
    let [asked, read, written] = [provider; 3].map(Clone::clone);
    Api::new(ctx)
        .post(
            "/api/v1/charges",
            move |body: Body<ChargeRequest>| charge(asked.clone(), body),
            Doc::new("Charge a payment, once however often it is asked")
                .takes::<ChargeRequest>()
                .gives::<Answer>(200, "the answer"),
        )
        .get(
            "/api/v1/charges",
            all,
            Doc::new("The ledger").lists::<Charge>(),
        )
        .get(
            "/api/v1/settings",
            move || async move { Reply::json(StatusCode::OK, &read.settings()) },
            Doc::new("How the provider behaves").gives::<ProviderSettings>(200, "the settings"),
        )
        .put(
            "/api/v1/settings",
            move |body: Body<ProviderSettings>| async move { change(&written, body.value) },
            Doc::new(
                "Make the provider behave otherwise; what is not given is as in the beginning",
            )
            .takes::<ProviderSettings>()
            .gives::<ProviderSettings>(200, "the settings from now on"),
        )
}

async fn charge(provider: Simulated, body: Body<ChargeRequest>) -> Result<Response> {
    let about = About("order.id", body.value.order_id.0);
    let charging = provider.charge(body.value, body.trace);
    let answer = tokio::time::timeout(HELD_MAX, charging).await;
    let outcome = answer.unwrap_or_else(|_| Err(Problem::timed_out().into()))?;
    let reply = Reply::json(StatusCode::OK, &Answer { outcome });
    Ok((Extension(about), reply).into_response())
}

fn change(provider: &Simulated, settings: ProviderSettings) -> Result<Response> {
    settings.check()?;
    provider.set(settings);
    Ok(Reply::json(StatusCode::OK, &provider.settings()).into_response())
}

async fn all(State(ctx): State<Context>, listing: Listing) -> Result<Response> {
    list(&ctx, listing, |tx, after, n| {
        Box::pin(ledger::page(tx, after, n))
    })
    .await
}
