//! What the stories are told with: a shop on files, clients that keep ordering, and a judge.

use contract::http::{CreateProduct, Product};
use contract::{Line, ProductId, Quantity};
use harness::check::{Verdict, judge};
use harness::client::{Call, Client};
use harness::history::{Operation, Outcome};
use harness::load::ask::place;
use harness::plan::Plan;
use harness::target::{Place, Shop, Target};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use shop::{Addresses, EmbeddedConfig, ProviderSettings};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::task::JoinHandle;

pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a shop on `data` is started.
pub fn config(data: &Path) -> EmbeddedConfig {
    EmbeddedConfig {
        data: data.to_owned(),
        synchronous: Synchronous::Normal,
        provider: ProviderSettings::default(),
        settings: platform::Settings::default(),
        log: LogSettings {
            format: Format::Human,
            filter: "off".to_owned(),
            sink: Sink::Stderr,
        },
        telemetry: None,
        seed: 7,
        port: None,
        addresses: None,
        tap_max: shop::TAP_MAX,
        planted: None,
    }
}

/// A child is this program.
pub fn in_a_child() -> Place {
    Place::Child {
        program: env!("CARGO_BIN_EXE_crashcart").into(),
    }
}

/// Starts a shop; `Shop::start` says why not.
pub fn start(data: &Path, place: &Place) -> Shop {
    Shop::start(&config(data), place).expect("a shop on free ports")
}

pub async fn create_product(addresses: &Addresses, name: &str, stock: i64) -> ProductId {
    let products = Client::new(addresses.products, PATIENCE);
    let new = CreateProduct {
        name: name.to_owned(),
        price_cents: 1_499.try_into().unwrap(),
        stock,
    };
    let body = serde_json::to_vec(&new).unwrap().into();
    let call = Call::post("/api/v1/products", body, name);
    let (_, body) = products.send(call).await.expect("a product");
    serde_json::from_slice::<Product>(&body)
        .expect("a product")
        .id
}

/// Clients that place one order after another until they are told to stop.
pub struct Load {
    stop: Rc<Cell<bool>>,
    history: Rc<RefCell<Vec<Operation>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// `n` clients, each with a short pause between its orders. Call it in a local set.
    pub async fn start(addresses: &Addresses, n: usize) -> Self {
        let plenty = create_product(addresses, "plenty", 1_000_000).await;
        let scarce = create_product(addresses, "scarce", 100).await;
        let load = Self {
            stop: Rc::default(),
            history: Rc::default(),
            clients: Vec::new(),
        };
        let orders = Client::new(addresses.orders, PATIENCE);
        let clients = (0..n).map(|client| {
            let (orders, stop) = (orders.clone(), Rc::clone(&load.stop));
            let history = Rc::clone(&load.history);
            tokio::task::spawn_local(async move {
                for n in 0.. {
                    if stop.get() {
                        return;
                    }
                    let product_id = if n % 5 == 0 { scarce } else { plenty };
                    order(&orders, &history, format!("{client}-{n}"), product_id).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        });
        let clients = clients.collect();
        Self { clients, ..load }
    }

    /// Stops the clients, waits until nothing moves, and judges. Returns how many orders were acknowledged.
    pub async fn ends_well(self, addresses: &Addresses) -> usize {
        self.stop.set(true);
        for client in self.clients {
            client.await.expect("a client does not panic");
        }
        let target = Target::new(addresses);
        let at_rest = target.at_rest().await;
        let metrics = target.client("orders").send(Call::get("/metrics")).await;
        let metrics = String::from_utf8(metrics.expect("metrics").1.into()).expect("text");
        assert!(
            metrics.contains("\ncrashcart_sagas_in_flight 0\n"),
            "a saga that ended is still counted as open: {metrics}"
        );
        let history = self.history.take();
        let is_ok = |op: &&Operation| matches!(op.outcome, Outcome::Ok { .. });
        let acknowledged = history.iter().filter(is_ok).count();
        at_rest.expect("rest");
        let plan = Plan {
            starts: 1,
            attempts_max: 3,
            attempts_us: 10_000_000,
            ..Plan::default()
        };
        let evidence = target.evidence(plan, history).await;
        let open = evidence.orders.iter().find(|row| !row.status.is_settled());
        assert!(open.is_none(), "an order did not settle");
        for finding in judge(&evidence) {
            let is_well = [Verdict::Valid, Verdict::NotApplicable].contains(&finding.verdict);
            assert!(is_well, "{finding:#?}");
        }
        acknowledged
    }
}

async fn order(
    orders: &Client,
    history: &RefCell<Vec<Operation>>,
    key: String,
    product_id: ProductId,
) {
    let quantity = Quantity::try_from(1).unwrap();
    let items = vec![Line {
        product_id,
        quantity,
    }];
    let outcome = place(orders, &key, &items).await;
    let operation = Operation::placed(key, items, outcome);
    history.borrow_mut().push(operation);
}

/// Runs `story` with clients of its own beside it.
pub fn tell(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, story);
}
