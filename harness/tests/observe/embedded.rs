//! A shop in one process, and what can go wrong with its services, its provider and its collector.

use crate::alerts::Fault;
use crate::calm;
use crate::collected::Collector;
use crate::kit::{Load, behave};
use crate::prometheus::Prometheus;
use crate::wanted::Wanted;
use dashboards::Needs;
use harness::target::{Place, Places, Shop as Started};
use platform::logs::{Format, LogSettings, Sink};
use platform::store::Synchronous;
use serde_json::json;
use shop::{Command, EmbeddedConfig, FaultSettings, ProviderSettings};
use std::net::SocketAddr;
use tempfile::TempDir;

/// What goes wrong here, one after the other.
pub const FAULTS: [Fault<Shop>; 4] = [
    Fault {
        what: "each transaction waits for 300 ms and some fail, and messages come twice",
        raises: &[
            "AcceptBudgetBurnsFast",
            "SettleBudgetBurnsFast",
            "AcceptBudgetBurnsSlowly",
            "SettleBudgetBurnsSlowly",
        ],
        begin: |shop| shop.fail_everywhere(&rough()),
        end: |shop| shop.fail_everywhere(&FaultSettings::default()),
    },
    Fault {
        what: "products has died",
        raises: &["ServiceDown"],
        begin: |shop| shop.obey(crash("products")),
        end: |shop| shop.obey(restart("products")),
    },
    Fault {
        what: "the provider does not answer",
        raises: &["SagaStuck"],
        begin: |shop| behave(shop.at("provider"), &json!({"lostRequestRate": 1})),
        end: |shop| behave(shop.at("provider"), &json!({})),
    },
    Fault {
        what: "the collector is gone",
        raises: &["TelemetryDropped"],
        begin: |shop| shop.collector.goes_away(),
        end: |_| (),
    },
];

fn rough() -> FaultSettings {
    FaultSettings {
        duplicate_rate: 0.3,
        store_error_rate: 0.1,
        store_slow_ms: 300,
        ..FaultSettings::default()
    }
}

fn crash(service: &str) -> Command {
    Command::Crash {
        service: service.to_owned(),
    }
}

fn restart(service: &str) -> Command {
    Command::Restart {
        service: service.to_owned(),
    }
}

/// The shop, with a collector for its traces.
pub struct Shop {
    started: Started,
    collector: Collector,
    _data: TempDir,
}

impl Shop {
    pub fn start() -> Self {
        let data = tempfile::tempdir().expect("a temporary directory");
        let collector = Collector::start();
        let config = EmbeddedConfig {
            data: data.path().to_owned(),
            synchronous: Synchronous::Normal,
            provider: ProviderSettings::default(),
            settings: platform::Settings::default(),
            log: LogSettings {
                format: Format::Human,
                filter: "off".to_owned(),
                sink: Sink::Stderr,
            },
            telemetry: Some(collector.settings()),
            seed: 1,
            port: None,
            addresses: None,
            tap_max: shop::TAP_MAX,
            planted: None,
        };
        let program = env!("CARGO_BIN_EXE_crashcart").into();
        let started = Started::start(&config, &Place::Child { program });
        Self {
            started: started.unwrap_or_else(|error| panic!("{error}")),
            collector,
            _data: data,
        }
    }

    pub fn places(&self) -> Places {
        self.started.places()
    }

    /// Its services, as Prometheus asks them.
    pub fn asked(&self) -> [(&'static str, SocketAddr); 4] {
        self.started.addresses().all()
    }

    /// Ends it; the collector then has all that it will get.
    pub fn close(self) -> Collector {
        self.started.stop();
        self.collector
    }

    fn at(&self, service: &str) -> SocketAddr {
        self.places().of(service)[0]
    }

    fn obey(&mut self, command: Command) {
        let answer = self.started.obey(command);
        answer.unwrap_or_else(|error| panic!("{error}"));
    }

    fn fail_everywhere(&mut self, settings: &FaultSettings) {
        for service in ["orders", "products", "payments"] {
            self.obey(Command::Faults {
                service: service.to_owned(),
                settings: settings.clone(),
            });
        }
    }
}

#[test]
fn each_thing_that_goes_wrong_in_one_process_raises_its_alerts() {
    if calm::day().is_none() {
        return;
    }
    let mut shop = Shop::start();
    let prometheus = Prometheus::start(&shop.asked());
    let load = Load::start(&shop.places());
    let mut wanted = Wanted::those(|asked| asked.needs == Needs::Trouble);
    behave(shop.at("provider"), &json!({"declineRate": 0.3}));
    for fault in &FAULTS {
        fault.happens(&mut shop, &prometheus, || {
            wanted.ask(&prometheus);
        });
    }
    wanted.none_left();
    drop(load);
    shop.close();
}
