//! compose.yaml and the Dockerfile, held against the published schema and against what the programs really take.
//!
//! No container engine is needed, and none is there in CI: nothing is built or started here.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The services of ours, each with its port.
const SHOP: [(&str, &str); 4] = [
    ("orders", "8001"),
    ("products", "8002"),
    ("payments", "8003"),
    ("provider", "8004"),
];

fn root() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.parent().expect("a workspace").to_owned()
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).expect("a file of ours")
}

/// compose.yaml, with anchors and merges resolved, and variables as they are when nobody sets any.
fn compose() -> Value {
    let mut compose = serde_saphyr::from_str(&text("compose.yaml")).expect("YAML");
    interpolate(&mut compose);
    compose
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("services")
}

/// Puts what stands after `:-` in the place of each `${NAME:-…}`.
fn interpolate(value: &mut Value) {
    match value {
        Value::String(text) => {
            while let Some(begin) = text.find("${") {
                let end = begin + text[begin..].find('}').expect("an end");
                let (_, usual) = text[begin..end].split_once(":-").expect("a default");
                *text = format!("{}{usual}{}", &text[..begin], &text[end + 1..]);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(interpolate),
        Value::Object(fields) => fields.values_mut().for_each(interpolate),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn strings(value: &Value) -> Vec<&str> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).collect()
}

fn variables(service: &Value) -> BTreeMap<&str, &str> {
    let variables = service["environment"].as_object().expect("variables");
    let text = |(name, value)| (String::as_str(name), Value::as_str(value).expect("text"));
    variables.iter().map(text).collect()
}

/// What `crashcart` says with these arguments and variables, and its exit code.
fn crashcart(args: &[&str], variables: &BTreeMap<&str, &str>) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .args(args)
        .env_clear()
        .envs(variables)
        .output()
        .expect("crashcart runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn compose_yaml_keeps_to_the_compose_specification() {
    let schema = serde_json::from_str(&text("harness/tests/compose/compose-spec.json"));
    let schema = jsonschema::validator_for(&schema.expect("JSON")).expect("a schema");
    let compose = compose();
    let broken = schema.iter_errors(&compose);
    let broken: Vec<String> = broken
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // A schema that lets everything through would prove nothing.
    let mut wrong = compose;
    wrong["services"]["orders"]["healthcheck"]["every"] = "5s".into();
    assert!(!schema.is_valid(&wrong));
}

#[test]
fn every_variable_of_a_service_is_one_that_it_takes_and_has_a_value_that_it_can_use() {
    let compose = compose();
    for (name, _) in SHOP {
        let service = &compose["services"][name];
        assert_eq!(strings(&service["command"]), ["shop", name]);
        let mut variables = variables(service);
        let (_, help) = crashcart(&["shop", name, "--help"], &BTreeMap::new());
        // As it is wrapped depends on how wide its columns are.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for variable in variables.keys() {
            assert!(help.contains(&format!("[env: {variable}")), "{variable}");
        }
        // 69: the values can be used, but there is no such host here. 64 would be a value that cannot.
        variables.insert("SHOP_START_TIMEOUT", "100ms");
        variables.insert("SHOP_LISTEN", "127.0.0.1:0");
        let (code, said) = crashcart(&["shop", name], &variables);
        assert_eq!(code, 69, "{name}: {said}");
    }
}

#[test]
fn each_service_listens_is_reached_and_is_asked_on_its_usual_port() {
    let compose = compose();
    let dockerfile = text("Dockerfile");
    for (name, port) in SHOP {
        let service = &compose["services"][name];
        let (_, help) = crashcart(&["shop", name, "--help"], &BTreeMap::new());
        assert!(help.contains(&format!(":{port} for {name}")), "{help}");
        assert_eq!(variables(service)["SHOP_LISTEN"], format!("0.0.0.0:{port}"));
        let published = format!("127.0.0.1:{port}:{port}");
        assert_eq!(strings(&service["ports"]), [published]);
        let asked = format!("http://127.0.0.1:{port}/ready");
        let health = ["CMD", "shop", "health", &asked];
        assert_eq!(strings(&service["healthcheck"]["test"]), health);
        let exposed = dockerfile.lines().find(|line| line.starts_with("EXPOSE"));
        assert!(exposed.is_some_and(|line| line.contains(port)));
        let target = format!("{name}=http://{name}:{port}");
        let command = strings(&compose["services"]["harness"]["command"]).join(" ");
        assert!(command.contains(&target), "{command}");
    }
    let payments = variables(&compose["services"]["payments"]);
    assert_eq!(payments["SHOP_PROVIDER"], "http://provider:8004");
}

#[test]
fn each_service_has_a_database_of_its_own_and_waits_for_what_it_needs() {
    let compose = compose();
    let broker = variables(&compose["services"]["rabbitmq"]);
    for (name, _) in SHOP {
        let service = &compose["services"][name];
        let host = format!("{name}-db");
        let database = &compose["services"][&host];
        let has = variables(database);
        let (user, password) = (has["POSTGRES_USER"], has["POSTGRES_PASSWORD"]);
        assert_eq!(has["POSTGRES_DB"], name);
        let url = variables(service)["SHOP_POSTGRES"].replace("{service}", name);
        let here = format!("postgres://{user}:{password}@{host}:5432/{name}");
        assert_eq!(url, here);
        let volume = format!("{host}:/var/lib/postgresql/data");
        assert_eq!(strings(&database["volumes"]), [volume]);
        assert!(compose["volumes"].as_object().unwrap().contains_key(&host));
        let needs = service["depends_on"].as_object().expect("what it needs");
        for (needed, how) in needs {
            assert_eq!(how["condition"], "service_healthy", "{needed}");
        }
        assert!(needs.contains_key(&host));
        assert_eq!(needs.contains_key("rabbitmq"), name != "provider");
        let (user, password) = (
            broker["RABBITMQ_DEFAULT_USER"],
            broker["RABBITMQ_DEFAULT_PASS"],
        );
        let amqp = format!("amqp://{user}:{password}@rabbitmq:5672/%2f");
        assert_eq!(variables(service)["SHOP_AMQP"], amqp);
    }
}

#[test]
fn whatever_runs_for_long_has_a_health_check_and_every_image_a_version() {
    let compose = compose();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().expect("an image");
        assert!(is_pinned(image), "{name}: {image}");
        let is_one_shot = strings(&service["profiles"]) == ["run"];
        assert!(
            is_one_shot || service["healthcheck"]["test"].is_array(),
            "{name}"
        );
    }
}

/// Whether an image has a version in its tag.
fn is_pinned(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    let version = tag.split('-').next().unwrap_or_default();
    let version = version.strip_prefix('v').unwrap_or(version);
    version.contains('.') && version.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[test]
fn whoever_looks_at_the_shop_is_asked_for_by_name_and_finds_its_settings_here() {
    let compose = compose();
    let observers = services(&compose)
        .iter()
        .filter(|(_, service)| strings(&service["profiles"]) == ["observe"]);
    let names: Vec<&str> = observers.map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        BTreeSet::from_iter(names),
        ["grafana", "jaeger", "prometheus"].into()
    );
    let mut mounted = BTreeSet::new();
    for (name, service) in services(&compose) {
        for port in strings(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        for volume in strings(&service["volumes"]) {
            let Some((here, there)) = volume.split_once(':') else {
                panic!("{name}: {volume}");
            };
            if here.starts_with("./") {
                assert!(root().join(here).exists(), "{name}: {here}");
                assert!(there.ends_with(":ro"), "{name}: {volume}");
                mounted.insert(here.to_owned());
            } else {
                assert!(compose["volumes"].as_object().unwrap().contains_key(here));
            }
        }
    }
    assert_eq!(mounted.len(), 4, "{mounted:?}");
    let grafana = &compose["services"]["grafana"];
    let home = variables(grafana)["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"];
    let home = home.strip_prefix("/etc/grafana/").expect("a board");
    assert!(root().join("dashboards/grafana").join(home).exists());
}

#[test]
fn prometheus_asks_each_service_on_the_port_that_it_listens_on() {
    let compose = compose();
    let config: Value =
        serde_saphyr::from_str(&text("dashboards/prometheus/prometheus.yml")).expect("YAML");
    let jobs = config["scrape_configs"].as_array().expect("jobs").iter();
    let asked: BTreeMap<&str, u64> = jobs
        .map(|job| {
            let place = &job["dns_sd_configs"][0];
            let host = place["names"][0].as_str().expect("a name");
            (host, place["port"].as_u64().expect("a port"))
        })
        .collect();
    for (name, port) in SHOP {
        assert_eq!(asked[name].to_string(), port);
    }
    let command = strings(&compose["services"]["harness"]["command"]).join(" ");
    assert!(command.ends_with(&format!("--metrics 0.0.0.0:{}", asked["harness"])));
    assert!(
        asked
            .keys()
            .all(|host| services(&compose).contains_key(*host))
    );
}

#[test]
fn without_a_collector_nothing_is_traced_and_nobody_complains() {
    let compose = compose();
    for (name, _) in SHOP {
        let service = &compose["services"][name];
        assert_eq!(variables(service)["OTEL_EXPORTER_OTLP_ENDPOINT"], "");
    }
}

#[test]
fn the_one_shot_harness_is_asked_with_flags_that_a_run_has() {
    let compose = compose();
    let command = strings(&compose["services"]["harness"]["command"]);
    assert_eq!(command[..2], ["crashcart", "run"]);
    let (_, help) = crashcart(&["run", "--help"], &BTreeMap::new());
    let flags: BTreeSet<&str> = help.split([' ', ',', '\n']).collect();
    for flag in command.iter().filter(|word| word.starts_with("--")) {
        assert!(flags.contains(flag), "{flag}");
    }
}

#[test]
fn the_image_is_built_from_what_is_here_and_does_not_run_as_root() {
    let dockerfile = text("Dockerfile");
    let lines: Vec<Vec<&str>> = dockerfile
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let of = |word: &str| {
        let lines = lines.iter().filter(|line| line.first() == Some(&word));
        lines.map(|line| &line[1..]).collect::<Vec<_>>()
    };
    for from in of("FROM") {
        assert!(is_pinned(from[0]), "{from:?}");
    }
    let channel = text("rust-toolchain.toml");
    let channel = channel.split('"').nth(1).expect("a version");
    assert_eq!(of("FROM")[0][0], format!("rust:{channel}-bookworm"));
    let ignored = text(".dockerignore");
    for copy in of("COPY")
        .iter()
        .filter(|copy| !copy[0].starts_with("--from"))
    {
        for source in &copy[..copy.len() - 1] {
            assert!(root().join(source).exists(), "{source}");
            assert!(
                ignored.lines().any(|line| line == format!("!{source}")),
                "{source}"
            );
        }
    }
    let users = of("USER");
    let user = users.last().expect("a user")[0];
    assert!(!user.starts_with('0') && user.chars().next().is_some_and(char::is_numeric));
    assert!(
        lines.iter().rposition(|line| line.first() == Some(&"USER"))
            > lines.iter().rposition(|line| line.first() == Some(&"FROM"))
    );
    for program in ["shop", "crashcart"] {
        assert!(dockerfile.contains(&format!("/usr/local/bin/{program}")));
    }
}
