//! Where does an order spend its time?

use crate::board::{Board, Kind, Panel, Row, Unit, row};
use crate::promql::{quantile, rate};

const DESCRIPTION: &str = "From left to right, the whole way and then its parts. **The hop whose p99 rises together with \
    the whole is the one to blame**; a rise on all hops at once is the broker, a rise of the beginnings is a database. \
    The dots are traces: a click opens the order in Jaeger.";

const POST: &str = r#"service="orders", http_request_method="POST", http_route="/api/v1/orders""#;

pub(super) fn board() -> Board {
    Board {
        file: "time",
        uid: "crashcart-time",
        title: "Where does an order spend its time",
        description: DESCRIPTION,
        since: "15m",
        rows: vec![whole(), hops(), edges()],
    }
}

fn whole() -> Row {
    let saga = "crashcart_saga_duration_seconds";
    row(
        "The whole way",
        vec![
            Panel::new(Kind::Heatmap, "How long sagas took", "Each column is a moment, each cell so many sagas that took that long. A second band above the first is a retry or a time-out.")
                .size(14, 9)
                .ask("{{le}}", format!("sum by (le) (increase({saga}_bucket[$__rate_interval]))"))
                .nothing("no saga settled"),
            Panel::new(Kind::Latency, "From accepted to settled", "Median and tail of sagas, by how they ended. Canceled ones are shorter: they end half way.")
                .size(10, 9)
                .ask("{{outcome}} p50", quantile(0.5, saga, "", &["outcome"]))
                .ask("{{outcome}} p99", quantile(0.99, saga, "", &["outcome"]))
                .nothing("no saga settled"),
        ],
    )
}

fn hops() -> Row {
    let lag = "crashcart_message_lag_seconds";
    row(
        "From one service to the next",
        vec![
            Panel::new(Kind::Bars, "Median of each hop, over the time that is shown", "From the moment an event was said to the commit of its effect. Added up along an order's way, these are where its time goes.")
                .unit(Unit::Seconds)
                .size(10, 9)
                .ask("{{type}} → {{service}}", format!("histogram_quantile(0.5, sum by (le, type, service) (rate({lag}_bucket[$__range])))"))
                .nothing("no message"),
            Panel::new(Kind::Latency, "Tail of each hop", "p99 of the same hops. They rise together when the broker or the machine is busy, alone when one service is.")
                .size(14, 9)
                .ask("{{type}} → {{service}}", quantile(0.99, lag, "", &["type", "service"]))
                .nothing("no message"),
        ],
    )
}

fn edges() -> Row {
    let http = "http_server_request_duration_seconds";
    let charge = "crashcart_charge_duration_seconds";
    let begin = "crashcart_store_begin_seconds";
    row(
        "At the edges",
        vec![
            Panel::new(Kind::Latency, "Orders: from request to answer", "How long POST /api/v1/orders took: one transaction, shared with others under load.")
                .ask("orders p50", quantile(0.5, http, POST, &[]))
                .ask("orders p99", quantile(0.99, http, POST, &[]))
                .nothing("no orders"),
            Panel::new(Kind::Latency, "Charges: until the provider answered", "By outcome. Unknown is a charge whose answer did not come in time; the provider is asked again under the same key.")
                .ask("{{outcome}} p50", quantile(0.5, charge, "", &["outcome"]))
                .ask("{{outcome}} p99", quantile(0.99, charge, "", &["outcome"]))
                .nothing("no charges"),
            Panel::new(Kind::Latency, "Databases: until a transaction has begun", "p99 of the wait for a connection, or for the only writer. It rises when a pool is too small or a database is slow.")
                .ask("{{service}} p99", quantile(0.99, begin, "", &["service"]))
                .nothing("no transactions"),
            Panel::new(Kind::Stack, "Answers to POST /api/v1/orders", "By status. A 503 says that nothing was done; any other 5xx leaves that open.")
                .unit(Unit::PerSecond)
                .size(12, 8)
                .ask("{{http_response_status_code}}", rate(&format!("{http}_count"), POST, &["http_response_status_code"]))
                .nothing("no orders"),
            Panel::new(Kind::Lines, "Requests in work", "Requests that have begun and not ended, of each service. Clients that wait for an order to settle count, too.")
                .size(12, 8)
                .ask("{{service}}", "sum by (service) (http_server_active_requests)"),
        ],
    )
}
