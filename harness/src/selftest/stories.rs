//! The workload of a trial: every story once or a few times, some of them in the same instant.

use super::client::{Client, Intent};
use super::scene::DECLINED_CENTS;
use crate::history::{PRICE_EDGES, Story};
use contract::{Cents, Line, OrderId, ProductId, Quantity};
use futures_util::future::{join, join_all};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use uuid::Uuid;

/// Stories begin at one of so many moments, so that several begin together.
const MOMENTS: u32 = 12;
/// How many units of the scarce product there are: enough for one of two orders of two.
const SCARCE: i64 = 3;

/// How many products a trial has.
pub(super) const PRODUCTS: u64 = PRICE_EDGES.len() as u64 + 5;

/// The products of a trial.
pub(super) struct Catalogue {
    plenty: ProductId,
    second: ProductId,
    cheap: ProductId,
    scarce: ProductId,
    declined: ProductId,
    nowhere: ProductId,
    edges: Vec<ProductId>,
}

impl Catalogue {
    /// Creates the products.
    pub(super) async fn create(client: &Client) -> Self {
        let create = async |price: i64, stock: i64| {
            let key = format!("product-{price}");
            let id = client
                .create(Cents::try_from(price).unwrap_or(Cents::ZERO), stock, &key)
                .await;
            // Without an answer there may be no such product; its orders fail, and the checks will tell.
            id.unwrap_or(ProductId(Uuid::nil()))
        };
        let mut edges = Vec::with_capacity(PRICE_EDGES.len());
        for price in PRICE_EDGES {
            edges.push(create(price, 100).await);
        }
        Self {
            plenty: create(1_499, 500).await,
            second: create(2_599, 500).await,
            cheap: create(10, 500).await,
            scarce: create(700, SCARCE).await,
            declined: create(DECLINED_CENTS[0], 100).await,
            nowhere: ProductId(Uuid::max()),
            edges,
        }
    }
}

/// One story of the workload.
pub(super) struct Tale {
    pub(super) story: Story,
    /// Its place in the workload: the key of its request.
    place: usize,
    /// When it begins, from the beginning of the load.
    due: Duration,
    /// Where the story leaves a choice.
    choice: u32,
}

/// Every story that a trial tells, out of `chance`.
pub(super) fn tales(chance: &mut ChaCha8Rng, load: Duration) -> Vec<Tale> {
    let mut tales = Vec::new();
    let mut add = |story: Story, moment: u32, choice: u32| {
        tales.push(Tale {
            story,
            place: tales.len(),
            due: load / MOMENTS * moment,
            choice,
        });
    };
    let moment = |chance: &mut ChaCha8Rng| chance.random_range(0..MOMENTS);
    for choice in [2, 3, 1] {
        add(Story::Happy, 0, choice);
    }
    let together = moment(chance);
    for choice in [2, 2] {
        add(Story::OutOfStock, together, choice);
    }
    for edge in 0..6 {
        add(Story::PriceEdge, moment(chance), edge);
    }
    add(Story::OutOfStock, moment(chance), 10);
    add(Story::UnderMinimum, moment(chance), 3);
    add(
        Story::UnderMinimum,
        moment(chance),
        chance.random_range(1..10),
    );
    add(Story::Declined, moment(chance), chance.random_range(1..3));
    add(Story::UnknownProduct, moment(chance), 1);
    add(
        Story::SeveralLines,
        moment(chance),
        chance.random_range(1..5),
    );
    for story in [
        Story::Retry,
        Story::DoubleClick,
        Story::KeyReused,
        Story::InvalidBody,
        Story::Abandoned,
    ] {
        add(story, moment(chance), chance.random_range(1..4));
    }
    for _ in 0..2 {
        add(Story::Reread, moment(chance), chance.random_range(1..4));
        add(Story::Happy, moment(chance), chance.random_range(1..6));
    }
    tales
}

/// Tells all stories, each at its time. The load begins at `from_us`.
pub(super) async fn tell_all(client: &Client, catalogue: &Catalogue, tales: &[Tale], from_us: i64) {
    join_all(tales.iter().map(|tale| async move {
        tokio::time::sleep(tale.due).await;
        let key = format!("{}-{}", tale.story.as_str(), tale.place);
        let due_us = from_us + i64::try_from(tale.due.as_micros()).unwrap_or(0);
        tell(
            client,
            catalogue,
            tale,
            &Intent {
                story: tale.story,
                key: Some(&key),
                due_us,
            },
        )
        .await;
    }))
    .await;
}

async fn tell(client: &Client, catalogue: &Catalogue, tale: &Tale, intent: &Intent<'_>) {
    let items = items(catalogue, tale);
    match tale.story {
        Story::Retry => {
            client.place(intent, &items).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            client.place(intent, &items).await;
        }
        Story::DoubleClick => {
            join(client.place(intent, &items), client.place(intent, &items)).await;
        }
        Story::KeyReused => {
            client.place(intent, &items).await;
            client.place(intent, &[line(catalogue.second, 7)]).await;
        }
        Story::InvalidBody => client.place_badly(intent, "{\"items\":[]}").await,
        Story::Abandoned => client.abandon(intent, &items).await,
        Story::Reread => {
            if let Some(order) = client.place(intent, &items).await {
                reread(client, intent, order).await;
            }
        }
        Story::Catalogue
        | Story::Real
        | Story::Happy
        | Story::UnderMinimum
        | Story::PriceEdge
        | Story::Declined
        | Story::OutOfStock
        | Story::UnknownProduct
        | Story::SeveralLines => {
            client.place(intent, &items).await;
        }
    }
}

/// Reads an order until it is settled, and then again, soon and late.
async fn reread(client: &Client, intent: &Intent<'_>, order: OrderId) {
    let intent = Intent {
        key: None,
        ..*intent
    };
    for _ in 0..12 {
        if client
            .read(&intent, order, true)
            .await
            .is_some_and(contract::http::OrderStatus::is_settled)
        {
            break;
        }
    }
    for pause_ms in [0, 300, 1_500] {
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        client.read(&intent, order, false).await;
    }
}

fn items(catalogue: &Catalogue, tale: &Tale) -> Vec<Line> {
    let choice = i64::from(tale.choice);
    match tale.story {
        Story::UnderMinimum => vec![line(catalogue.cheap, choice)],
        Story::PriceEdge => {
            let edge = usize::try_from(tale.choice)
                .ok()
                .and_then(|edge| catalogue.edges.get(edge));
            vec![line(edge.copied().unwrap_or(catalogue.plenty), 1)]
        }
        Story::Declined => vec![line(catalogue.declined, choice)],
        Story::OutOfStock => vec![line(catalogue.scarce, choice)],
        Story::UnknownProduct => vec![line(catalogue.nowhere, choice)],
        Story::SeveralLines => {
            vec![
                line(catalogue.plenty, choice),
                line(catalogue.second, 1),
                line(catalogue.cheap, 4),
            ]
        }
        _ => vec![line(catalogue.plenty, choice)],
    }
}

fn line(product_id: ProductId, quantity: i64) -> Line {
    Line {
        product_id,
        quantity: Quantity::try_from(quantity).unwrap_or(Quantity::ONE),
    }
}
