//! What the stories are told with: plain messages, and a service that keeps what it hears of products.

use contract::events::{ProductCreated, ProductRestocked};
use contract::{Cents, Event, EventType, Message, MessageId, ProductId};
use platform::broker::BrokerError;
use platform::http::Api;
use platform::stage::Stage;
use platform::store::{Migration, Tx};
use platform::world::{Mischief, World};
use platform::{BoxFuture, Context, Heard, Result, Said, Service, Settings, params};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The `n`-th message, of a type that only its consumer cares about.
pub fn message(n: u64) -> Message {
    Message {
        id: MessageId(Uuid::from_u128(n.into())),
        source: "story".to_owned(),
        kind: "product.restocked".to_owned(),
        subject: Uuid::nil(),
        time_us: 1_767_225_600_000_000,
        cause: None,
        traceparent: None,
        tracestate: None,
        data: "{}".to_owned(),
    }
}

/// The messages of a range, in its order.
pub fn messages(range: std::ops::RangeInclusive<u64>) -> Vec<Message> {
    range.map(message).collect()
}

/// Which of [`messages`] this is.
pub fn number(message: &Message) -> u64 {
    u64::try_from(message.id.0.as_u128()).unwrap()
}

/// The name of [`Diary`].
pub const DIARY: &str = "diary";

/// A service that writes down what is restocked, in the order in which it hears it, and says so.
pub struct Diary;

impl Service for Diary {
    fn migrations(&self) -> &'static [Migration] {
        &[Migration {
            name: "diary-0001",
            sql: "create table pages (id text primary key, entries text not null,
                                      total bigint not null check (total >= 0))",
        }]
    }

    fn api(&self, ctx: &Context) -> Api {
        Api::new(ctx)
    }

    fn hears(&self, kind: EventType) -> bool {
        kind == EventType::ProductRestocked
    }

    fn react<'t>(
        &'t self,
        heard: &'t Heard,
        tx: &'t dyn Tx,
        said: &'t mut Said,
    ) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move {
            let Event::ProductRestocked(e) = &heard.event else {
                return Ok(());
            };
            write(tx, e.product_id, e.quantity).await?;
            said.push(written(e.product_id, e.quantity));
            Ok(())
        })
    }
}

/// Adds `quantity` to a page. Below zero the fence of the table holds.
pub async fn write(tx: &dyn Tx, page: ProductId, quantity: i64) -> Result<()> {
    let sql = "insert into pages (id, entries, total) values ($1, '', 0) on conflict do nothing";
    tx.execute(sql, params![page.0]).await?;
    tx.execute(
        "update pages set entries = entries || $2 || ' ', total = total + $3 where id = $1",
        params![page.0, quantity.to_string(), quantity],
    )
    .await?;
    Ok(())
}

/// What is said when something was written down; it is the only one of its quantity on its page.
pub fn written(product_id: ProductId, quantity: i64) -> ProductCreated {
    ProductCreated {
        product_id,
        name: "written down".to_owned(),
        price_cents: Cents::ZERO,
        stock: quantity,
        version: quantity,
    }
}

/// What stands on a page.
pub async fn read(world: &World, page: ProductId) -> Vec<i64> {
    let tx = world.store(DIARY).snapshot().await.unwrap();
    let sql = "select entries from pages where id = $1";
    let rows = tx.query(sql, params![page.0]).await.unwrap();
    let entries: String = rows
        .first()
        .map_or(String::new(), |row| row.get(0).unwrap());
    let parsed = entries
        .split_whitespace()
        .map(|entry| entry.parse().unwrap());
    parsed.collect()
}

/// A page by its number.
pub fn page(n: u128) -> ProductId {
    ProductId(Uuid::from_u128(n))
}

/// What [`Diary`] writes down.
pub fn restocked(product_id: ProductId, quantity: i64) -> ProductRestocked {
    ProductRestocked {
        product_id,
        quantity,
        available_after: 0,
        version: 1,
    }
}

/// The diary alone in a world.
pub async fn diary(seed: u64, settings: Settings, mischief: Mischief) -> (Stage, Context) {
    let world = World::new(seed, vec![DIARY], settings);
    let make = Box::new(|_: &Context| -> Arc<dyn Service> { Arc::new(Diary) });
    let ctx = world.add(DIARY, mischief, make).await;
    (Stage::new(world, DIARY), ctx)
}

/// Asks until the broker is there.
pub async fn until_ok<T>(mut ask: impl AsyncFnMut() -> Result<T, BrokerError>) -> T {
    for _ in 0..1_000 {
        match ask().await {
            Ok(value) => return value,
            Err(BrokerError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the broker does not come back");
}
