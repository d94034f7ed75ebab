//! Services, their databases and their telemetry.

use super::{Rule, RuleKind, Text};
use crate::Scale;
use crate::duration::minutes;

pub(super) fn rules(scale: Scale) -> Vec<Rule> {
    vec![
        service_down(scale),
        store_down(scale),
        loop_ended(scale),
        telemetry_dropped(scale),
    ]
}

fn service_down(scale: Scale) -> Rule {
    // A container that is gone has no address any more, and with it goes its `up`.
    let gone = ["orders", "products", "payments", "provider"]
        .map(|service| format!(r#"or absent(up{{service="{service}"}})"#));
    let expr = format!("up{{service!=\"harness\"}} == 0\n{}", gone.join("\n"));
    let text = Text {
        summary: "{{ $labels.service }} does not answer",
        description: "{{ with $labels.instance }}{{ . }} does not answer when it is asked for its metrics.{{ else }}No replica of it is known any more.{{ end }}".to_owned(),
        board: "promises",
        way_out: "See whether it runs and what its log ends with; exit code 64 is a setting that cannot be used, 69 a server that \
            is not there. Killing and starting it loses nothing.",
    };
    Rule::alert(RuleKind::Critical, "ServiceDown", expr, text).after(scale.pause(minutes(1)))
}

fn store_down(scale: Scale) -> Rule {
    let text = Text {
        summary: "The database of {{ $labels.service }} does not answer",
        description: "{{ $labels.instance }} could not ask it for a minute or more. Requests are refused with a 503, messages wait.".to_owned(),
        board: "cost",
        way_out: "See whether PostgreSQL runs, has room on its disk and free connections. Services come back by themselves.",
    };
    Rule::alert(
        RuleKind::Critical,
        "StoreDown",
        "crashcart_store_up == 0".to_owned(),
        text,
    )
    .after(scale.pause(minutes(1)))
}

fn loop_ended(scale: Scale) -> Rule {
    let text = Text {
        summary: "A part of {{ $labels.service }} has stopped for good",
        description: "{{ $value }} loops of {{ $labels.instance }} have ended and do not begin again. It says that it is not ready.".to_owned(),
        board: "messaging",
        way_out: "This is a bug: keep the log, its last error names the loop. Then kill the replica and start it again; \
            nothing is lost.",
    };
    Rule::alert(
        RuleKind::Critical,
        "LoopEnded",
        "crashcart_loops_ended > 0".to_owned(),
        text,
    )
    .after(scale.pause(minutes(1)))
}

fn telemetry_dropped(scale: Scale) -> Rule {
    let window = scale.range(minutes(10));
    let expr = format!(
        r#"sum by (service, result) (increase(crashcart_telemetry_spans_total{{result=~"failed|dropped"}}[{window}])) > 0"#
    );
    let text = Text {
        summary: "Traces of {{ $labels.service }} have gaps",
        description: "About {{ $value | humanize }} spans were {{ $labels.result }} lately."
            .to_owned(),
        board: "cost",
        way_out: "Failed: the collector is away or too slow. Dropped: there was no room to wait for it; set \
            OTEL_BSP_MAX_QUEUE_SIZE higher, or trace fewer orders with OTEL_TRACES_SAMPLER. Orders are not held up by it.",
    };
    Rule::alert(RuleKind::Warning, "TelemetryDropped", expr, text)
}
