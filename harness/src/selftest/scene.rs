//! What the world does while the stories are told: nothing, or one kind of trouble. All of it comes out of the seed.
//!
//! Everything in here is legal: a shop without bugs lives through it, so each check must say valid in each scene.

use super::stories::PRODUCTS;
use contract::{Cents, EventType, Message};
use platform::world::Mischief;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use shop::ProviderSettings;
use shop::world::ShopMischief;
use std::time::Duration;

/// A kind of trouble.
pub struct Scene {
    /// Its name.
    pub name: &'static str,
    /// What happens in it, in one sentence.
    pub what: &'static str,
    setup: fn(&mut ChaCha8Rng) -> Setup,
}

impl std::fmt::Debug for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A scene with everything chosen.
pub(super) struct Setup {
    /// How the provider behaves.
    pub(super) provider: ProviderSettings,
    /// What goes wrong in the services.
    pub(super) mischief: ShopMischief,
    /// How long the stories begin for.
    pub(super) load: Duration,
}

impl Scene {
    /// The scene with this name.
    pub fn parse(name: &str) -> Option<&'static Self> {
        SCENES.into_iter().find(|scene| scene.name == name)
    }

    pub(super) fn setup(&self, chance: &mut ChaCha8Rng) -> Setup {
        (self.setup)(chance)
    }
}

/// All scenes.
pub const SCENES: [&Scene; 12] = [
    &CALM,
    &REPEATS,
    &LOSSES,
    &SLOW,
    &OUTAGE,
    &REFUSALS,
    &SPOILED,
    &HICCUPS,
    &CRASH,
    &UNPUBLISHED,
    &UNCOMMITTED,
    &SWARM,
];

/// Nothing goes wrong.
pub const CALM: Scene = Scene {
    name: "calm",
    what: "nothing goes wrong",
    setup: calm,
};
/// Messages come twice, late, and in another order.
pub const REPEATS: Scene = Scene {
    name: "repeats",
    what: "messages come twice, late, and in another order",
    setup: repeats,
};
/// The provider loses requests and answers.
pub const LOSSES: Scene = Scene {
    name: "losses",
    what: "the provider loses requests and answers",
    setup: losses,
};
/// The provider takes long.
pub const SLOW: Scene = Scene {
    name: "slow",
    what: "the provider often takes longer than payments waits",
    setup: slow,
};
/// The database of a service is gone for a while.
pub const OUTAGE: Scene = Scene {
    name: "outage",
    what: "the database of a service is gone for a while",
    setup: outage,
};
/// The statements of a service fail for a while.
pub const REFUSALS: Scene = Scene {
    name: "refusals",
    what: "all statements of a service fail for a second",
    setup: refusals,
};
/// A message never gets through.
pub const SPOILED: Scene = Scene {
    name: "spoiled",
    what: "payment.created is spoiled on its way, so that it fails for good; the sweep charges all the same",
    setup: spoiled,
};
/// A message gets through when it is tried again.
pub const HICCUPS: Scene = Scene {
    name: "hiccups",
    what: "payment.processed fails when it is delivered first, and gets through when it is tried again",
    setup: hiccups,
};
/// A service crashes anywhere.
pub const CRASH: Scene = Scene {
    name: "crash",
    what: "a service crashes at any of its port calls",
    setup: crash,
};
/// A service crashes between commit and publish.
pub const UNPUBLISHED: Scene = Scene {
    name: "unpublished",
    what: "a service crashes before it publishes",
    setup: unpublished,
};
/// A service crashes before a commit.
pub const UNCOMMITTED: Scene = Scene {
    name: "uncommitted",
    what: "a slow service crashes before it commits",
    setup: uncommitted,
};

/// Several of the others at once.
pub const SWARM: Scene = Scene {
    name: "swarm",
    what: "several of the other troubles at once",
    setup: swarm,
};

/// Orders that come to these amounts are declined.
pub(super) const DECLINED_CENTS: [i64; 2] = [6_666, 13_332];

/// Long enough for windows in which something must settle.
const LONG: Duration = Duration::from_secs(6);
/// Short enough that a pause of a second or two is not held against the shop.
const SHORT: Duration = Duration::from_millis(3_600);

fn setup() -> Setup {
    let declined = DECLINED_CENTS
        .map(Cents::try_from)
        .into_iter()
        .flatten()
        .collect();
    let provider = ProviderSettings {
        decline_amounts_cents: declined,
        ..ProviderSettings::default()
    };
    Setup {
        provider,
        mischief: ShopMischief::default(),
        load: SHORT,
    }
}

fn calm(_: &mut ChaCha8Rng) -> Setup {
    Setup {
        load: LONG,
        ..setup()
    }
}

fn repeats(chance: &mut ChaCha8Rng) -> Setup {
    Setup {
        mischief: ShopMischief::everywhere(&repeated(chance)),
        ..setup()
    }
}

fn repeated(chance: &mut ChaCha8Rng) -> Mischief {
    let mut types = || {
        EventType::ALL
            .choose(chance)
            .map_or("", |kind| kind.as_str())
    };
    let duplicate = vec![(types(), 1), (types(), 2), (types(), 1)];
    Mischief {
        duplicate,
        delay: vec![types()],
        shuffle: true,
        ..Mischief::default()
    }
}

fn losses(_: &mut ChaCha8Rng) -> Setup {
    losses_of(0.2)
}

fn losses_of(rate: f64) -> Setup {
    let mut setup = setup();
    (
        setup.provider.lost_request_rate,
        setup.provider.lost_answer_rate,
    ) = (rate, rate);
    setup
}

fn slow(_: &mut ChaCha8Rng) -> Setup {
    slow_by(600.0)
}

fn slow_by(latency_ms: f64) -> Setup {
    let mut setup = setup();
    (setup.provider.latency_ms_p50, setup.provider.latency_ms_p99) = (latency_ms, latency_ms * 5.0);
    setup
}

fn outage(chance: &mut ChaCha8Rng) -> Setup {
    let time = time(chance, 500..2_500);
    in_one_service(
        chance,
        Mischief {
            outage: Some(time),
            ..Mischief::default()
        },
    )
}

/// Shorter than the shortest pauses before a message is given up, which are 1.75 seconds together.
fn refusals(chance: &mut ChaCha8Rng) -> Setup {
    let time = time(chance, 600..1_400);
    in_one_service(
        chance,
        Mischief {
            refuses: Some(time),
            ..Mischief::default()
        },
    )
}

fn spoiled(_: &mut ChaCha8Rng) -> Setup {
    let mut setup = setup();
    setup.mischief.payments.spoil =
        Some(|delivery| of_another(&delivery.message, EventType::PaymentCreated, "paymentId"));
    setup
}

fn hiccups(_: &mut ChaCha8Rng) -> Setup {
    let mut setup = setup();
    setup.mischief.products.spoil = Some(|delivery| {
        let is_first = delivery.attempts == 0;
        is_first
            .then(|| of_another(&delivery.message, EventType::PaymentProcessed, "orderId"))
            .flatten()
    });
    setup
}

/// Every fourth message of this type, with an id in it that nobody knows.
fn of_another(message: &Message, kind: EventType, field: &str) -> Option<String> {
    let is_chosen = message.kind == kind.as_str() && message.id.0.as_bytes()[15].is_multiple_of(4);
    let (before, after) = message.data.split_once(&format!("\"{field}\":\""))?;
    let (_, after) = after.split_once('"')?;
    is_chosen.then(|| format!("{before}\"{field}\":\"{}\"{after}", uuid::Uuid::max()))
}

fn crash(chance: &mut ChaCha8Rng) -> Setup {
    let mischief = Mischief {
        crash_at: Some(chance.random_range(1..400)),
        dawdle: chance.random(),
        ..Mischief::default()
    };
    in_one_service(chance, mischief)
}

fn unpublished(chance: &mut ChaCha8Rng) -> Setup {
    let mut setup = setup();
    let nth = chance.random_range(1..9);
    let at = |nth| Mischief {
        crash_before: Some(("publish", nth)),
        ..Mischief::default()
    };
    match chance.random_range(0..3) {
        0 => setup.mischief.orders = at(nth),
        // What products says first is the catalogue.
        1 => setup.mischief.products = at(PRODUCTS + nth),
        _ => setup.mischief.payments = at(nth),
    }
    setup
}

fn uncommitted(chance: &mut ChaCha8Rng) -> Setup {
    // The first commit is that of the tables. In orders, of those that follow the early ones are those of requests.
    let last = chance.random_range(2..14);
    let nth = chance.random_range(2..=last);
    let mischief = Mischief {
        crash_before: Some(("commit", nth)),
        dawdle: true,
        ..Mischief::default()
    };
    if chance.random_ratio(2, 3) {
        return Setup {
            mischief: ShopMischief {
                orders: mischief,
                ..ShopMischief::default()
            },
            ..setup()
        };
    }
    in_one_service(chance, mischief)
}

/// One trouble of each kind or none. A service that crashes must find its database when it starts, so there is no
/// outage then.
fn swarm(chance: &mut ChaCha8Rng) -> Setup {
    let mut setup = [setup, || losses_of(0.1), || slow_by(300.0)][chance.random_range(0..3)]();
    let common = if chance.random() {
        repeated(chance)
    } else {
        Mischief::default()
    };
    let common = Mischief {
        dawdle: chance.random(),
        shuffle: chance.random(),
        ..common
    };
    setup.mischief = ShopMischief::everywhere(&common);
    let kind = chance.random_range(0..5);
    let ShopMischief {
        orders,
        products,
        payments,
        ..
    } = &mut setup.mischief;
    for place in [orders, products, payments] {
        match kind {
            0 => place.crash_at = Some(chance.random_range(1..800)),
            1 => place.crash_before = Some(("commit", chance.random_range(2..20))),
            2 => place.outage = Some(time(chance, 100..2_500)),
            3 => place.refuses = Some(time(chance, 100..1_400)),
            _ => {}
        }
    }
    setup
}

/// A time that begins in the second or third second of the world.
fn time(chance: &mut impl Rng, length_ms: std::ops::Range<u64>) -> std::ops::Range<Duration> {
    let begin = Duration::from_millis(chance.random_range(300..2_300));
    begin..begin + Duration::from_millis(chance.random_range(length_ms))
}

fn in_one_service(chance: &mut ChaCha8Rng, mischief: Mischief) -> Setup {
    let mut setup = setup();
    let place = match chance.random_range(0..3) {
        0 => &mut setup.mischief.orders,
        1 => &mut setup.mischief.products,
        _ => &mut setup.mischief.payments,
    };
    *place = mischief;
    setup
}
