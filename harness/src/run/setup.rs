//! What there must be before the first order: a plan, a shop, a catalogue.

use super::{RunConfig, RunError};
use crate::client::{Call, ClientError};
use crate::faults::Planned;
use crate::history::{Action, Operation, Outcome, Story};
use crate::now_us;
use crate::plan::Plan;
use crate::progress::Doing;
use crate::target::{Target, Traces};
use crate::workload::{DECLINED_CENTS, NewProduct, Workload};
use bytes::Bytes;
use contract::http::{CreateProduct, Product};
use contract::{Cents, ProductId};
use futures_util::{StreamExt, TryStreamExt, stream};
use hyper::StatusCode;
use platform::Settings;
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{EmbeddedConfig, ProviderSettings};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// Products created at a time.
const CREATING: usize = 64;
/// Messages that the tap keeps: more than any run sends before a disk is full.
const TAP_MAX: i64 = 100_000_000;
/// How long an order may take to settle once the faults are over.
const SETTLE_BOUND_US: i64 = 30_000_000;

/// The name of a run: when it began, and its seed.
pub(super) fn name(began_us: i64, seed: u64) -> String {
    let time = contract::message::rfc3339(began_us).unwrap_or_default();
    let digits: String = time
        .chars()
        .take(19)
        .filter(char::is_ascii_alphanumeric)
        .collect();
    format!("{}-{seed}", digits.replace('T', "-"))
}

/// What is meant to happen.
pub(super) fn plan(
    config: &RunConfig,
    planned: &[Planned],
    workload: &Workload,
    (run, began_us): (String, i64),
) -> Plan {
    let settings = Settings::default();
    let chances = (1_u32 << settings.retries_max) - 1;
    // Each pause may be half as long again, and before each there are some tries at once.
    let attempts = settings.retry_after.mul_f64(1.5) * chances + std::time::Duration::from_secs(2);
    let mut stories: std::collections::BTreeSet<Story> = workload.told().into_keys().collect();
    stories.extend(&config.stories);
    if !workload.catalogue.is_empty() {
        stories.insert(Story::Catalogue);
    }
    Plan {
        run,
        seed: config.seed,
        replay: config.replay.clone(),
        rate: config.rate,
        starts: workload.starts.len() as u64,
        stories,
        faults: planned.iter().map(|fault| fault.kind.to_string()).collect(),
        thresholds: config
            .thresholds
            .iter()
            .map(|threshold| threshold.as_str().to_owned())
            .collect(),
        began_us,
        settle_bound_us: SETTLE_BOUND_US,
        attempts_max: settings.retries_max,
        attempts_us: i64::try_from(attempts.as_micros()).unwrap_or(i64::MAX),
        ..Plan::default()
    }
}

/// The amounts that the provider is to decline.
pub(super) fn declined() -> Vec<Cents> {
    Cents::try_from(DECLINED_CENTS).into_iter().collect()
}

/// The shop of a run.
pub(super) fn shop(config: &RunConfig, data: PathBuf, traces: Option<Traces>) -> EmbeddedConfig {
    EmbeddedConfig {
        data,
        synchronous: Synchronous::Normal,
        provider: ProviderSettings {
            decline_amounts_cents: declined(),
            ..ProviderSettings::default()
        },
        settings: Settings::default(),
        log: LogSettings {
            format: Format::Human,
            filter: config.log_filter.clone(),
            sink: Sink::Stderr,
        },
        telemetry: traces.map(|traces| traces.settings()),
        seed: config.seed,
        port: None,
        addresses: None,
        tap_max: TAP_MAX,
        planted: config.planted,
    }
}

/// Creates the products of the workload; their ids in the order of the catalogue.
pub(super) async fn catalogue(
    target: &Target,
    plan: &Plan,
    workload: &Workload,
    history: &mpsc::Sender<Operation>,
) -> Result<Vec<ProductId>, RunError> {
    let creating = workload.catalogue.iter().enumerate().map(|(n, product)| {
        let key = format!("{}-product-{n}", plan.run);
        create(target, product, key, history)
    });
    stream::iter(creating)
        .buffered(CREATING)
        .try_collect()
        .await
}

async fn create(
    target: &Target,
    product: &NewProduct,
    key: String,
    history: &mpsc::Sender<Operation>,
) -> Result<ProductId, RunError> {
    let NewProduct {
        name,
        price_cents,
        stock,
        ..
    } = product;
    let (price_cents, stock) = (*price_cents, *stock);
    let body = serde_json::to_vec(&CreateProduct {
        name: name.clone(),
        price_cents,
        stock,
    });
    let body = body.map_err(|error| RunError::SetUp(error.to_string()))?;
    let start_us = now_us();
    let answer = target
        .client("products")
        .send(Call::post("/api/v1/products", Bytes::from(body), &key))
        .await;
    let (product_id, outcome) = match &answer {
        Ok((StatusCode::CREATED, body)) => {
            let product = serde_json::from_slice::<Product>(body);
            let product_id = product
                .map_err(|error| RunError::SetUp(error.to_string()))?
                .id;
            (Ok(product_id), Outcome::Created { product_id })
        }
        Ok((status, body)) => {
            let text = String::from_utf8_lossy(body);
            (
                Err(format!("{status}: {text}")),
                Outcome::Unknown {
                    why: status.to_string(),
                },
            )
        }
        Err(error @ ClientError::NotSent { .. }) => {
            (Err(error.to_string()), Outcome::Refused { status: 0 })
        }
        Err(error) => (
            Err(error.to_string()),
            Outcome::Unknown {
                why: error.to_string(),
            },
        ),
    };
    let operation = Operation {
        story: Story::Catalogue,
        action: Action::CreateProduct { price_cents, stock },
        key: Some(key),
        due_us: start_us,
        start_us,
        end_us: now_us(),
        outcome,
    };
    // Whoever writes it down has said so if he cannot.
    let _ = history.send(operation).await;
    product_id.map_err(RunError::SetUp)
}

/// Says which fault is on.
pub(super) async fn announce(doing: Doing, planned: Vec<Planned>) {
    let began = tokio::time::Instant::now();
    for fault in planned.into_iter().filter(|fault| fault.kind.has_window()) {
        tokio::time::sleep_until(began + fault.at).await;
        let at = fault
            .service
            .map_or(String::new(), |service| format!(" at {service}"));
        doing.say(format!("fault: {}{at}", fault.kind));
        tokio::time::sleep(fault.lasts).await;
        doing.say("");
    }
}
