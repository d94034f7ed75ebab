//! Is the messaging healthy?

use crate::board::{Board, Kind, Panel, Row, Unit, row};
use crate::palette::{BAD, GOOD};
use crate::promql::{rate, shared};

const DESCRIPTION: &str = "**Nothing dead, nothing old, everybody subscribed.** Queues may fill while a service is away \
    and must empty afterwards. Duplicates are absorbed and harmless; retries are somebody's outage; a message that was \
    given up needs a person: `crashcart dead-letters`.";

pub(super) fn board() -> Board {
    Board {
        file: "messaging",
        uid: "crashcart-messaging",
        title: "Is the messaging healthy",
        description: DESCRIPTION,
        since: "15m",
        rows: vec![glance(), outbox(), queues(), trouble(), rabbitmq()],
    }
}

fn all(metric: &str) -> String {
    format!("sum({})", shared(metric, &[]))
}

fn glance() -> Row {
    row(
        "At a glance",
        vec![
            Panel::new(Kind::Stat, "Waiting to be sent", "Events that are committed and not yet confirmed by the broker, of all services.")
                .size(3, 8)
                .worse_from(1_000.0, 10_000.0)
                .ask("waiting", all("crashcart_outbox_pending")),
            Panel::new(Kind::Stat, "Waiting to be heard", "Messages in the queues of all services that nobody works on.")
                .size(3, 8)
                .worse_from(1_000.0, 10_000.0)
                .ask("waiting", all(r#"crashcart_queue_messages{state="ready"}"#)),
            Panel::new(Kind::Stat, "Given up", "Messages in the dead queues of all services.")
                .size(3, 8)
                .none_allowed()
                .ask("given up", all(r#"crashcart_queue_messages{state="dead"}"#)),
            Panel::new(Kind::Stat, "Times the broker was lost", "Over the time that is shown, of all services: while publishing, while consuming, or because it could not be had.")
                .size(3, 8)
                .worse_from(1.0, 100.0)
                .ask("lost", "sum(increase(crashcart_broker_errors_total[$__range]))"),
            Panel::new(Kind::States(["no", "yes"]), "Who publishes and who is subscribed", "Publishing says how the last try went; subscribed, whether the service listens to its queue. Of several replicas the worst.")
                .size(12, 8)
                .steps(&[(f64::NEG_INFINITY, BAD), (1.0, GOOD)])
                .ask("{{service}} publishes", "min by (service) (crashcart_publishing)")
                .ask("{{service}} is subscribed", "min by (service) (crashcart_consuming)"),
        ],
    )
}

fn outbox() -> Row {
    row(
        "What was said and not yet sent",
        vec![
            Panel::new(Kind::Lines, "Events that wait for a confirm", "By service. A saw is load; a ramp is a broker that does not answer.")
                .ask("{{service}}", shared("crashcart_outbox_pending", &[])),
            Panel::new(Kind::Lines, "Age of the oldest of them", "By service. One event that never goes away while others do is one that the broker refuses.")
                .unit(Unit::Seconds)
                .ask("{{service}}", shared("crashcart_outbox_oldest_age_seconds", &[])),
            Panel::new(Kind::Lines, "Found by the sweeper", "Events that were committed and left unpublished, mostly because their service died in between. Nothing in quiet times.")
                .unit(Unit::PerSecond)
                .ask("{{service}}", rate("crashcart_events_swept_total", "", &["service"])),
        ],
    )
}

fn queues() -> Row {
    row(
        "What was sent and not yet heard",
        vec![
            Panel::new(Kind::Stack, "Messages in queues, by state", "Ready wait for a service, unacked are being applied, retrying were put off, dead were given up.")
                .ask("{{state}}", format!("sum by (state) ({})", shared("crashcart_queue_messages", &["state"]))),
            Panel::new(Kind::Lines, "Messages that wait, by service", "Whose queue it is that grows.")
                .ask("{{service}}", format!("sum by (service) ({})", shared(r#"crashcart_queue_messages{state=~"ready|retrying"}"#, &["state"]))),
            Panel::new(Kind::Stack, "Events said", "Events committed to the logs, by type: the choreography at work. Of a finished order there is one of each.")
                .unit(Unit::PerSecond)
                .ask("{{type}}", rate("crashcart_events_said_total", "", &["type"]))
                .nothing("nothing was said"),
        ],
    )
}

fn trouble() -> Row {
    row(
        "What did not go smoothly",
        vec![
            Panel::new(Kind::Lines, "Duplicates absorbed", "Deliveries of messages that were applied before, by type. They come after crashes and lost connections, and change nothing.")
                .unit(Unit::PerSecond)
                .size(6, 8)
                .ask("{{type}}", rate("crashcart_duplicates_absorbed_total", "", &["type"]))
                .nothing("no duplicates"),
            Panel::new(Kind::Lines, "Retries", "Further tries of a delivery, by type: a database was away, or the message cannot be applied.")
                .unit(Unit::PerSecond)
                .size(6, 8)
                .ask("{{type}}", rate("crashcart_retries_total", "", &["type"]))
                .nothing("no retries"),
            Panel::new(Kind::Lines, "Given up", "Messages that were put into a dead queue, by service.")
                .unit(Unit::PerSecond)
                .size(6, 8)
                .ask("{{service}}", rate("crashcart_dead_lettered_total", "", &["service"]))
                .nothing("none was given up"),
            Panel::new(Kind::Lines, "Broker lost", "By service. All at once is the broker, one alone is its network.")
                .unit(Unit::PerSecond)
                .size(6, 8)
                .ask("{{service}}", rate("crashcart_broker_errors_total", "", &["service"])),
        ],
    )
}

fn rabbitmq() -> Row {
    let global = |metric: &str| {
        format!("sum(rate(rabbitmq_global_messages_{metric}_total[$__rate_interval]))")
    };
    row(
        "RabbitMQ, as it tells of itself",
        vec![
            Panel::new(Kind::Lines, "Ready, by queue", "The same queues from the other side. Queues without a reader stay full: one of them may be the tap of a run.")
                .ask("{{queue}}", "sum by (queue) (rabbitmq_queue_messages_ready)")
                .nothing("no RabbitMQ here"),
            Panel::new(Kind::Lines, "Unacknowledged, by queue", "Delivered and not yet answered. At the prefetch the service is the bottleneck.")
                .ask("{{queue}}", "sum by (queue) (rabbitmq_queue_messages_unacked)")
                .nothing("no RabbitMQ here"),
            Panel::new(Kind::Lines, "Messages a second", "Received from publishers and confirmed to them, delivered to services and acknowledged by them. Fanout delivers each as often as there are queues.")
                .unit(Unit::PerSecond)
                .ask("received", global("received"))
                .ask("confirmed", global("confirmed"))
                .ask("delivered", global("delivered"))
                .ask("acknowledged", global("acknowledged"))
                .nothing("no RabbitMQ here"),
            Panel::new(Kind::Lines, "Redelivered", "Deliveries that were somebody's before: a replica died, or a message was put back.")
                .unit(Unit::PerSecond)
                .ask("redelivered", global("redelivered"))
                .nothing("no RabbitMQ here"),
            Panel::new(Kind::Lines, "Connections and channels", "Two connections a replica, one to publish and one to consume. A saw is a network that does not hold.")
                .ask("connections", "sum(rabbitmq_connections)")
                .ask("channels", "sum(rabbitmq_channels)")
                .nothing("no RabbitMQ here"),
            Panel::new(Kind::Lines, "Memory, and where publishers are stopped", "At the limit the broker takes no more messages, and outboxes grow.")
                .unit(Unit::Bytes)
                .ask("memory", "sum(rabbitmq_process_resident_memory_bytes)")
                .ask("limit", "sum(rabbitmq_resident_memory_limit_bytes)")
                .nothing("no RabbitMQ here"),
        ],
    )
}
