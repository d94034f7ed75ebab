//! Few colours, and each means the same on every board.

/// As it should be.
pub(crate) const GOOD: &str = "#73BF69";
/// Worth a look.
pub(crate) const WARN: &str = "#F2CC0C";
/// Not as it should be.
pub(crate) const BAD: &str = "#F2495C";
/// Neither good nor bad.
pub(crate) const CALM: &str = "#8AB8FF";

/// A series that has its colour everywhere.
pub(crate) struct Named {
    /// The label that it is a value of.
    pub label: &'static str,
    /// The value.
    pub value: &'static str,
    /// Its colour.
    pub colour: &'static str,
}

const fn named(label: &'static str, value: &'static str, colour: &'static str) -> Named {
    Named {
        label,
        value,
        colour,
    }
}

/// Every series that has a colour of its own.
pub(crate) const NAMED: [Named; 37] = [
    named("service", "orders", "#5794F2"),
    named("service", "products", "#FF9830"),
    named("service", "payments", "#B877D9"),
    named("service", "provider", "#5AC8B8"),
    named("service", "rabbitmq", "#C08457"),
    named("service", "harness", "#9FA7B3"),
    named("outcome", "finished", GOOD),
    named("outcome", "canceled", WARN),
    named("outcome", "charged", GOOD),
    named("outcome", "declined", WARN),
    named("outcome", "unknown", BAD),
    named("outcome", "failed", WARN),
    named("reason", "out_of_stock", "#FFB357"),
    named("reason", "unknown_product", "#CA95E5"),
    named("reason", "amount_too_large", "#E0B400"),
    named("reason", "under_minimum", "#8AB8FF"),
    named("reason", "declined", WARN),
    named("result", "sent", GOOD),
    named("result", "failed", WARN),
    named("result", "dropped", BAD),
    named("state", "offered", "#9FA7B3"),
    named("state", "accepted", "#5794F2"),
    named("state", "settled", GOOD),
    named("state", "refused", WARN),
    named("state", "unknown", "#FF7383"),
    named("state", "dropped", BAD),
    named("state", "ready", CALM),
    named("state", "unacked", "#5794F2"),
    named("state", "retrying", WARN),
    named("state", "dead", BAD),
    named("state", "used", "#5794F2"),
    named("state", "idle", GOOD),
    named("state", "free", "#9FA7B3"),
    named("window", "5m", "#FFCB7D"),
    named("window", "1h", "#FF9830"),
    named("window", "30m", "#8AB8FF"),
    named("window", "6h", "#5794F2"),
];
