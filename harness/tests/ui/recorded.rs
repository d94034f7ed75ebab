//! The page of one order of a recording: a file that needs nobody.

use crate::kit::{canceled, finished, lines, order};
use contract::OrderId;
use harness::ui::order_page;
use serde_json::Value;

/// What is embedded in a page.
pub fn data(page: &str) -> Value {
    let begin = "<script type=\"application/json\" id=\"data\">";
    let from = &page[page.find(begin).unwrap() + begin.len()..];
    serde_json::from_str(&from[..from.find("</script>").unwrap()]).unwrap()
}

#[test]
fn one_order_is_a_page_that_needs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let steps = finished(1, 0).into_iter().chain(canceled(2));
    std::fs::write(dir.path().join("spans.jsonl"), lines(steps)).unwrap();
    let file = dir.path().join("one.html");
    order_page(dir.path(), OrderId(order(2)), &file).unwrap();
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("http-equiv=\"Content-Security-Policy\""));
    assert!(!page.contains("{{") && !page.contains("unsafe"));
    let outside = ["http://", "https://", "@import", "url("];
    assert!(!outside.iter().any(|link| page.contains(link)));
    let data = data(&page);
    assert_eq!(data["orders"].as_array().unwrap().len(), 1);
    assert_eq!(data["orders"][0]["id"], order(2).to_string());
    assert_eq!(data["orders"][0]["spans"][2]["depth"], 2);
}

#[test]
fn an_order_of_which_nothing_is_known_and_a_place_that_is_none_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let spans = dir.path().join("spans.jsonl");
    std::fs::write(spans, lines(finished(1, 0))).unwrap();
    let to = dir.path().join("none/one.html");
    let error = order_page(dir.path(), OrderId(order(7)), &to).unwrap_err();
    assert!(error.to_string().contains(&order(7).to_string()), "{error}");
    let error = order_page(dir.path(), OrderId(order(1)), &to).unwrap_err();
    assert!(error.to_string().contains("none/one.html"), "{error}");
}
