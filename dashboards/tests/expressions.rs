//! What boards and rules ask is PromQL, of metrics that there are, by labels that these have.

mod catalogue;

use catalogue::Catalogue;
use dashboards::{Needs, Scale, queries, rule_list, with_durations};
use promql_parser::label::Matchers;
use promql_parser::parser::{Expr, LabelModifier, VectorSelector, parse};
use std::collections::BTreeSet;
use std::time::Duration;

/// Every expression with its place, as Prometheus takes it.
fn expressions() -> Vec<(String, String)> {
    let (rate, range) = (Duration::from_secs(20), Duration::from_secs(900));
    let boards = queries().into_iter().map(|asked| {
        let place = format!("{}: {}", asked.board, asked.panel);
        (place, with_durations(&asked.expr, rate, range))
    });
    let scales = [Scale::REAL, Scale::shorter(120)];
    let rules = scales
        .into_iter()
        .flat_map(rule_list)
        .map(|rule| (rule.name, rule.expr));
    boards.chain(rules).collect()
}

/// The metrics and the labels that an expression names.
#[derive(Default)]
struct Names {
    metrics: Vec<(String, BTreeSet<String>)>,
    groups: BTreeSet<String>,
    /// Those that are summed as they are.
    summed: BTreeSet<String>,
}

impl Names {
    fn read(&mut self, expr: &Expr) {
        match expr {
            Expr::Aggregate(aggregate) => {
                self.modifier(aggregate.modifier.as_ref());
                if aggregate.op.to_string() == "sum" {
                    self.summed.extend(directly(&aggregate.expr));
                }
                self.read(&aggregate.expr);
            }
            Expr::Unary(unary) => self.read(&unary.expr),
            Expr::Binary(binary) => {
                let modifier = binary.modifier.as_ref();
                self.modifier(modifier.and_then(|modifier| modifier.matching.as_ref()));
                self.read(&binary.lhs);
                self.read(&binary.rhs);
            }
            Expr::Paren(paren) => self.read(&paren.expr),
            Expr::Subquery(subquery) => self.read(&subquery.expr),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Call(call) => call
                .args
                .args
                .iter()
                .for_each(|argument| self.read(argument)),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::Extension(_) => {}
        }
    }

    fn modifier(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(LabelModifier::Include(labels) | LabelModifier::Exclude(labels)) = modifier {
            self.groups.extend(labels.labels.iter().cloned());
        }
    }

    fn selector(&mut self, selector: &VectorSelector) {
        let Matchers {
            matchers,
            or_matchers,
            ..
        } = &selector.matchers;
        let all = matchers.iter().chain(or_matchers.iter().flatten());
        let labels = all.map(|matcher| matcher.name.clone()).collect();
        self.metrics
            .push((selector.name.clone().expect("a metric by name"), labels));
    }
}

/// The metric that stands here, with nothing between but functions.
fn directly(expr: &Expr) -> Option<String> {
    match expr {
        Expr::VectorSelector(selector) => selector.name.clone(),
        Expr::MatrixSelector(matrix) => matrix.vs.name.clone(),
        Expr::Paren(paren) => directly(&paren.expr),
        Expr::Call(call) => call
            .args
            .args
            .iter()
            .find_map(|argument| directly(argument)),
        _ => None,
    }
}

#[test]
fn every_expression_is_promql_of_metrics_and_labels_that_there_are() {
    let catalogue = Catalogue::read();
    let mut wrong = Vec::new();
    for (place, expr) in expressions() {
        let mut names = Names::default();
        match parse(&expr) {
            Ok(parsed) => names.read(&parsed),
            Err(error) => wrong.push(format!("{place}: {error}\n    {expr}")),
        }
        let mut known = BTreeSet::new();
        for (metric, labels) in &names.metrics {
            let Some(has) = catalogue.labels(metric) else {
                wrong.push(format!("{place}: there is no {metric}"));
                continue;
            };
            wrong.extend(
                labels
                    .difference(&has)
                    .map(|label| format!("{place}: {metric} has no label {label}")),
            );
            known.extend(has);
        }
        let groups = names.groups.difference(&known);
        wrong.extend(groups.map(|label| format!("{place}: nothing in it has a label {label}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_metric_or_label_that_there_is_not_would_be_found() {
    let catalogue = Catalogue::read();
    assert!(catalogue.labels("crashcart_outbox_waiting").is_none());
    assert!(
        !catalogue
            .labels("crashcart_retries_total")
            .unwrap()
            .contains("le")
    );
    let mut names = Names::default();
    names.read(&parse(r#"sum by (a) (rate(x{b="c"}[5m])) / on (d) y"#).unwrap());
    let metrics: Vec<_> = names
        .metrics
        .iter()
        .map(|(name, labels)| (name.as_str(), labels.len()))
        .collect();
    assert_eq!(metrics, [("x", 1), ("y", 0)]);
    assert_eq!(names.groups, ["a", "d"].map(str::to_owned).into());
}

/// Gauges that a service reads from its database; its replicas all tell the same.
const SHARED: [&str; 8] = [
    "crashcart_sagas_in_flight",
    "crashcart_saga_oldest_age_seconds",
    "crashcart_payments_open",
    "crashcart_outbox_pending",
    "crashcart_outbox_oldest_age_seconds",
    "crashcart_queue_messages",
    "crashcart_stock_available_units",
    "crashcart_stock_taken_units",
];

#[test]
fn no_gauge_of_a_shared_database_is_summed_over_replicas() {
    let mut summed = BTreeSet::new();
    for (place, expr) in expressions() {
        let mut names = Names::default();
        names.read(&parse(&expr).expect("PromQL"));
        for metric in &names.summed {
            assert!(!SHARED.contains(&metric.as_str()), "{place}: {expr}");
        }
        summed.extend(names.summed);
    }
    // A walk that finds no sum at all would prove nothing.
    assert!(summed.contains("crashcart_store_connections"));
}

#[test]
fn each_expression_says_what_it_needs() {
    let needs = |panel: &str| {
        queries()
            .into_iter()
            .find(|asked| asked.panel == panel)
            .unwrap()
            .needs
    };
    assert_eq!(needs("Orders a second"), Needs::Orders);
    assert_eq!(needs("Retries"), Needs::Trouble);
    assert_eq!(needs("Ready, by queue"), Needs::RabbitMq);
    assert_eq!(needs("Connections, by what they do"), Needs::Postgres);
    assert_eq!(needs("Offered"), Needs::Harness);
}
