//! Boards as Grafana reads them. Places, ids and colours are worked out here, so that boards only say what they show.

use crate::PROMETHEUS;
use crate::board::{Board, Kind, Panel, Unit};
use crate::palette::{BAD, NAMED};
use crate::promql::FAULTS;
use serde_json::{Map, Value, json};

/// The oldest form that has everything used here; Grafana brings it up to date as it reads it.
const SCHEMA_VERSION: u32 = 39;
/// Grafana's grid is this wide.
const COLUMNS: u16 = 24;

/// The text of a board's file.
pub(crate) fn board(board: &Board) -> String {
    let mut value = json!({
        "uid": board.uid,
        "title": board.title,
        "description": board.description,
        "tags": ["crashcart"],
        "editable": false,
        "graphTooltip": 1,
        "refresh": "5s",
        "schemaVersion": SCHEMA_VERSION,
        "time": { "from": format!("now-{}", board.since), "to": "now" },
        "timezone": "browser",
        "links": [{
            "type": "dashboards", "title": "boards", "tags": ["crashcart"], "keepTime": true, "includeVars": true,
        }],
        "annotations": { "list": [faults()] },
        "templating": { "list": [{
            "type": "datasource", "name": "datasource", "label": "Metrics", "query": "prometheus",
            "current": { "text": "Prometheus", "value": PROMETHEUS },
        }] },
        "panels": panels(board),
    });
    // The order of keys must not depend on what else is built along with this.
    value.sort_all_objects();
    format!("{value:#}\n")
}

/// Where a panel's numbers come from: whatever the variable says.
fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// A shade across every picture while a fault of the harness is on.
fn faults() -> Value {
    json!({
        "name": "Faults",
        "datasource": datasource(),
        "enable": true,
        "iconColor": BAD,
        "expr": FAULTS,
        "step": "1s",
        "titleFormat": "{{fault}}",
        "textFormat": "at {{service}}",
    })
}

/// All panels with their places: rows below each other, panels from left to right.
fn panels(board: &Board) -> Vec<Value> {
    let mut placed = vec![note(board.description)];
    let mut y = 2;
    for row in &board.rows {
        let title = json!({ "type": "row", "title": row.title, "collapsed": false, "panels": [] });
        placed.push(at(title, 0, y, COLUMNS, 1));
        y += 1;
        let (mut x, mut line) = (0, 0);
        for panel in &row.panels {
            if x + panel.width > COLUMNS {
                (x, y, line) = (0, y + line, 0);
            }
            placed.push(at(self::panel(panel), x, y, panel.width, panel.height));
            x += panel.width;
            line = line.max(panel.height);
        }
        y += line;
    }
    for (index, panel) in placed.iter_mut().enumerate() {
        panel["id"] = json!(index + 1);
    }
    placed
}

fn at(mut panel: Value, x: u16, y: u16, width: u16, height: u16) -> Value {
    panel["gridPos"] = json!({ "x": x, "y": y, "w": width, "h": height });
    panel
}

/// What to look for, above everything else.
fn note(description: &str) -> Value {
    let options = json!({ "mode": "markdown", "content": description });
    let note = json!({ "type": "text", "title": "", "description": description, "transparent": true, "options": options });
    at(note, 0, 0, COLUMNS, 2)
}

fn panel(panel: &Panel) -> Value {
    let kind = match panel.kind {
        Kind::Lines | Kind::Stack | Kind::Latency => "timeseries",
        Kind::Heatmap => "heatmap",
        Kind::Stat | Kind::Names => "stat",
        Kind::Gauge => "gauge",
        Kind::Bars => "bargauge",
        Kind::States(_) => "state-timeline",
    };
    json!({
        "type": kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": datasource(),
        "fieldConfig": { "defaults": defaults(panel), "overrides": overrides(panel) },
        "options": options(panel),
        "targets": targets(panel),
    })
}

fn targets(panel: &Panel) -> Vec<Value> {
    let targets = ('A'..='Z').zip(&panel.queries).map(|(name, query)| {
        let now =
            query.is_instant() || matches!(panel.kind, Kind::Names | Kind::Bars | Kind::Gauge);
        let format = if panel.kind == Kind::Heatmap {
            "heatmap"
        } else {
            "time_series"
        };
        json!({
            "refId": name.to_string(),
            "datasource": datasource(),
            "editorMode": "code",
            "expr": query.expr,
            "legendFormat": query.legend,
            "format": format,
            "instant": now,
            "range": !now,
            "exemplar": matches!(panel.kind, Kind::Latency | Kind::Heatmap),
        })
    });
    targets.collect()
}

/// Grafana's name of a unit.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count | Unit::Switch => "short",
        Unit::PerSecond => "suffix:/s",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::Share => "percentunit",
        Unit::Times => "suffix: ×",
    }
}

fn defaults(panel: &Panel) -> Value {
    let steps = panel.thresholds.iter().map(|(from, colour)| {
        // The first one holds from the bottom; Grafana writes that as nothing.
        json!({ "color": colour, "value": from.is_finite().then_some(*from) })
    });
    let is_single = matches!(
        panel.kind,
        Kind::Stat | Kind::Gauge | Kind::Bars | Kind::States(_)
    );
    let mut defaults = json!({
        "unit": unit(panel.unit),
        "noValue": panel.nothing,
        "color": { "mode": if is_single { "thresholds" } else { "palette-classic" } },
        "thresholds": { "mode": "absolute", "steps": steps.collect::<Vec<_>>() },
        "custom": custom(panel),
    });
    if panel.kind != Kind::Latency {
        defaults["min"] = json!(0);
    }
    if panel.unit == Unit::Count && is_single {
        // An increase over a range is extrapolated; nobody wants to read of 7.02 orders.
        defaults["decimals"] = json!(0);
    }
    if panel.kind == Kind::Gauge {
        defaults["max"] = json!(1);
    }
    if let Kind::States([off, on]) = panel.kind {
        let named = |text: &str, index: u8| json!({ "text": text, "index": index });
        let words = json!({ "0": named(off, 0), "1": named(on, 1) });
        defaults["mappings"] = json!([{ "type": "value", "options": words }]);
    }
    defaults
}

fn custom(panel: &Panel) -> Value {
    let hidden = json!({ "legend": false, "tooltip": false, "viz": false });
    match panel.kind {
        Kind::Lines | Kind::Stack | Kind::Latency => {
            let is_stack = panel.kind == Kind::Stack;
            let axis = if panel.kind == Kind::Latency {
                json!({ "type": "log", "log": 10 })
            } else {
                json!({ "type": "linear" })
            };
            json!({
                "drawStyle": "line",
                "lineInterpolation": "monotone",
                "lineWidth": if is_stack { 1 } else { 2 },
                "fillOpacity": if is_stack { 45 } else { 6 },
                "gradientMode": if is_stack { "none" } else { "opacity" },
                "showPoints": "never",
                "spanNulls": false,
                "axisBorderShow": false,
                "axisPlacement": "auto",
                "scaleDistribution": axis,
                "stacking": { "mode": if is_stack { "normal" } else { "none" }, "group": "A" },
                "thresholdsStyle": { "mode": if panel.has_lines { "dashed" } else { "off" } },
                "hideFrom": hidden,
            })
        }
        Kind::Heatmap => json!({ "scaleDistribution": { "type": "linear" }, "hideFrom": hidden }),
        Kind::States(_) => {
            json!({ "lineWidth": 0, "fillOpacity": 70, "spanNulls": false, "hideFrom": hidden })
        }
        Kind::Stat | Kind::Names | Kind::Gauge | Kind::Bars => Value::Object(Map::new()),
    }
}

fn options(panel: &Panel) -> Value {
    let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
    let legend = |shown: bool| json!({ "displayMode": "list", "placement": "bottom", "showLegend": shown, "calcs": [] });
    match panel.kind {
        Kind::Lines | Kind::Stack | Kind::Latency => json!({
            "legend": legend(true), "tooltip": { "mode": "multi", "sort": "desc" },
        }),
        Kind::Heatmap => json!({
            "calculate": false,
            "cellGap": 1,
            "cellValues": { "unit": "short" },
            "color": { "mode": "scheme", "scheme": "Blues", "scale": "exponential", "exponent": 0.5, "steps": 64,
                "fill": "#5794F2", "reverse": false },
            "exemplars": { "color": BAD },
            "filterValues": { "le": 1e-9 },
            "legend": { "show": true },
            "rowsFrame": { "layout": "auto" },
            "tooltip": { "mode": "single", "yHistogram": true, "showColorScale": true },
            "yAxis": { "axisPlacement": "left", "reverse": false, "unit": unit(panel.unit) },
        }),
        Kind::Stat | Kind::Names => json!({
            "reduceOptions": last,
            "colorMode": "value",
            "graphMode": if panel.kind == Kind::Stat { "area" } else { "none" },
            "justifyMode": "auto",
            "orientation": "auto",
            "textMode": if panel.kind == Kind::Stat { "auto" } else { "name" },
            "wideLayout": true,
        }),
        Kind::Gauge => json!({
            "reduceOptions": last, "orientation": "auto", "showThresholdLabels": false, "showThresholdMarkers": true,
        }),
        Kind::Bars => json!({
            "reduceOptions": last, "displayMode": "basic", "orientation": "horizontal", "showUnfilled": true,
            "valueMode": "text", "namePlacement": "left", "sizing": "auto", "legend": legend(false),
        }),
        Kind::States(_) => json!({
            "alignValue": "left", "mergeValues": true, "rowHeight": 0.8, "showValue": "never",
            "legend": legend(false), "tooltip": { "mode": "single", "sort": "none" },
        }),
    }
}

/// Colours of the series that have one everywhere, and thin dashes for medians, so that the tail is what one sees.
fn overrides(panel: &Panel) -> Vec<Value> {
    if matches!(
        panel.kind,
        Kind::Stat | Kind::Names | Kind::Gauge | Kind::Heatmap | Kind::States(_)
    ) {
        return Vec::new();
    }
    let is_shown = |label: &str, value: &str| {
        let of_label = format!("{{{{{label}}}}}");
        let legends = panel.queries.iter().map(|query| query.legend);
        legends
            .into_iter()
            .any(|legend| legend.starts_with(&of_label) || legend.split(' ').next() == Some(value))
    };
    let named = NAMED
        .iter()
        .filter(|named| is_shown(named.label, named.value));
    let colours = named.map(|named| {
        let colour = json!({ "mode": "fixed", "fixedColor": named.colour });
        by_name(&format!("/^{}( .*)?$/", named.value), &[("color", colour)])
    });
    let dashes = json!({ "fill": "dash", "dash": [6, 6] });
    let has_medians = panel
        .queries
        .iter()
        .any(|query| query.legend.ends_with("p50"));
    let medians = has_medians.then(|| {
        by_name(
            "/p50$/",
            &[("custom.lineWidth", json!(1)), ("custom.lineStyle", dashes)],
        )
    });
    colours.chain(medians).collect()
}

fn by_name(pattern: &str, properties: &[(&str, Value)]) -> Value {
    let properties = properties
        .iter()
        .map(|(id, value)| json!({ "id": id, "value": value }));
    json!({
        "matcher": { "id": "byRegexp", "options": pattern },
        "properties": properties.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_has_the_same_colour_in_every_picture() {
        let by_service = Panel::new(Kind::Lines, "t", "d").ask("{{service}} p99", "x");
        let by_name = Panel::new(Kind::Lines, "t", "d").ask("orders", "x");
        let by_type = Panel::new(Kind::Lines, "t", "d").ask("{{type}}", "x");
        assert_eq!(overrides(&by_service).len(), 6);
        assert_eq!(overrides(&by_name), overrides(&by_service)[..1]);
        assert_eq!(overrides(&by_type), Vec::<Value>::new());
    }
}
