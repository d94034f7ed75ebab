//! Services as processes on real engines, under names of their own, which are gone afterwards.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use harness::client::{Call, Client};
use hyper::Method;
use platform::Endpoint;
use platform::broker::rabbit::admin::delete_all;
use platform::broker::{Queue, RabbitSettings};
use platform::engines::Engines;
use platform::store::postgres::admin::{create_database, drop_database, url_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
const SERVICES: [&str; 4] = ["orders", "products", "payments", "provider"];

/// The engines of one story.
pub struct Place {
    /// Where they are, and the prefix of all names.
    pub engines: Engines,
}

/// Tells `story` on fresh databases, and removes them however it ends. Without engines nothing is told.
pub async fn tell<F: Future<Output = ()>>(name: &str, story: impl FnOnce(Place) -> F) {
    let Some(engines) = Engines::find(name) else {
        return;
    };
    for service in SERVICES {
        let database = format!("{}_{service}", engines.prefix);
        let created = create_database(&engines.postgres, &database).await;
        created.expect("a database");
    }
    let place = Place {
        engines: engines.clone(),
    };
    let told = AssertUnwindSafe(story(place)).catch_unwind().await;
    for service in SERVICES {
        let database = format!("{}_{service}", engines.prefix);
        let dropped = drop_database(&engines.postgres, &database).await;
        dropped.expect("no database");
    }
    let queue = |service| Queue {
        service,
        hears: Vec::new(),
    };
    let queues = ["orders", "products", "payments"].map(queue).to_vec();
    let mut settings = RabbitSettings::new(&engines.amqp, "a test", queues);
    settings.prefix = format!("{}_", engines.prefix);
    delete_all(&settings).await.expect("no queues");
    told.unwrap_or_else(|panic| resume_unwind(panic));
}

impl Place {
    /// Begins to start a replica of `service`; `more` are further flags.
    pub fn begin(&self, service: &str, more: &[&str]) -> Starting {
        let database = format!("{}_{{service}}", self.engines.prefix);
        let mut process = Command::new(env!("CARGO_BIN_EXE_crashcart"))
            .args(["shop", service, "--obey", "--listen", "127.0.0.1:0"])
            .args(["--prefix", &format!("{}_", self.engines.prefix)])
            .args(more)
            .env_remove("RUST_LOG")
            .env("SHOP_POSTGRES", url_of(&self.engines.postgres, &database))
            .env("SHOP_AMQP", &self.engines.amqp)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("crashcart starts");
        let output = process.stdout.take().expect("a pipe");
        Starting {
            process: Killed(process),
            output: BufReader::new(output),
            service: service.to_owned(),
        }
    }

    /// Starts a replica of `service`.
    pub fn start(&self, service: &str, more: &[&str]) -> Replica {
        self.begin(service, more).started()
    }

    /// The URL of the databases, by way of `address`.
    pub fn postgres_at(&self, address: SocketAddr) -> String {
        let database = format!("{}_{{service}}", self.engines.prefix);
        let url = url_of(&self.engines.postgres, &database);
        by_way_of(&url, address)
    }

    /// The URL of the broker, by way of `address`.
    pub fn amqp_at(&self, address: SocketAddr) -> String {
        by_way_of(&self.engines.amqp, address)
    }

    /// Starts one of each.
    pub fn start_all(&self) -> [Replica; 4] {
        let provider = self.start("provider", &[]);
        let (orders, products) = (self.begin("orders", &[]), self.begin("products", &[]));
        let payments = self.start("payments", &["--provider", &provider.url()]);
        [orders.started(), products.started(), payments, provider]
    }
}

/// `url` with `address` instead of its host and port.
fn by_way_of(url: &str, address: SocketAddr) -> String {
    endpoint(url).by_way_of(address)
}

/// Where `url` leads.
pub fn endpoint(url: &str) -> Endpoint<'_> {
    Endpoint::of(url).expect("a URL with a host")
}

/// A process that does not outlive the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended already, which is what we want.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A replica that has not said yet where it is.
pub struct Starting {
    process: Killed,
    output: BufReader<ChildStdout>,
    service: String,
}

impl Starting {
    /// Waits until it is there.
    pub fn started(mut self) -> Replica {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        let addresses: BTreeMap<String, SocketAddr> =
            serde_json::from_str(&line).expect("where it listens");
        let usual = if self.service == "all" {
            "orders"
        } else {
            &self.service
        };
        Replica {
            asked: Service::at(addresses[usual]),
            addresses,
            process: self.process,
            output: self.output,
        }
    }
}

/// A running replica; asked as itself, it is the service that it was started as.
pub struct Replica {
    asked: Service,
    addresses: BTreeMap<String, SocketAddr>,
    process: Killed,
    output: BufReader<ChildStdout>,
}

impl Deref for Replica {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.asked
    }
}

impl Replica {
    /// One of its services.
    pub fn at(&self, service: &str) -> Service {
        Service::at(self.addresses[service])
    }

    /// Sends one line to its standard input, and returns what it says.
    pub fn obey(&mut self, command: &Value) -> Value {
        let input = self.process.0.stdin.as_mut().expect("a pipe");
        writeln!(input, "{command}").expect("it listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let pid = self.process.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end; the exit code.
    pub fn code(mut self) -> Option<i32> {
        self.process.0.wait().expect("an end").code()
    }

    /// Ends its standard input and waits for its end; the exit code.
    pub fn input_ends(mut self) -> Option<i32> {
        drop(self.process.0.stdin.take());
        self.code()
    }
}

/// A service somewhere.
pub struct Service {
    client: Client,
    address: SocketAddr,
}

impl Service {
    fn at(address: SocketAddr) -> Self {
        let client = Client::new(address, PATIENCE);
        Self { client, address }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The status and the JSON of an answer.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let (status, body) = self.client.send(Call::get(path)).await.expect("an answer");
        let json = serde_json::from_slice(&body).unwrap_or_default();
        (status.as_u16(), json)
    }

    /// Posts JSON. None: no answer.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        let body = Bytes::from(body.to_string());
        let (status, body) = self.client.send(Call::post(path, body, key)).await.ok()?;
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Some((status.as_u16(), json))
    }

    /// Makes the provider behave like this.
    pub async fn behave(&self, settings: &Value) {
        let call = Call {
            method: Method::PUT,
            path: "/api/v1/settings",
            body: Some(Bytes::from(settings.to_string())),
            key: None,
            accept: None,
        };
        let (status, _) = self.client.send(call).await.expect("an answer");
        assert_eq!(status, 200);
    }

    /// The id of a new product of five dollars.
    pub async fn product(&self, stock: u32) -> String {
        let product = json!({"name": "a record", "priceCents": 500, "stock": stock});
        let (status, body) = self
            .post("/api/v1/products", "a-product", &product)
            .await
            .expect("an answer");
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().expect("an id").to_owned()
    }

    /// Places an order for one of `product`; its id if it was accepted.
    pub async fn order(&self, product: &str, key: &str) -> Option<String> {
        let order = json!({"items": [{"productId": product, "quantity": 1}]});
        let (status, body) = self.post("/api/v1/orders", key, &order).await?;
        (status == 201).then(|| body["id"].as_str().expect("an id").to_owned())
    }

    /// How the order ended.
    pub async fn settled(&self, order: &str) -> String {
        let (status, body) = self
            .get(&format!("/api/v1/orders/{order}?wait=settled"))
            .await;
        assert_eq!(status, 200, "{body}");
        body["status"].as_str().expect("a status").to_owned()
    }

    /// The value of a metric.
    pub async fn metric(&self, name: &str) -> String {
        let (_, body) = self.client.send(Call::get("/metrics")).await.expect("text");
        let text = String::from_utf8(body.to_vec()).expect("text");
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.expect("the metric").trim().to_owned()
    }

    /// Waits until a metric has this value.
    pub async fn until_metric_is(&self, name: &str, value: &str) {
        let asked = async {
            while self.metric(name).await != value {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or_else(|_| panic!("{name}never was {value}"));
    }

    /// Waits until `/ready` answers `status`; its body.
    pub async fn until_ready_is(&self, status: u16) -> Value {
        let asked = async {
            loop {
                let (found, body) = self.get("/ready").await;
                if found == status {
                    return body;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let asked = tokio::time::timeout(PATIENCE, asked).await;
        asked.unwrap_or_else(|_| panic!("/ready never answered {status}"))
    }
}

/// The ids of `n` orders, sent side by side to `replicas` in turn; those that were accepted.
pub async fn orders(replicas: &[&Service], product: &str, n: usize) -> Vec<String> {
    let place = |k: usize| async move {
        let key = format!("order-{k}");
        replicas[k % replicas.len()].order(product, &key).await
    };
    join_all((0..n).map(place))
        .await
        .into_iter()
        .flatten()
        .collect()
}
