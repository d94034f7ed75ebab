//! One shop in one world, from one seed: stories are told, trouble is made, and everything is gathered.

use super::client::Client;
use super::scene::{Scene, Setup};
use super::stories::{self, Catalogue};
use crate::client::OPEN_METRICS;
use crate::evidence::{Evidence, Reader, ScrapeLine, Source, collect};
use crate::faults::{FaultKind, FaultRecord};
use crate::history::Story;
use crate::plan::Plan;
use crate::telemetry::{Shapes, otlp, spans};
use contract::Bug;
use platform::Settings;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two looks at whether anything moves.
const LOOK: Duration = Duration::from_millis(500);
/// What has not moved for so long never will. The longest pause of the shop is below three seconds.
const STUCK_AFTER: Duration = Duration::from_secs(40);
/// No trial takes longer, whatever moves.
const PATIENCE: Duration = Duration::from_secs(300);
/// Longer than all the pauses of a message take together, and its tries between them.
const ATTEMPTS_US: i64 = 20_000_000;
const SETTLE_BOUND_US: i64 = 30_000_000;

/// What a trial leaves.
#[derive(Debug)]
pub struct Trial {
    /// For the checks.
    pub evidence: Evidence,
    /// How often the services met with trouble; what the provider does is not counted.
    pub struck: u64,
}

/// Plays `scene` out of `seed` with the bug switched on, if there is one, and returns what it leaves. The same seed
/// leaves the same, in any process.
pub fn run(seed: u64, bug: Option<Bug>, scene: &Scene) -> Evidence {
    tell(seed, bug, scene).evidence
}

/// Like [`run`], and tells whether there was any trouble.
pub fn tell(seed: u64, bug: Option<Bug>, scene: &Scene) -> Trial {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime with nothing but a timer");
    runtime.block_on(play(seed, bug, scene))
}

async fn play(seed: u64, bug: Option<Bug>, scene: &Scene) -> Trial {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let Setup {
        provider,
        mut mischief,
        load,
    } = scene.setup(&mut chance);
    let tales = stories::tales(&mut chance, load);
    mischief.planted = bug;
    let (world, _) = shop::world::build(seed, provider, mischief).await;
    let began_us = world.now_us();
    let client = Client::new(world.clone());
    let catalogue = Catalogue::create(&client).await;
    let load_from_us = world.now_us();
    stories::tell_all(&client, &catalogue, &tales, load_from_us).await;
    rest(&client).await;
    let stories: BTreeSet<Story> = tales
        .iter()
        .map(|tale| tale.story)
        .chain([Story::Catalogue])
        .collect();
    let load_to_us = load_from_us + i64::try_from(load.as_micros()).unwrap_or(0);
    let plan = Plan {
        run: format!("{}-{seed}", scene.name),
        seed,
        rate: 0.0,
        starts: tales.len() as u64,
        stories,
        began_us,
        load_from_us,
        load_to_us,
        rest_us: world.now_us(),
        settle_bound_us: SETTLE_BOUND_US,
        attempts_max: Settings::default().retries_max,
        attempts_us: ATTEMPTS_US,
        traced: true,
        metered: true,
        ..Plan::default()
    };
    // Whatever was to go wrong has; from here on it would only disturb the exports.
    world.heal();
    Trial {
        evidence: read(&client, plan).await,
        struck: world.struck(),
    }
}

/// Reads every source.
async fn read(client: &Client, plan: Plan) -> Evidence {
    let export = |service, path: String| async move { client.export(service, &path).await };
    let world = client.world();
    let mut reader = Reader::default();
    reader.evidence().faults = world.deaths().into_iter().map(death).collect();
    scraped(client, &mut reader).await;
    let mut shapes = Shapes::default();
    for (service, traced) in world.traced() {
        let request = otlp(service, traced);
        shapes.take(&request);
        for line in spans(&request) {
            if let Err(why) = reader.span(&line) {
                reader.miss(Source::Spans, why);
            }
        }
    }
    for shape in shapes.finish() {
        reader.shape(shape);
    }
    collect(reader, plan, client.history(), export).await
}

/// What services have counted: those that died until then, and those that live.
async fn scraped(client: &Client, reader: &mut Reader) {
    let world = client.world();
    let mut told = world.last_words();
    for service in shop::SERVICES {
        match client.get(service, "/metrics", OPEN_METRICS).await {
            Ok((_, text)) => told.push((service, world.now_us(), text)),
            Err(why) => reader.miss(Source::Metrics, format!("{service}: {why}")),
        }
    }
    for (service, at_us, text) in told {
        let line = ScrapeLine {
            service: service.into(),
            replica: 0,
            at_us,
            text: text.into(),
        };
        if let Err(why) = reader.scrape(&line) {
            reader.miss(Source::Metrics, why);
        }
    }
}

/// A service that died, and came back at once.
fn death((service, at_us): (&'static str, i64)) -> FaultRecord {
    FaultRecord {
        id: format!("crash-{at_us}"),
        kind: FaultKind::Crash,
        service: Some(service.to_owned()),
        asked_us: at_us,
        fired_us: Some(at_us),
        healed_us: Some(at_us),
        recovered_us: Some(at_us),
        fired: 1,
        observed: 1,
        how: "in a world".to_owned(),
    }
}

/// Waits until nothing moves. What is stuck is judged as it stands: in a world nothing else moves meanwhile, so all
/// sources tell of the same moment.
async fn rest(client: &Client) {
    let begin = tokio::time::Instant::now();
    let (mut since, mut before, mut quiet) = (begin, None, 0);
    loop {
        tokio::time::sleep(LOOK).await;
        let moving = Moving::look(client).await;
        if moving != before {
            (since, before) = (tokio::time::Instant::now(), moving);
        }
        quiet = if moving.is_some_and(Moving::is_nothing) {
            quiet + 1
        } else {
            0
        };
        if quiet == 2 || since.elapsed() > STUCK_AFTER || begin.elapsed() > PATIENCE {
            return;
        }
    }
}

/// What is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Moving {
    orders: usize,
    messages: u64,
    unpublished: u64,
}

impl Moving {
    async fn look(client: &Client) -> Option<Self> {
        let orders = client.export("orders", "/api/v1/orders").await.ok()?;
        let mut moving = Self {
            orders: orders.matches("\"status\":\"created\"").count(),
            ..Self::default()
        };
        for queue in shop::QUEUES {
            let text = client.export(queue, "/api/v1/queues").await.ok()?;
            let counts: serde_json::Value = serde_json::from_str(&text).ok()?;
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            moving.messages += count("ready") + count("unacked") + count("retrying");
            moving.unpublished += count("unpublished");
        }
        Some(moving)
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }
}
