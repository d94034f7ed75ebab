//! The rules of the house that no compiler knows: sizes, who may import whom, what may be named where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Which of our crates each may depend on.
const IMPORTS: [(&str, &[&str]); 8] = [
    ("services/contract", &[]),
    ("services/platform", &["contract"]),
    ("services/products", &["contract", "platform"]),
    ("services/orders", &["contract", "platform"]),
    ("services/payments", &["contract", "platform"]),
    (
        "services/shop",
        &["contract", "platform", "products", "orders", "payments"],
    ),
    ("harness", &["contract", "platform", "shop"]),
    ("dashboards", &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace around us")
        .to_owned()
}

/// Every Rust file below `folder`, with its path from the root and its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of ours") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path
                    .strip_prefix(root())
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.push((name, fs::read_to_string(&path).expect("text")));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no Rust files in {folder}");
    found
}

fn everything() -> Vec<(String, String)> {
    ["services", "harness", "dashboards"]
        .iter()
        .flat_map(|folder| sources(folder))
        .collect()
}

/// The lines of code in `text` (no comments) in which `is_bad`, with their place.
fn lines_with(name: &str, text: &str, is_bad: impl Fn(&str) -> bool) -> Vec<String> {
    let code = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    let bad = code.filter(|(_, line)| is_bad(line.split(" // ").next().unwrap_or(line)));
    bad.map(|(index, line)| format!("{name}:{}: {}", index + 1, line.trim()))
        .collect()
}

/// Words of a line: letters, digits and underscores.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
}

fn none(bad: &[String], rule: &str) {
    assert!(bad.is_empty(), "{rule}:\n  {}", bad.join("\n  "));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long = everything()
        .into_iter()
        .map(|(name, text)| (name, text.lines().count()));
    let long: Vec<String> = long
        .filter(|(_, n)| *n > FILE_LINES_MAX)
        .map(|(name, n)| format!("{name}: {n} lines"))
        .collect();
    none(&long, "split these files");
}

#[test]
fn no_function_is_longer_than_70_lines() {
    let mut long = Vec::new();
    for (name, text) in everything() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            // `fn(` is the type of a function, not a function.
            let named = line.replace("fn(", "(");
            let is_function =
                words(&named).any(|word| word == "fn") && !line.trim_start().starts_with("//");
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            // rustfmt puts the closing brace of a function under its first letter.
            let Some(n) = lines[start..].iter().position(|line| *line == end) else {
                continue;
            };
            if is_function && !line.trim_end().ends_with(';') && n + 1 > FUNCTION_LINES_MAX {
                long.push(format!("{name}:{}: {} lines", start + 1, n + 1));
            }
        }
    }
    none(&long, "split these functions");
}

#[test]
fn crates_import_only_what_stands_before_them() {
    let ours: BTreeSet<&str> = IMPORTS
        .iter()
        .map(|(folder, _)| folder.rsplit('/').next().unwrap())
        .collect();
    for (folder, allowed) in IMPORTS {
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let from = manifest
            .find("\n[dependencies]")
            .map_or("", |at| &manifest[at + 1..]);
        let section = from.split("\n[").next().unwrap_or_default();
        let names = section
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next());
        let bad: Vec<String> = names
            .filter(|name| ours.contains(name) && !allowed.contains(name))
            .map(str::to_owned)
            .collect();
        none(&bad, &format!("{folder} must not depend on"));
    }
}

#[test]
fn the_platform_names_no_word_of_the_shop() {
    let domain = [
        "product",
        "products",
        "payment",
        "payments",
        "reservation",
        "reservations",
        "stock",
        "charge",
    ];
    let types = [
        "OrderId",
        "ProductId",
        "PaymentId",
        "Cents",
        "Quantity",
        "Reason",
    ];
    let mut bad = Vec::new();
    for (name, text) in sources("services/platform/src") {
        bad.extend(lines_with(&name, &text, |line| {
            words(line).any(|word| domain.contains(&word) || types.contains(&word))
        }));
    }
    none(&bad, "platform knows no product, order or payment");
}

#[test]
fn services_name_no_engine_and_keep_their_sql_in_one_place() {
    let engines = [
        "sqlite", "Sqlite", "rusqlite", "postgres", "lapin", "Embedded",
    ];
    let mut bad = Vec::new();
    for service in ["orders", "products", "payments"] {
        for (name, text) in sources(&format!("services/{service}/src")) {
            bad.extend(lines_with(&name, &text, |line| {
                words(line).any(|word| engines.contains(&word))
            }));
            if !name.ends_with("sql.rs") && !name.ends_with("ledger.rs") {
                bad.extend(lines_with(&name, &text, |line| {
                    let line = line.to_lowercase();
                    [
                        "\"select ",
                        "\"insert ",
                        "\"update ",
                        "\"delete ",
                        " returning ",
                    ]
                    .iter()
                    .any(|sql| line.contains(sql))
                }));
            }
        }
    }
    none(&bad, "only adapters name an engine, only sql.rs holds SQL");
}

#[test]
fn only_the_relay_publishes() {
    // The stage plays the other services in a service's own stories, and a world on engines taps their broker.
    let allowed = ["relay.rs", "fault.rs", "broker/", "stage.rs", "tapping.rs"];
    let mut bad = Vec::new();
    for (name, text) in sources("services")
        .into_iter()
        .filter(|(name, _)| name.contains("/src/"))
    {
        if !allowed.iter().any(|place| name.contains(place)) {
            bad.extend(lines_with(&name, &text, |line| line.contains(".publish(")));
        }
    }
    none(&bad, "say it where you store it; the relay publishes");
}

/// A line without what stands in its strings.
fn outside_of_strings(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_judges_never_calls_the_shop() {
    let outside = [
        "client", "target", "tokio", "hyper", "platform", "shop", "async", "await",
    ];
    let mut bad = Vec::new();
    for folder in ["check", "evidence", "corrupt"] {
        for (name, text) in sources(&format!("harness/src/{folder}")) {
            // It asks nobody itself: whoever runs the shop hands it the way to read.
            let asks = name.ends_with("evidence/gather.rs");
            bad.extend(lines_with(&name, &text, |line| {
                let code = outside_of_strings(line);
                let mut words = words(&code);
                code.contains("Shop::")
                    || code.contains("crate::run")
                    || words.any(|word| {
                        outside.contains(&word) && !(asks && ["async", "await"].contains(&word))
                    })
            }));
        }
    }
    none(&bad, "checks read evidence and nothing else");
}

#[test]
fn every_select_is_biased() {
    let mut bad = Vec::new();
    for (name, text) in everything() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_select = line.contains("select! {")
                && !line.trim_start().starts_with("//")
                && !line.contains('"');
            if is_select && lines.get(index + 1).map(|next| next.trim()) != Some("biased;") {
                bad.push(format!("{name}:{}", index + 1));
            }
        }
    }
    none(
        &bad,
        "the same seed must give the same choice: begin with `biased;`",
    );
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let silent = everything()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"));
    none(
        &silent.map(|(name, _)| name).collect::<Vec<_>>(),
        "open with one sentence",
    );
}

#[test]
fn every_match_on_events_is_exhaustive() {
    let mut bad = Vec::new();
    for service in ["orders", "products", "payments"] {
        let (name, text) = (format!("services/{service}/src/reactions.rs"), root());
        let text = fs::read_to_string(text.join(&name)).unwrap();
        bad.extend(lines_with(&name, &text, |line| {
            line.trim_start().starts_with("_ =>")
        }));
    }
    none(
        &bad,
        "a new event must not compile until every service has an answer",
    );
}
