//! A shop of many processes on PostgreSQL and RabbitMQ of its own, and what can go wrong between them.

use crate::alerts::Fault;
use crate::calm::{self, load};
use crate::collected::Collector;
use crate::kit::{Load, PATIENCE, behave, block_on, until};
use crate::prometheus::Prometheus;
use crate::wanted::Wanted;
use contract::{EventType, Message, MessageId};
use dashboards::Needs;
use harness::client::Client;
use harness::engines::{PrivatePostgres, PrivateRabbit, can_start, free_port};
use harness::proxy::{Network, Proxy};
use harness::target::{
    Distributed, DistributedConfig, EngineUrls, Metrics, Places, SERVICES, Traces,
};
use platform::Endpoint;
use platform::broker::{Broker, Queue, Rabbit, RabbitSettings, Routing};
use platform::store::postgres::admin::{create_database, url_of};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use uuid::Uuid;

/// What goes wrong here, one after the other.
pub const FAULTS: [Fault<Fleet>; 4] = [
    Fault {
        what: "the broker cannot be reached",
        raises: &["NotPublishing", "NotConsuming", "OutboxOld"],
        begin: |shop| shop.broker.set(Network::Cut).expect("cut"),
        end: |shop| shop.broker.heal().expect("healed"),
    },
    Fault {
        what: "the databases cannot be reached",
        raises: &["StoreDown"],
        begin: |shop| shop.databases.set(Network::Cut).expect("cut"),
        end: |shop| shop.databases.heal().expect("healed"),
    },
    Fault {
        what: "there is a message that nobody can read",
        raises: &["DeadLetters"],
        begin: |shop| shop.say_nonsense(),
        end: |_| (),
    },
    Fault {
        what: "orders are finished before they are paid",
        raises: &["InvariantDrift"],
        begin: |shop| shop.finish_unpaid(),
        end: |_| (),
    },
];

/// The shop, its engines, and the network between them.
pub struct Fleet {
    load: Option<Load>,
    shop: Distributed,
    broker: Proxy,
    databases: Proxy,
    _collector: Collector,
    postgres: PrivatePostgres,
    rabbit: PrivateRabbit,
    _dir: TempDir,
}

impl Fleet {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (postgres, rabbit) = engines(dir.path());
        let proxy = |address| Proxy::start(address).expect("a proxy");
        let (broker, databases) = (proxy(rabbit.address()), proxy(postgres.address()));
        let urls = SERVICES.map(|service| {
            block_on(create_database(&postgres.url(), service)).expect("a database");
            let database = url_of(&postgres.url(), service);
            let urls = EngineUrls {
                postgres: by_way_of(&database, &databases),
                amqp: by_way_of(&rabbit.url(), &broker),
            };
            (service, urls)
        });
        let collector = Collector::start();
        let config = DistributedConfig {
            program: env!("CARGO_BIN_EXE_crashcart").into(),
            replicas: 1,
            engines: urls.into(),
            prefix: String::new(),
            routing: Routing::Fanout,
            batch_max: None,
            starts_within: Duration::from_secs(40),
            traces: Some(Traces {
                endpoint: collector.endpoint(),
                share: 1.0,
            }),
            log_filter: "off".to_owned(),
            planted: None,
        };
        let shop = Distributed::start(config, &AtomicBool::new(false));
        Self {
            load: None,
            shop: shop.unwrap_or_else(|error| panic!("{error}")),
            broker,
            databases,
            _collector: collector,
            postgres,
            rabbit,
            _dir: dir,
        }
    }

    fn places(&self) -> Places {
        self.shop.places()
    }

    /// Its services and its broker, as Prometheus asks them.
    fn asked(&self) -> Vec<(&'static str, SocketAddr)> {
        let rabbit = self.rabbit.metrics().expect("started measured");
        let services = self.places().first().all().into_iter();
        services.chain([("rabbitmq", rabbit)]).collect()
    }

    /// Puts a message into all queues that is none.
    fn say_nonsense(&mut self) {
        let message = Message {
            id: MessageId(Uuid::from_u128(1)),
            source: "nobody".to_owned(),
            kind: EventType::OrderCreated.as_str().to_owned(),
            subject: Uuid::from_u128(1),
            time_us: 1_767_225_600_000_000,
            cause: None,
            traceparent: None,
            tracestate: None,
            data: "{}".to_owned(),
        };
        let queues = shop::QUEUES.map(|service| Queue {
            service,
            hears: vec![EventType::OrderCreated],
        });
        block_on(async {
            let settings = RabbitSettings::new(self.rabbit.url(), "nobody", queues.to_vec());
            let broker = Rabbit::new(settings).expect("settings");
            broker.publish(&[message]).await.expect("it is there");
        });
    }

    /// Has payments wait for a provider that does not answer, and finishes their orders behind everybody's back.
    fn finish_unpaid(&mut self) {
        let places = self.places();
        behave(places.of("provider")[0], &json!({"lostRequestRate": 1}));
        let counted = |service, metric| {
            let client = Client::new(places.of(service)[0], PATIENCE);
            block_on(Metrics::read(&client))?.most(metric)
        };
        let open = || counted("payments", "crashcart_payments_open");
        until("payments are open", || open().filter(|open| *open > 20));
        self.load = None;
        until("each order in flight waits for its payment", || {
            let in_flight = counted("orders", "crashcart_sagas_in_flight")?;
            (open()? == in_flight).then_some(())
        });
        block_on(finish_all(&url_of(&self.postgres.url(), "orders")));
    }
}

/// Says in the database of orders that all are finished.
async fn finish_all(url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("a database");
    let finish = "update orders set status = 'finished', settled_at_us = created_at_us where status = 'created'";
    // The connection ends with its only client.
    let (finished, _) = tokio::join!(async move { client.execute(finish, &[]).await }, connection);
    assert!(finished.expect("an update") > 20);
}

/// Both at once: each takes some seconds.
fn engines(dir: &Path) -> (PrivatePostgres, PrivateRabbit) {
    std::thread::scope(|scope| {
        let postgres = scope.spawn(|| PrivatePostgres::start(dir).expect("PostgreSQL"));
        let rabbit = PrivateRabbit::start_measured(dir).expect("RabbitMQ");
        (postgres.join().expect("PostgreSQL"), rabbit)
    })
}

fn by_way_of(url: &str, proxy: &Proxy) -> String {
    let endpoint = Endpoint::of(url).expect("a URL with a host");
    endpoint.by_way_of(proxy.address())
}

#[test]
fn each_thing_that_goes_wrong_between_processes_raises_its_alerts() {
    if calm::day().is_none() || !can_start("alerts on real engines") {
        return;
    }
    let mut shop = Fleet::start();
    let figures = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("a port")));
    let prometheus = Prometheus::start(&[&shop.asked()[..], &[("harness", figures)]].concat());
    let mut wanted = Wanted::those(|asked| asked.needs != Needs::Trouble);
    let flags = ["--faults", "provider-slow@3s+2s"];
    let said = load(&shop.places(), figures, &flags, || {
        wanted.ask(&prometheus);
    });
    // Others are busy beside it, so its orders may have been late; nothing else may be wrong.
    said.expect(if said.is_late() { 114 } else { 0 }, &[]);
    wanted.none_left();
    shop.load = Some(Load::start(&shop.places()));
    for fault in &FAULTS {
        fault.happens(&mut shop, &prometheus, || ());
    }
    shop.shop.stop();
}
