//! Boards as Grafana gets them: everything has its place, its unit and its words.

use dashboards::{Board, Kind, boards, files};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each board's file, with its name.
fn written() -> Vec<(String, Value)> {
    let boards = files()
        .into_iter()
        .filter(|file| file.path.starts_with("grafana/boards/"));
    boards
        .map(|file| (file.path, serde_json::from_str(&file.text).expect("JSON")))
        .collect()
}

fn panels(board: &Value) -> &[Value] {
    board["panels"].as_array().expect("panels")
}

#[test]
fn the_files_that_are_checked_in_are_those_that_the_code_makes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made: BTreeSet<String> = files().into_iter().map(|file| file.path).collect();
    for file in files() {
        let there = fs::read_to_string(root.join(&file.path)).unwrap_or_default();
        assert!(
            there == file.text,
            "{} is not what the code makes: cargo run -p dashboards",
            file.path
        );
    }
    for there in fs::read_dir(root.join("grafana/boards")).expect("boards") {
        let name = there
            .expect("a file")
            .file_name()
            .into_string()
            .expect("a name");
        assert!(
            made.contains(&format!("grafana/boards/{name}")),
            "nobody makes {name}"
        );
    }
}

#[test]
fn ids_are_unique_and_no_two_panels_overlap_or_leave_a_hole() {
    let mut uids = BTreeSet::new();
    for (name, board) in written() {
        assert!(uids.insert(board["uid"].to_string()), "{name}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        let mut height = 0;
        for panel in panels(&board) {
            let title = &panel["title"];
            assert!(
                ids.insert(panel["id"].as_u64().expect("an id")),
                "{name}: {title}"
            );
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
            assert!(w > 0 && h > 0 && x + w <= 24, "{name}: {title}");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(
                    taken.insert(cell),
                    "{name}: {title} lies over another one at {cell:?}"
                );
            }
            height = height.max(y + h);
        }
        assert_eq!(taken.len() as u64, 24 * height, "{name} has a hole");
    }
}

#[test]
fn every_picture_has_a_unit_words_and_asks_whom_the_variable_names() {
    let variable = serde_json::json!({ "type": "prometheus", "uid": "${datasource}" });
    for (name, board) in written() {
        assert!(
            board["description"]
                .as_str()
                .is_some_and(|text| text.len() > 60),
            "{name}"
        );
        assert_eq!(
            board["templating"]["list"][0]["name"], "datasource",
            "{name}"
        );
        for panel in panels(&board).iter().filter(|panel| panel["type"] != "row") {
            let place = format!("{name}: {}", panel["title"]);
            assert!(
                panel["description"]
                    .as_str()
                    .is_some_and(|text| text.ends_with('.')
                        || text.ends_with('*')
                        || text.ends_with('`')),
                "{place}"
            );
            if panel["type"] == "text" {
                continue;
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(
                defaults["unit"]
                    .as_str()
                    .is_some_and(|unit| !unit.is_empty()),
                "{place}"
            );
            assert!(
                defaults["noValue"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{place}"
            );
            assert_eq!(panel["datasource"], variable, "{place}");
            let targets = panel["targets"].as_array().expect("targets");
            assert!(!targets.is_empty(), "{place}");
            let mut names = BTreeSet::new();
            for target in targets {
                assert!(names.insert(target["refId"].to_string()), "{place}");
                assert_eq!(target["datasource"], variable, "{place}");
                assert!(
                    !target["legendFormat"]
                        .as_str()
                        .expect("a legend")
                        .is_empty(),
                    "{place}"
                );
            }
        }
    }
}

#[test]
fn thresholds_begin_at_the_bottom_and_rise() {
    for board in boards() {
        for panel in board.panels() {
            let from: Vec<f64> = panel.thresholds.iter().map(|(from, _)| *from).collect();
            assert!(
                from[0].is_infinite() && from[1..].iter().all(|from| from.is_finite()),
                "{}",
                panel.title
            );
            assert!(from.is_sorted_by(|a, b| a < b), "{}", panel.title);
        }
    }
}

#[test]
fn latencies_lead_to_traces_and_the_first_board_is_the_one_to_begin_with() {
    let (name, _) = &written()[0];
    assert_eq!(name, "grafana/boards/promises.json");
    let boards = boards();
    let mut panels = boards.iter().flat_map(Board::panels);
    assert!(panels.any(|panel| panel.kind == Kind::Heatmap));
    for (name, board) in written() {
        for panel in self::panels(&board) {
            let targets = panel["targets"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            let is_logarithmic =
                panel["fieldConfig"]["defaults"]["custom"]["scaleDistribution"]["type"] == "log";
            let leads = targets.iter().all(|target| target["exemplar"] == true);
            assert!(!is_logarithmic || leads, "{name}: {}", panel["title"]);
        }
    }
    let datasources = files()
        .into_iter()
        .find(|file| file.path.contains("datasources"))
        .expect("provisioning");
    let datasources: Value = serde_saphyr::from_str(&datasources.text).expect("YAML");
    let ways = &datasources["datasources"][0]["jsonData"]["exemplarTraceIdDestinations"];
    assert_eq!(
        (&ways[0]["name"], &ways[0]["datasourceUid"]),
        (&"trace_id".into(), &dashboards::JAEGER.into())
    );
}
