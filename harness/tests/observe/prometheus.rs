//! A Prometheus of our own: it asks those whom a test names every 250 ms, and goes with the test.

use crate::kit::{ask, until};
use dashboards::{Place, Scale, Settings, Target, prometheus_config, rules};
use harness::client::Call;
use harness::engines::free_port;
use hyper::StatusCode;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often it asks.
const INTERVAL: Duration = Duration::from_millis(250);

/// The rules, so that an hour is half a minute.
pub fn scale() -> Scale {
    Scale::shorter(120)
}

/// A running Prometheus.
pub struct Prometheus {
    address: SocketAddr,
    process: Child,
    dir: TempDir,
    /// Since when everybody has answered.
    began: Instant,
}

impl Prometheus {
    /// Asks these services, and returns when all have answered but the harness, which comes and goes.
    pub fn start(asked: &[(&str, SocketAddr)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let target = |(service, address): &(&str, SocketAddr)| Target {
            service: (*service).to_owned(),
            place: Place::Addresses(vec![address.to_string()]),
        };
        let config = prometheus_config(&Settings {
            interval: INTERVAL,
            rules: "rules.yml".to_owned(),
            targets: asked.iter().map(target).collect(),
        });
        fs::write(dir.path().join("prometheus.yml"), config).expect("written");
        fs::write(dir.path().join("rules.yml"), rules(scale())).expect("written");
        let address = (Ipv4Addr::LOCALHOST, free_port().expect("a port")).into();
        let mut started = Self {
            address,
            process: spawn(&dir, address),
            dir,
            began: Instant::now(),
        };
        until("Prometheus is ready", || {
            let (status, _) = ask(address, Call::get("/-/ready"))?;
            (status == StatusCode::OK).then_some(())
        });
        let there = asked.iter().filter(|(service, _)| *service != "harness");
        let all = format!(r#"sum(up{{service!="harness"}}) == {}"#, there.count());
        until("all have answered", || started.first(&all));
        // It takes five seconds until it knows whom to ask, which is ten minutes on the scale of the rules.
        let services = asked.iter().map(|(service, _)| *service);
        let services = services.collect::<Vec<_>>().join("|");
        let quiet = format!(r#"absent(ALERTS{{alertstate="firing", service=~"{services}"}})"#);
        until("it misses nobody any more", || started.first(&quiet));
        started.began = Instant::now();
        started
    }

    /// What an expression finds now; ends the test if it is not one.
    pub fn query(&self, expr: &str) -> Vec<Sample> {
        let found = self.get(&format!("/api/v1/query?query={}", encoded(expr)));
        let found = found["result"].as_array().expect("series").iter();
        let sample = |series: &Value| {
            Some(Sample {
                labels: series["metric"].clone(),
                value: series["value"][1].as_str()?.parse().ok()?,
            })
        };
        found.filter_map(sample).collect()
    }

    /// The first number that an expression finds, if it finds one.
    pub fn first(&self, expr: &str) -> Option<f64> {
        let mut numbers = self.query(expr).into_iter().map(|sample| sample.value);
        numbers.find(|value| !value.is_nan())
    }

    /// Whether an alert fires now.
    pub fn fires(&self, alert: &str) -> bool {
        let firing = format!(r#"ALERTS{{alertname="{alert}", alertstate="firing"}}"#);
        self.first(&firing).is_some()
    }

    /// The alerts that have fired since everybody has answered, with what they said of themselves.
    pub fn have_fired(&self) -> Vec<Value> {
        let since_ms = self.began.elapsed().as_millis();
        let fired = format!(r#"max_over_time(ALERTS{{alertstate="firing"}}[{since_ms}ms])"#);
        let fired = self.query(&fired);
        fired.into_iter().map(|sample| sample.labels).collect()
    }

    /// What it says of each rule.
    pub fn rules(&self) -> Vec<Value> {
        let groups = self.get("/api/v1/rules");
        let groups = groups["groups"].as_array().expect("groups").iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
        rules.cloned().collect()
    }

    /// The traces of the examples that it has for a metric, in hex.
    pub fn example_traces(&self, metric: &str) -> Vec<String> {
        let asked = format!("/api/v1/query_exemplars?query={metric}&start=0&end=9999999999");
        let series = self.get(&asked);
        let series = series.as_array().expect("series").iter();
        let examples = series.flat_map(|series| series["exemplars"].as_array().expect("examples"));
        let traces = examples.map(|example| &example["labels"]["trace_id"]);
        traces
            .map(|trace| trace.as_str().expect("a trace").to_owned())
            .collect()
    }

    fn get(&self, path: &str) -> Value {
        let answered = until(path, || ask(self.address, Call::get(path)));
        let (status, body) = answered;
        assert_eq!(status, StatusCode::OK, "{path}: {body}\n{}", self.log());
        let mut answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["data"].take()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Prometheus said:\n{}", self.log());
        }
        // It may have ended already, which is what we want.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A series, and its number.
pub struct Sample {
    pub labels: Value,
    pub value: f64,
}

fn spawn(dir: &TempDir, address: SocketAddr) -> Child {
    let log = File::create(dir.path().join("log")).expect("a log");
    Command::new("prometheus")
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg("--enable-feature=exemplar-storage")
        .arg("--log.level=warn")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("prometheus starts")
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
