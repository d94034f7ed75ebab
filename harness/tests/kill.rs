//! `crashcart serve --data` is killed with SIGKILL under load, again and again. What it promised it keeps.

use contract::http::{CreateProduct, Product};
use contract::{Line, ProductId, Quantity};
use harness::check::{Verdict, judge};
use harness::client::{Call, Client};
use harness::history::{Operation, Outcome};
use harness::load::ask::place;
use harness::plan::Plan;
use harness::target::{Target, export};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shop::Addresses;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::LocalSet;

const KILLS: u64 = 20;
const CLIENTS: usize = 32;

/// The shop as a child process.
struct Served {
    child: Child,
    addresses: Addresses,
}

impl Served {
    /// Starts it on `data` and reads where it listens.
    async fn start(data: &Path, temporary: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crashcart"))
            .arg("serve")
            .arg("--data")
            .arg(data)
            .env("RUST_LOG", "error")
            .env("TMPDIR", temporary)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("crashcart starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut found = BTreeMap::new();
        while found.len() < 4 {
            let line = lines
                .next_line()
                .await
                .expect("text")
                .expect("four addresses before the end");
            if let Some((name, address)) = line.split_once(" http://") {
                found.insert(name.trim().to_owned(), address.parse().expect("an address"));
            }
        }
        // Read on, so that the child never waits for us.
        tokio::task::spawn_local(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let [orders, products, payments, provider] =
            ["orders", "products", "payments", "provider"].map(|n| found[n]);
        Self {
            child,
            addresses: Addresses {
                orders,
                products,
                payments,
                provider,
            },
        }
    }

    async fn kill(mut self) {
        self.child.kill().await.expect("a process of ours dies");
    }

    fn client(&self) -> Client {
        Client::new(self.addresses.orders, Duration::from_secs(5))
    }
}

async fn create_product(served: &Served, name: &str, stock: i64) -> ProductId {
    let products = Client::new(served.addresses.products, Duration::from_secs(5));
    let new = CreateProduct {
        name: name.to_owned(),
        price_cents: 1_499.try_into().unwrap(),
        stock,
    };
    let call = Call::post(
        "/api/v1/products",
        serde_json::to_vec(&new).unwrap().into(),
        name,
    );
    let (_, body) = products.send(call).await.expect("a product");
    serde_json::from_slice::<Product>(&body)
        .expect("a product")
        .id
}

/// Many clients that place orders until `stop`; what each saw goes into `history`.
fn load(
    client: &Client,
    products: [ProductId; 2],
    n: &Rc<Cell<u64>>,
    history: &Rc<RefCell<Vec<Operation>>>,
    stop: &Rc<Cell<bool>>,
) {
    for _ in 0..CLIENTS {
        let (client, n, history, stop) = (
            client.clone(),
            Rc::clone(n),
            Rc::clone(history),
            Rc::clone(stop),
        );
        tokio::task::spawn_local(async move {
            while !stop.get() {
                n.set(n.get() + 1);
                let one = |product_id| Line {
                    product_id,
                    quantity: Quantity::try_from(1).unwrap(),
                };
                let items = products.map(one)[..=usize::from(n.get() % 4 == 0)].to_vec();
                let key = format!("key-{:07}", n.get());
                let outcome = place(&client, &key, &items).await;
                let lost = !matches!(outcome, Outcome::Ok { .. });
                history
                    .borrow_mut()
                    .push(Operation::placed(key, items, outcome));
                if lost {
                    return;
                }
            }
        });
    }
}

/// Per message type and order, how often it was said; per entity and version, how often it came to be.
fn twice(events: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for line in events.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("an event");
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        if text("entity") != "product" {
            *seen
                .entry(format!("{} of {}", text("type"), text("subject")))
                .or_default() += 1;
        }
        *seen
            .entry(format!(
                "{} {} version {}",
                text("entity"),
                text("entityId"),
                event["version"]
            ))
            .or_default() += 1;
    }
    seen.into_iter()
        .filter(|(_, times)| *times > 1)
        .map(|(what, times)| format!("{what}: {times} times"))
        .collect()
}

async fn killed_again_and_again() {
    let (data, mut chance) = (tempfile::tempdir().unwrap(), ChaCha8Rng::seed_from_u64(9));
    let (n, history) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let temporary = tempfile::tempdir().unwrap();
    let mut served = Served::start(data.path(), temporary.path()).await;
    let plenty = create_product(&served, "plenty", 1_000_000).await;
    let scarce = create_product(&served, "scarce", 300).await;
    for _ in 0..KILLS {
        let stop = Rc::new(Cell::new(false));
        load(&served.client(), [plenty, scarce], &n, &history, &stop);
        let moment = Duration::from_millis(chance.random_range(50..600));
        tokio::time::sleep(moment).await;
        served.kill().await;
        stop.set(true);
        served = Served::start(data.path(), temporary.path()).await;
    }
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "who is killed leaves nothing outside of its data");
    let target = Target::new(&served.addresses);
    let at_rest = target.at_rest().await;
    let history = history.take();
    let count = |is: fn(&Outcome) -> bool| history.iter().filter(|op| is(&op.outcome)).count();
    let acknowledged = count(|outcome| matches!(outcome, Outcome::Ok { .. }));
    let unknown = count(|outcome| matches!(outcome, Outcome::Unknown { .. }));
    assert!(
        acknowledged > 200,
        "only {acknowledged} orders were acknowledged: the load was too small"
    );
    assert!(
        unknown > 0,
        "no request was cut off: the kills missed the load"
    );
    at_rest.expect("rest");
    let plan = Plan {
        starts: 1,
        attempts_max: 3,
        attempts_us: 10_000_000,
        ..Plan::default()
    };
    let evidence = target.evidence(plan, history).await;
    let orders = &evidence.orders;
    assert!(
        orders.iter().all(|order| order.status.is_settled()),
        "an order did not settle"
    );
    for finding in judge(&evidence) {
        // A shop that is served keeps the last 100 000 messages on its tap; what was before, nobody knows.
        let why = finding.why.as_deref().unwrap_or_default();
        let is_trimmed = finding.verdict == Verdict::Unknown && why.contains("the tap begins at");
        let is_well = [Verdict::Valid, Verdict::NotApplicable].contains(&finding.verdict);
        assert!(is_well || is_trimmed, "{finding:#?}");
    }
    for service in ["orders", "products", "payments"] {
        let events = export(&target.client(service), "/api/v1/events")
            .await
            .expect("the event log");
        assert_eq!(
            twice(&events),
            Vec::<String>::new(),
            "in the log of {service}"
        );
    }
    println!(
        "{acknowledged} acknowledged, {unknown} unknown, {} orders, {KILLS} kills",
        orders.len()
    );
    served.kill().await;
}

#[test]
fn kill_nine_at_twenty_random_moments_loses_nothing_and_does_nothing_twice() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, killed_again_and_again());
}
