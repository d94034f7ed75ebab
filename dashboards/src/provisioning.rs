//! What Grafana finds when it starts: whom to ask, and where the boards lie.

use crate::{JAEGER, PROMETHEUS};

const HEAD: &str = "# Made by `cargo run -p dashboards`; change dashboards/src/provisioning.rs instead.\napiVersion: 1\n";

/// Prometheus and Jaeger, and the way from a point in a picture to the trace behind it.
pub(crate) fn datasources() -> String {
    format!(
        "{HEAD}datasources:
  - name: Prometheus
    uid: {PROMETHEUS}
    type: prometheus
    access: proxy
    url: http://prometheus:9090
    isDefault: true
    editable: false
    jsonData:
      httpMethod: POST
      # As often as Prometheus asks; rates look over four of these at least.
      timeInterval: 5s
      exemplarTraceIdDestinations:
        - name: trace_id
          datasourceUid: {JAEGER}
          urlDisplayLabel: the trace, here
        # Viewers may not explore; this way is open to everybody.
        - name: trace_id
          url: http://127.0.0.1:16686/trace/$${{__value.raw}}
          urlDisplayLabel: the trace, in Jaeger
  - name: Jaeger
    uid: {JAEGER}
    type: jaeger
    access: proxy
    url: http://jaeger:16686
    editable: false
"
    )
}

/// The boards, read from files.
pub(crate) fn dashboards() -> String {
    format!(
        "{HEAD}providers:
  - name: crashcart
    folder: crashcart
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 10
    options:
      path: /etc/grafana/boards
"
    )
}
