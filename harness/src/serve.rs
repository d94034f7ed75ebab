//! `crashcart serve`: the shop, for as long as you want it.

use crate::cli::ServeArgs;
use anyhow::{Context, Result};
use bytes::Bytes;
use contract::http::{CreateProduct, Product};
use harness::client::{Call, Client};
use harness::target::child::live;
use harness::ui::{Shown, Ui};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use platform::telemetry;
use shop::{Addresses, Embedded, EmbeddedConfig, ProviderSettings};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the shop until Ctrl-C or SIGTERM; a child until its parent has nothing more to say.
pub(crate) fn serve(args: &ServeArgs) -> ExitCode {
    let served = match &args.child {
        Some(config) => {
            live(config, std::io::stdin().lock(), std::io::stdout()).map_err(Into::into)
        }
        None => try_serve(args),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crashcart: {error}");
            ExitCode::from(100)
        }
    }
}

fn try_serve(args: &ServeArgs) -> Result<()> {
    // Only where it is needed: who is killed cannot remove it.
    let (data, _temporary) = if let Some(data) = &args.data {
        (data.clone(), None)
    } else {
        let made = tempfile::Builder::new().prefix("crashcart-").tempdir();
        let made = made.context("no temporary directory")?;
        (made.path().to_owned(), Some(made))
    };
    let ui = args.ui.map(Ui::bind).transpose()?;
    let traces = telemetry(ui.as_ref())?;
    let shop = Embedded::start(&config(args, data.clone(), traces))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Held to the end: what is in work is still told of.
    let _shown = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let product = any_product(shop.addresses).await?;
        let place = place(shop.addresses, &product);
        let shown = ui.map(|ui| ui.show(&place)).transpose()?;
        announce(
            shop.addresses,
            (&product, &place),
            args.data.is_some().then_some(data),
            shown.as_ref(),
        );
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok::<_, anyhow::Error>(shown)
    })?;
    eprintln!("stopping: answering what is in work (again to stop at once)");
    let (stopped, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        shop.stop();
        // We may have stopped waiting.
        let _ = stopped.send(());
    });
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::select! {
            biased;
            _ = end => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    })
}

/// Where traces go: where the usual variables say, or to the page.
fn telemetry(ui: Option<&Ui>) -> Result<Option<telemetry::Settings>> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let of_page = |name: &str| match (name, ui) {
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Some(ui)) => Some(ui.endpoint()),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Some(_)) => Some("http/protobuf".to_owned()),
        // Somebody is looking.
        ("OTEL_BSP_SCHEDULE_DELAY", Some(_)) => variable(name).or_else(|| Some("100".to_owned())),
        _ => variable(name),
    };
    let named = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    let elsewhere = named.into_iter().find(|name| variable(name).is_some());
    if let (Some(name), Some(_)) = (elsewhere, ui) {
        anyhow::bail!(
            "{name} sends the traces to a collector, and --ui wants them for its page: unset {name} to see them there, or \
             leave --ui out to send them on"
        );
    }
    let settings = telemetry::Settings::read(of_page).map_err(|bad| {
        let bad = bad
            .iter()
            .map(|bad| format!("{}: {}", bad.name, bad.message));
        anyhow::anyhow!(
            "these variables cannot be used:\n  {}",
            bad.collect::<Vec<_>>().join("\n  ")
        )
    })?;
    anyhow::ensure!(
        ui.is_none() || settings.is_some(),
        "nothing is traced, so --ui has nothing to show: unset OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER, or leave --ui out"
    );
    Ok(settings)
}

fn config(
    args: &ServeArgs,
    data: PathBuf,
    telemetry: Option<telemetry::Settings>,
) -> EmbeddedConfig {
    EmbeddedConfig {
        data,
        synchronous: if args.synchronous == "full" {
            Synchronous::Full
        } else {
            Synchronous::Normal
        },
        provider: ProviderSettings::default(),
        settings: platform::Settings::default(),
        log: LogSettings {
            format: if args.log == "json" {
                Format::Json
            } else {
                Format::Human
            },
            filter: std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned()),
            sink: Sink::Stderr,
        },
        telemetry,
        seed: args.seed.unwrap_or_else(platform::os_seed),
        port: args.port,
        planted: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
    }
}

/// A product that can be ordered; an empty shop gets one, so that there is something to try.
async fn any_product(addresses: Addresses) -> Result<Product> {
    #[derive(serde::Deserialize)]
    struct Page {
        items: Vec<Product>,
    }
    let products = Client::new(addresses.products, Duration::from_secs(5));
    let (_, body) = products.send(Call::get("/api/v1/products?limit=1")).await?;
    if let Some(product) = serde_json::from_slice::<Page>(&body)?
        .items
        .into_iter()
        .next()
    {
        return Ok(product);
    }
    let new = CreateProduct {
        name: "a record".to_owned(),
        price_cents: 1_499.try_into()?,
        stock: 1_000,
    };
    let body = Bytes::from(serde_json::to_vec(&new)?);
    let (_, body) = products
        .send(Call::post("/api/v1/products", body, "the-first-product"))
        .await?;
    serde_json::from_slice(&body).context("the first product")
}

/// What somebody types into a shell to order `product`.
fn place(addresses: Addresses, product: &Product) -> String {
    let (orders, id) = (addresses.orders, product.id);
    format!(
        "curl -s http://{orders}/api/v1/orders -H 'content-type: application/json' \\\n     \
         -d '{{\"items\":[{{\"productId\":\"{id}\",\"quantity\":2}}]}}'"
    )
}

fn announce(
    addresses: Addresses,
    (product, place): (&Product, &str),
    data: Option<PathBuf>,
    shown: Option<&Shown>,
) {
    for (name, address) in addresses.all() {
        say!("{name:9} http://{address}");
    }
    let kept = data.map(|data| data.display().to_string());
    let where_kept =
        kept.unwrap_or_else(|| "temporary: gone at the end; --data DIR keeps it".to_owned());
    say!("data      {where_kept}");
    if let Some(shown) = shown {
        say!("traces    {}", shown.url());
    }
    let orders = addresses.orders;
    say!(
        "\nPlace an order for {} at {} cents:\n",
        product.name,
        product.price_cents.get()
    );
    say!("  {}\n", place.replace('\n', "\n  "));
    say!("and see how it ends: curl -s 'http://{orders}/api/v1/orders/ID?wait=settled'");
    say!(
        "All endpoints: http://{orders}/api/v1/openapi.json (each service has its own). Ctrl-C stops the shop."
    );
}
