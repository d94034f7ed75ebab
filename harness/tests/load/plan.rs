//! What is planned.

use crate::kit::{config, only_real};
use harness::history::Story;
use harness::workload::{
    DECLINED_CENTS, Item, RealOrder, Role, Script, Wanted, Workload, WorkloadConfig, plan,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// The stories that starts tell; the catalogue is made before them.
fn planned() -> impl Iterator<Item = Story> {
    Story::ALL
        .into_iter()
        .filter(|story| *story != Story::Catalogue)
}

/// The orders that a plan may make, one for each key.
fn orders(workload: &Workload) -> Vec<&[Item]> {
    let order = |script| match script {
        &Script::Once(ref items)
        | &Script::Retry(ref items)
        | &Script::DoubleClick(ref items)
        | &Script::KeyReused(ref items, _)
        | &Script::HangUp(ref items, _)
        | &Script::Reread(ref items) => Some(&items[..]),
        Script::Badly(_) => None,
    };
    workload
        .starts
        .iter()
        .filter_map(|start| order(&start.script))
        .collect()
}

/// How many units are asked for, by place in the catalogue.
fn asked(workload: &Workload) -> BTreeMap<usize, i64> {
    let mut asked = BTreeMap::new();
    for item in orders(workload).into_iter().flatten() {
        if let Wanted::Catalogue(at) = item.wanted {
            *asked.entry(at).or_default() += item.quantity.get();
        }
    }
    asked
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_one_another() {
    let config = config(1_000.0, 5.0);
    assert_eq!(plan(&config), plan(&config));
    let other = WorkloadConfig {
        seed: 8,
        ..config.clone()
    };
    let (one, other) = (plan(&config), plan(&other));
    assert_ne!(one.starts[0].at, other.starts[0].at);
    assert_ne!(one.told(), other.told());
}

#[test]
fn each_story_is_told_in_the_first_half_and_most_orders_are_real() {
    let workload = plan(&config(1_000.0, 10.0));
    let half = &workload.starts[..workload.starts.len() / 2];
    for story in planned() {
        assert!(half.iter().any(|start| start.story == story), "{story:?}");
    }
    let generated = workload.starts.len() - workload.told()[&Story::Real];
    let percent = generated * 100 / workload.starts.len();
    assert_eq!(percent, 8);
}

#[test]
fn a_run_with_room_for_each_story_once_tells_each_once() {
    let n = planned().count();
    let mut seconds = 0.001;
    let workload = loop {
        let workload = plan(&config(100.0, seconds));
        if workload.starts.len() == n {
            break workload;
        }
        seconds += 0.001;
        assert!(seconds < 10.0, "no plan has {n} starts");
    };
    let told = workload.told();
    assert!(planned().all(|story| told[&story] == 1), "{told:?}");
}

#[test]
fn without_stories_there_are_only_the_real_orders_each_once_and_in_their_order() {
    let config = WorkloadConfig {
        duration: None,
        ..only_real(500.0, 0.0)
    };
    let workload = plan(&config);
    assert!(
        workload
            .catalogue
            .iter()
            .all(|product| product.role == Role::Real)
    );
    let lines = |items: &[Item]| -> Vec<_> {
        let line = |item: &Item| match item.wanted {
            Wanted::Catalogue(at) => (workload.catalogue[at].price_cents, item.quantity),
            Wanted::Nowhere(id) => panic!("{id} in a real order"),
        };
        items.iter().map(line).collect()
    };
    let sent: Vec<_> = orders(&workload).into_iter().map(lines).collect();
    let real: Vec<_> = config
        .orders
        .iter()
        .map(|order| order.lines.clone())
        .collect();
    assert_eq!(sent, real);
    let with_stories = plan(&WorkloadConfig {
        duration: None,
        ..crate::kit::config(500.0, 0.0)
    });
    assert_eq!(with_stories.told()[&Story::Real], real.len());
}

#[test]
fn a_long_run_begins_with_the_real_orders_again_and_has_stock_for_it() {
    let mut config = only_real(100.0, 10.0);
    config.orders.truncate(3);
    let workload = plan(&config);
    let orders = orders(&workload);
    assert!(orders.len() > 900);
    assert_eq!(orders[0], orders[3]);
    let stock = |percent| -> Vec<i64> {
        let config = WorkloadConfig {
            stock_percent: percent,
            ..config.clone()
        };
        plan(&config)
            .catalogue
            .iter()
            .map(|product| product.stock)
            .collect()
    };
    let asked: Vec<i64> = asked(&workload).into_values().collect();
    assert_eq!(stock(100), asked);
    assert_eq!(
        stock(50),
        asked.iter().map(|units| units / 2).collect::<Vec<_>>()
    );
}

#[test]
fn the_gaps_are_exponential_with_the_mean_that_was_asked_for() {
    let workload = plan(&only_real(2_000.0, 20.0));
    let at = |k: usize| workload.starts[k].at.as_secs_f64();
    let gaps: Vec<f64> = (1..workload.starts.len())
        .map(|k| at(k) - at(k - 1))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "some ten thousands")]
    let n = gaps.len() as f64;
    let mean = gaps.iter().sum::<f64>() / n;
    let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
    let variation = variance.sqrt() / mean;
    assert!((mean * 2_000.0 - 1.0).abs() < 0.03, "mean {mean}");
    assert!(
        (variation - 1.0).abs() < 0.03,
        "coefficient of variation {variation}"
    );
    assert!(
        workload
            .starts
            .iter()
            .all(|start| start.at < Duration::from_secs(20))
    );
}

#[test]
fn scarce_products_run_out_and_all_others_do_not() {
    for seconds in [0.5, 30.0] {
        let workload = plan(&config(1_000.0, seconds));
        let scarce = |at: &usize| workload.catalogue[*at].role == Role::Scarce;
        let asked = asked(&workload);
        assert!(asked.keys().any(scarce));
        for (at, units) in asked {
            let stock = workload.catalogue[at].stock;
            if scarce(&at) {
                assert_eq!(stock, units / 2, "{:?}", workload.catalogue[at]);
            } else {
                assert!(stock >= units, "{:?}", workload.catalogue[at]);
            }
        }
    }
}

#[test]
fn only_orders_that_are_meant_to_come_to_the_amount_that_is_declined() {
    let workload = plan(&config(1_000.0, 30.0));
    let amount = |items: &[Item]| -> i64 {
        let cents = |item: &Item| match item.wanted {
            Wanted::Catalogue(at) => workload.catalogue[at].price_cents.get() * item.quantity.get(),
            Wanted::Nowhere(_) => 0,
        };
        items.iter().map(cents).sum()
    };
    let declined = orders(&workload)
        .into_iter()
        .filter(|items| amount(items) == DECLINED_CENTS);
    assert_eq!(declined.count(), workload.told()[&Story::Declined]);
    let real = |order: &RealOrder| -> i64 {
        let cents = order.lines.iter().map(|(price, q)| price.get() * q.get());
        cents.sum()
    };
    let real_orders = config(1.0, 0.0).orders;
    assert!(
        real_orders
            .iter()
            .all(|order| real(order) != DECLINED_CENTS)
    );
    for start in &workload.starts {
        if let (Story::UnderMinimum, Script::Once(items)) = (start.story, &start.script) {
            assert!(amount(items) < 100, "{items:?}");
        }
    }
}

#[test]
fn every_edge_of_a_price_is_ordered() {
    let workload = plan(&config(500.0, 2.0));
    let mut prices: Vec<i64> = Vec::new();
    for start in workload
        .starts
        .iter()
        .filter(|start| start.story == Story::PriceEdge)
    {
        let Script::Once(items) = &start.script else {
            panic!("{start:?}")
        };
        let Wanted::Catalogue(at) = items[0].wanted else {
            panic!("{start:?}")
        };
        prices.push(workload.catalogue[at].price_cents.get());
    }
    prices.sort_unstable();
    prices.dedup();
    assert_eq!(prices, [0, 1, 99, 100, 101, 1_000_000_000_000]);
}
