//! M3: at rest, what services say of the moment is what is there.

use super::Lives;
use crate::check::{Tally, Violation};
use crate::evidence::{Scrape, Service, View};
use contract::http::{OrderStatus, PaymentStatus};

/// M3
pub(in crate::check) fn judge(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for service in Service::ALL {
        let lives = Lives::of(view, service.as_str());
        let now = lives.lives.iter().filter(|life| life.next_us.is_none());
        for life in now {
            for (name, there) in gauges(view, service) {
                tally.look(differs(life.last, (name, &[]), there));
            }
            let queue = view.queues.get(&service).copied().unwrap_or_default();
            // What is with a consumer each replica counts for itself.
            for (state, there) in [("ready", queue.ready), ("dead", queue.dead)] {
                let labels = [("state", state)];
                let gauge = ("crashcart_queue_messages", &labels[..]);
                tally.look(differs(life.last, gauge, number(there)));
            }
        }
    }
    tally
}

/// What a service must say at rest.
fn gauges(view: &View<'_>, service: Service) -> Vec<(&'static str, i64)> {
    let unpublished = view.queues.get(&service);
    let unpublished = unpublished.map_or(0, |queue| number(queue.unpublished));
    let mut gauges = vec![
        ("crashcart_outbox_pending", unpublished),
        // Whoever asks for it.
        ("http_server_active_requests", 1),
        ("crashcart_loops_ended", 0),
        ("crashcart_consuming", 1),
        ("crashcart_store_up", 1),
        ("crashcart_build_info", 1),
    ];
    if unpublished == 0 {
        gauges.push(("crashcart_outbox_oldest_age_seconds", 0));
    }
    match service {
        Service::Orders => {
            let open = view.orders.iter();
            let open = open.filter(|order| order.status == OrderStatus::Created);
            let open = number(open.count() as u64);
            gauges.push(("crashcart_sagas_in_flight", open));
            if open == 0 {
                gauges.push(("crashcart_saga_oldest_age_seconds", 0));
            }
        }
        Service::Products => {
            let available = view.products.iter().map(|row| row.available).sum();
            let taken = view.products.iter();
            let taken = taken.map(|row| row.received - row.available).sum();
            let sold_out = view.products.iter().filter(|row| row.available == 0);
            gauges.extend([
                ("crashcart_products", number(view.products.len() as u64)),
                (
                    "crashcart_products_sold_out",
                    number(sold_out.count() as u64),
                ),
                ("crashcart_stock_available_units", available),
                ("crashcart_stock_taken_units", taken),
            ]);
        }
        Service::Payments => {
            let open = view.payments.iter();
            let open = open.filter(|payment| payment.status == PaymentStatus::Created);
            gauges.push(("crashcart_payments_open", number(open.count() as u64)));
        }
    }
    gauges
}

fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn differs(
    scrape: &Scrape,
    (name, labels): (&str, &[(&str, &str)]),
    there: i64,
) -> Option<Violation> {
    let service = &scrape.service;
    if !scrape.has(name) {
        return Some(Violation::run(format!("{service} says nothing of {name}")));
    }
    let said = scrape.sum(name, labels);
    #[expect(clippy::cast_precision_loss, reason = "no run has 2^53 of anything")]
    let is_so = (said - there as f64).abs() < 0.5;
    (!is_so).then(|| {
        Violation::run(format!(
            "at rest {name} of {service} is {said}, and there are {there}"
        ))
    })
}
