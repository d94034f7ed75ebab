//! Alerts fire where they must and are silent where they must not, as Prometheus' own tool sees it.

use dashboards::{
    OBJECTIVES, Rule, RuleKind, Scale, Settings, WINDOWS, prometheus_config, rule_list, rules,
};
use serde_json::Value;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What promtool is given to try.
const TESTS: [&str; 2] = ["promises_test.yml", "rules_test.yml"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus")
}

/// What promtool says to these arguments; none where it is not installed and need not be.
fn promtool(folder: &Path, args: &[&str]) -> Option<(bool, String)> {
    let output = match Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            let required = env::var("CRASHCART_ENGINES").is_ok_and(|value| value == "required");
            assert!(!required, "promtool: {error} (apt-get install prometheus)");
            eprintln!(
                "left out, because promtool is not here: {error} (apt-get install prometheus)"
            );
            return None;
        }
    };
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

fn accepts(folder: &Path, args: &[&str]) {
    if let Some((is_fine, said)) = promtool(folder, args) {
        assert!(is_fine, "promtool {}:\n{said}", args.join(" "));
    }
}

fn alerts() -> Vec<Rule> {
    let rules = rule_list(Scale::REAL).into_iter();
    rules
        .filter(|rule| rule.kind != RuleKind::Recording)
        .collect()
}

/// The cases of all tests: their names, and the alerts that each expects at any time.
fn cases() -> Vec<(String, Vec<String>)> {
    let mut cases = Vec::new();
    for tests in TESTS {
        let text = fs::read_to_string(folder().join(tests)).expect("the tests of the rules");
        let tests: Value = serde_saphyr::from_str(&text).expect("YAML");
        for case in tests["tests"].as_array().expect("tests") {
            let looks = case["promql_expr_test"]
                .as_array()
                .expect("looks at what fires");
            let samples = looks
                .iter()
                .flat_map(|look| look["exp_samples"].as_array().expect("what fires"));
            let labels =
                samples.map(|sample| sample["labels"].as_str().expect("labels").to_owned());
            cases.push((
                case["name"].as_str().expect("a name").to_owned(),
                labels.collect(),
            ));
        }
    }
    cases
}

#[test]
fn promtool_accepts_rules_and_settings_on_every_scale() {
    accepts(&folder(), &["check", "config", "prometheus.yml"]);
    accepts(&folder(), &["check", "rules", "rules.yml"]);
    let short = tempfile::tempdir().expect("a folder");
    fs::write(short.path().join("rules.yml"), rules(Scale::shorter(120))).expect("rules");
    fs::write(
        short.path().join("prometheus.yml"),
        prometheus_config(&Settings::compose()),
    )
    .expect("settings");
    accepts(short.path(), &["check", "config", "prometheus.yml"]);
    accepts(short.path(), &["check", "rules", "rules.yml"]);
}

#[test]
fn each_alert_fires_and_is_silent_as_its_cases_say() {
    accepts(&folder(), &[&["test", "rules"], TESTS.as_slice()].concat());
}

#[test]
fn promtool_objects_when_an_alert_does_not_do_what_its_case_says() {
    let spoiled = tempfile::tempdir().expect("a folder");
    let tests = fs::read_to_string(folder().join("rules_test.yml")).expect("tests");
    fs::write(spoiled.path().join("rules_test.yml"), tests).expect("tests");
    let rules =
        rules(Scale::REAL).replace("crashcart_publishing == 0", "crashcart_publishing == 2");
    fs::write(spoiled.path().join("rules.yml"), rules).expect("rules");
    if let Some((is_fine, said)) = promtool(spoiled.path(), &["test", "rules", "rules_test.yml"]) {
        assert!(!is_fine && said.contains("NotPublishing"), "{said}");
    }
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = cases();
    for Rule { name, .. } in alerts() {
        let is_expected = |expected: &[String]| {
            expected
                .iter()
                .any(|labels| labels.contains(&format!("\"{name}\"")))
        };
        let fires = format!("{name} fires ");
        let silent = format!("{name} is silent ");
        let with = |head: &str| {
            cases
                .iter()
                .filter(|(name, _)| name.starts_with(head))
                .collect::<Vec<_>>()
        };
        assert!(
            !with(&fires).is_empty()
                && with(&fires)
                    .iter()
                    .all(|(_, expected)| is_expected(expected)),
            "{fires}"
        );
        assert!(
            !with(&silent).is_empty()
                && with(&silent)
                    .iter()
                    .all(|(_, expected)| !is_expected(expected)),
            "{silent}"
        );
    }
}

#[test]
fn each_alert_says_how_bad_it_is_where_to_look_and_what_to_do() {
    let rules: Value = serde_saphyr::from_str(&rules(Scale::REAL)).expect("YAML");
    let groups = rules["groups"].as_array().expect("groups");
    let all = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let titles: Vec<&str> = dashboards::boards()
        .iter()
        .map(|board| board.title)
        .collect();
    let readme = fs::read_to_string(folder().join("../README.md")).expect("a README");
    for alert in all.filter(|rule| rule.get("alert").is_some()) {
        let name = alert["alert"].as_str().expect("a name");
        assert!(
            ["critical", "warning"]
                .contains(&alert["labels"]["severity"].as_str().unwrap_or("none")),
            "{name}"
        );
        let text = |key: &str| {
            alert["annotations"][key]
                .as_str()
                .unwrap_or_else(|| panic!("{name}: {key}"))
        };
        assert!(
            !text("summary").is_empty() && text("description").ends_with(['.', '}']),
            "{name}"
        );
        let runbook = text("runbook");
        assert!(
            titles
                .iter()
                .any(|title| runbook.starts_with(&format!("Look at the board \"{title}\". "))),
            "{runbook}"
        );
        assert!(
            readme.contains(&format!("| {name} |")),
            "README.md does not tell of {name}"
        );
    }
}

#[test]
fn a_scale_changes_how_long_rules_wait_and_nothing_else() {
    let (real, short) = (rule_list(Scale::REAL), rule_list(Scale::shorter(120)));
    let names = |rules: &[Rule]| {
        rules
            .iter()
            .map(|rule| rule.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&real), names(&short));
    let expr = |rules: &[Rule], name: &str| {
        rules
            .iter()
            .find(|rule| rule.name == name)
            .expect("a rule")
            .expr
            .clone()
    };
    for objective in OBJECTIVES {
        for ((window, _), short_one) in WINDOWS.iter().zip(["2500ms", "15s", "30s", "3m"]) {
            let name = objective.recorded(window);
            let real =
                expr(&real, &name).replace(&format!("[{window}]"), &format!("[{short_one}]"));
            assert_eq!(real, expr(&short, &name));
        }
    }
    assert!(
        expr(&real, "SagaStuck").ends_with("> 300") && expr(&short, "SagaStuck").ends_with("> 2.5")
    );
}
