//! The same seed gives the same story, byte for byte, whichever process tells it.

use crate::kit::{Shop, tell};
use contract::EventType;
use platform::world::Mischief;
use shop::ProviderSettings;
use shop::world::ShopMischief;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

const SEED: &str = "CRASHCART_STORY_SEED";
const FILE: &str = "CRASHCART_STORY_FILE";

/// Everything that the world can tell about a story with faults of all kinds.
async fn log(seed: u64) -> String {
    let everything = EventType::ALL.iter().map(|kind| kind.as_str());
    let mischief = Mischief {
        duplicate: everything.clone().map(|kind| (kind, 1)).collect(),
        delay: everything.collect(),
        shuffle: true,
        dawdle: true,
        crash_at: Some(90),
        ..Mischief::default()
    };
    let moody = ProviderSettings {
        decline_rate: 0.2,
        lost_answer_rate: 0.2,
        lost_request_rate: 0.1,
        ..ProviderSettings::default()
    };
    let shop = Shop::with(seed, moody, ShopMischief::everywhere(&mischief)).await;
    let record = shop.product(1_499, 20).await;
    let keys: Vec<String> = (0..12).map(|n| format!("k{n}")).collect();
    let line = [(record, 2)];
    futures_util::future::join_all(keys.iter().map(|key| shop.outcome(&line, key))).await;
    shop.ends_well().await;
    let mut log = shop.world.log();
    for tapped in shop.world.broker().tap(0, usize::MAX).await.unwrap() {
        writeln!(log, "{} {}", tapped.seq, tapped.json).unwrap();
    }
    for service in shop::SERVICES {
        for path in ["/api/v1/events", "/api/v1/inbox"] {
            log.push_str(&shop.export(service, path).await.unwrap());
        }
    }
    for (service, path) in [
        ("orders", "/api/v1/orders"),
        ("products", "/api/v1/products"),
        ("products", "/api/v1/reservations"),
        ("payments", "/api/v1/payments"),
        ("provider", "/api/v1/charges"),
    ] {
        log.push_str(&shop.export(service, path).await.unwrap());
    }
    log
}

/// Has another process tell the story with this seed.
fn told_elsewhere(seed: u64, file: &Path) -> String {
    let told = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "repeatable::the_same_seed_gives_the_same_log_in_two_processes",
        ])
        .env(SEED, seed.to_string())
        .env(FILE, file)
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stdout)
    );
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_log_in_two_processes() {
    if let (Ok(seed), Ok(file)) = (std::env::var(SEED), std::env::var(FILE)) {
        return std::fs::write(file, tell(log(seed.parse().unwrap()))).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let first = told_elsewhere(7, &dir.path().join("first"));
    let second = told_elsewhere(7, &dir.path().join("second"));
    let other = told_elsewhere(8, &dir.path().join("other"));
    assert!(
        first.lines().count() > 300,
        "the log says too little:\n{first}"
    );
    let differs = first
        .lines()
        .zip(second.lines())
        .find(|(first, second)| first != second);
    assert_eq!(differs, None);
    assert_eq!(first, second);
    assert_ne!(first, other, "the seed has no effect");
}
