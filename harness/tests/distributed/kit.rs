//! Runs the program on real engines, or starts a shop on them that others can judge.

pub use crate::program::{run, run_command as command};

use harness::target::{Distributed, DistributedConfig, EngineUrls, Places, SERVICES};
use platform::broker::{Queue, RabbitSettings, Routing, rabbit};
use platform::engines::Engines;
use platform::store::postgres::admin;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The summary of the latest run.
pub fn summary(runs: &Path) -> Value {
    let text = fs::read_to_string(runs.join("latest/summary.json")).expect("a summary");
    serde_json::from_str(&text).expect("JSON")
}

/// The verdict of a check.
pub fn verdict<'a>(summary: &'a Value, id: &str) -> &'a str {
    let checks = summary["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == id);
    check.expect("a check")["verdict"].as_str().expect("text")
}

/// The databases of the runs that were recorded in `runs`.
pub fn databases(engines: &Engines, runs: &Path) -> Vec<String> {
    let names = fs::read_dir(runs).expect("a folder");
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let found = names.filter(|name| name != "latest").map(|name| {
        let prefix = format!("crashcart_{}_", name.replace('-', "_"));
        block_on(admin::databases(&engines.postgres, &prefix)).expect("the server answers")
    });
    found.flatten().collect()
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(future)
}

/// A shop on real engines that was not started by a run; gone with its names when dropped.
pub struct Fleet {
    engines: Engines,
    shop: Option<Distributed>,
}

impl Fleet {
    pub fn start(engines: Engines, replicas: usize) -> Self {
        let urls = SERVICES.map(|service| {
            let name = format!("{}_{service}", engines.prefix);
            block_on(admin::create_database(&engines.postgres, &name)).expect("a database");
            let urls = EngineUrls {
                postgres: admin::url_of(&engines.postgres, &name),
                amqp: engines.amqp.clone(),
            };
            (service, urls)
        });
        let config = config(&engines, replicas, urls.into());
        let mut fleet = Self {
            engines,
            shop: None,
        };
        let started = Distributed::start(config, &AtomicBool::new(false));
        fleet.shop = Some(started.unwrap_or_else(|error| panic!("{error}")));
        fleet
    }

    pub fn places(&self) -> Places {
        self.shop.as_ref().expect("it runs").places()
    }

    pub fn shop(&mut self) -> &mut Distributed {
        self.shop.as_mut().expect("it runs")
    }

    /// The shop as `--target` takes it.
    pub fn target(&self) -> String {
        let places = self.places();
        let replicas = SERVICES.iter().flat_map(|service| {
            let addresses = places.of(service).iter();
            addresses.map(move |address| format!("{service}=http://{address}"))
        });
        replicas.collect::<Vec<_>>().join(",")
    }

    pub fn prefix(&self) -> String {
        prefix(&self.engines)
    }

    pub fn amqp(&self) -> &str {
        &self.engines.amqp
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(shop) = self.shop.take() {
            shop.stop();
        }
        for service in SERVICES {
            let name = format!("{}_{service}", self.engines.prefix);
            let _ = block_on(admin::drop_database(&self.engines.postgres, &name));
        }
        forget(&self.engines.amqp, &prefix(&self.engines));
    }
}

/// Removes what there is on a broker with this prefix.
pub fn forget(amqp: &str, prefix: &str) {
    let queue = |service| Queue {
        service,
        hears: Vec::new(),
    };
    let settings = RabbitSettings {
        prefix: prefix.to_owned(),
        ..RabbitSettings::new(amqp, "test", shop::QUEUES.map(queue).to_vec())
    };
    let _ = block_on(rabbit::admin::delete_all(&settings));
}

fn prefix(engines: &Engines) -> String {
    format!("{}_", engines.prefix)
}

/// How a shop of this program is started on these databases.
pub fn config(
    engines: &Engines,
    replicas: usize,
    urls: std::collections::BTreeMap<&'static str, EngineUrls>,
) -> DistributedConfig {
    DistributedConfig {
        program: PathBuf::from(env!("CARGO_BIN_EXE_crashcart")),
        replicas,
        engines: urls,
        prefix: prefix(engines),
        routing: Routing::Fanout,
        batch_max: None,
        starts_within: Duration::from_secs(20),
        log_filter: "off".to_owned(),
        traces: None,
        planted: None,
    }
}
