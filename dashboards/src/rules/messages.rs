//! Messages and sagas that do not get on.

use super::{Rule, RuleKind, Text};
use crate::Scale;
use crate::duration::minutes;

pub(super) fn rules(scale: Scale) -> Vec<Rule> {
    vec![
        outbox_old(scale),
        dead_letters(scale),
        saga_stuck(scale),
        invariant_drift(scale),
        not_publishing(scale),
        not_consuming(scale),
    ]
}

fn outbox_old(scale: Scale) -> Rule {
    let bound = scale.seconds(minutes(2));
    let expr = format!("max by (service) (crashcart_outbox_oldest_age_seconds) > {bound}");
    let text = Text {
        summary: "Events of {{ $labels.service }} are committed and do not get to the broker",
        description: "The oldest one has waited for {{ $value | humanizeDuration }}. Its order stands still; nothing is lost.".to_owned(),
        board: "messaging",
        way_out: "If the service does not publish, see NotPublishing. If it does and one event stays, its log says why \
            the broker refuses it. The sweeper sends what is left as soon as it can.",
    };
    Rule::alert(RuleKind::Critical, "OutboxOld", expr, text).after(scale.pause(minutes(1)))
}

fn dead_letters(scale: Scale) -> Rule {
    let expr = r#"max by (service) (crashcart_queue_messages{state="dead"}) > 0"#.to_owned();
    let text = Text {
        summary: "{{ $labels.service }} has given up messages",
        description: "{{ $value }} messages lie in its dead queue. Each is a step of an order that nobody takes by itself.".to_owned(),
        board: "messaging",
        way_out: "`crashcart dead-letters list` says what they are and why. Mend the reason, then `replay`; `discard` \
            what must not happen.",
    };
    Rule::alert(RuleKind::Warning, "DeadLetters", expr, text).after(scale.pause(minutes(1)))
}

fn saga_stuck(scale: Scale) -> Rule {
    let bound = scale.seconds(minutes(5));
    let expr = format!("max(crashcart_saga_oldest_age_seconds) > {bound}");
    let text = Text {
        summary: "An order does not come to its end",
        description: "The oldest saga in flight is {{ $value | humanizeDuration }} old.".to_owned(),
        board: "promises",
        way_out: "Every queue empty and nothing dead: open the order's trace, its last step names the service that owes \
            the next one, whose log and /api/v1/dead-letters say why. Many at once: see OutboxOld, NotConsuming, StoreDown.",
    };
    Rule::alert(RuleKind::Critical, "SagaStuck", expr, text).after(scale.pause(minutes(1)))
}

fn invariant_drift(scale: Scale) -> Rule {
    let window = scale.range(minutes(5));
    // The fewest payments in the window against the most sagas: two databases are never looked at in the same moment.
    // A database that is away tells what was before, and proves nothing.
    let expr = format!(
        "min(min_over_time(crashcart_payments_open[{window}]))\n>\nmax(max_over_time(crashcart_sagas_in_flight[{window}]))\n\
         and\nmin(min_over_time(crashcart_store_up{{service=~\"orders|payments\"}}[{window}])) == 1"
    );
    let text = Text {
        summary: "More payments are open than orders in flight",
        description: "{{ $value }} payments or more have been open all along, and at no time as many orders were in flight.".to_owned(),
        board: "promises",
        way_out: "A payment has lost its order, or an order ended before its payment: `crashcart check` on a recording, or \
            the exports of orders and payments joined by order id, name them. Do not restart anything before they are saved.",
    };
    Rule::alert(RuleKind::Critical, "InvariantDrift", expr, text).after(scale.pause(minutes(1)))
}

fn not_publishing(scale: Scale) -> Rule {
    let text = Text {
        summary: "{{ $labels.service }} cannot publish",
        description:
            "The last tries of {{ $labels.instance }} failed. Its events wait in the outbox."
                .to_owned(),
        board: "messaging",
        way_out: "All services at once: RabbitMQ is away or out of memory or disk. One alone: its network or its \
            password. It tries again by itself.",
    };
    Rule::alert(
        RuleKind::Critical,
        "NotPublishing",
        "crashcart_publishing == 0".to_owned(),
        text,
    )
    .after(scale.pause(minutes(1)))
}

fn not_consuming(scale: Scale) -> Rule {
    let text = Text {
        summary: "{{ $labels.service }} is not subscribed to its queue",
        description: "{{ $labels.instance }} hears nothing. Messages wait in the queue, or go to the other replicas.".to_owned(),
        board: "messaging",
        way_out: "All services at once: RabbitMQ is away. One alone: its log says why it cannot subscribe. It tries again \
            by itself; a replica that does not can be killed without loss.",
    };
    Rule::alert(
        RuleKind::Critical,
        "NotConsuming",
        "crashcart_consuming == 0".to_owned(),
        text,
    )
    .after(scale.pause(minutes(1)))
}
