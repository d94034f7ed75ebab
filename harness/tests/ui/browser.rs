//! The page in a browser: what stands in it after it has run, and that it runs without a complaint.

use crate::kit::{PATIENCE, canceled, finished, get, lines, order, post, until};
use contract::OrderId;
use harness::ui::order_page;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

/// Where Chromium is; the test is skipped, and says so, where there is none.
fn chromium(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let mut places = folders
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    let found = places.find(|file| file.is_file());
    if found.is_none() {
        let is_required = std::env::var("CRASHCART_ENGINES").is_ok_and(|how| how == "required");
        let missing = "chromium is not on the PATH (apt-get install chromium)";
        assert!(!is_required, "{test}: {missing}");
        eprintln!("skipped {test}: {missing}");
    }
    found
}

/// Opens `url`, lets the page run for some seconds of its own time, and returns what stands in it then, or what was asked
/// for with `flags`. Ends the test when the page complains.
fn opened(chromium: &Path, url: &str, flags: &[&str]) -> String {
    let profile = tempfile::tempdir().unwrap();
    let mut child = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg("--virtual-time-budget=3000")
        .args(flags)
        .arg(url)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (told, heard) = mpsc::channel();
    let reads = |mut from: Box<dyn Read + Send>| {
        let told = told.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            // A browser may say what is no text; then there is nothing to compare.
            let _ = from.read_to_string(&mut text);
            drop(told);
            text
        })
    };
    let (out, err) = (reads(Box::new(out)), reads(Box::new(err)));
    drop(told);
    // Nobody says anything: both are gone when the browser is.
    let timed: Result<(), _> = heard.recv_timeout(PATIENCE);
    if timed == Err(mpsc::RecvTimeoutError::Timeout) {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    assert!(status.success(), "{url}: {status}\n{err}");
    let complaints: Vec<_> = err
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(complaints.is_empty(), "{url}: {complaints:?}");
    out
}

fn dom(chromium: &Path, url: &str) -> String {
    opened(chromium, url, &["--dump-dom"])
}

/// What stands between each `before` and the next `after`.
fn each<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(after)?.0))
        .collect()
}

/// A shop that is served with its page.
struct Served {
    child: Child,
    orders: SocketAddr,
    products: SocketAddr,
    page: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may be gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn served() -> Served {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crashcart"))
        .args(["serve", "--ui", "127.0.0.1:0"])
        .env("RUST_LOG", "warn")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines {
        said.push(line.unwrap());
        if said.last().unwrap().contains("Ctrl-C") {
            break;
        }
    }
    let address = |name: &str| {
        let line = said.iter().find(|line| line.starts_with(name)).unwrap();
        let at = line.find("http://").unwrap() + "http://".len();
        line[at..].trim_end_matches('/').parse().unwrap()
    };
    Served {
        orders: address("orders"),
        products: address("products"),
        page: address("traces"),
        child,
    }
}

impl Served {
    /// Orders one of a new product that costs `cents`, and waits until all of it is told.
    fn ordered(&self, cents: u32, outcome: &str) -> Value {
        let product = json!({"name": "a record", "priceCents": cents, "stock": 10});
        let product = post(self.products, "/api/v1/products", &product.to_string());
        let items = json!({"items": [{"productId": product["id"], "quantity": 1}]});
        let order = post(self.orders, "/api/v1/orders", &items.to_string());
        let path = format!("/api/orders/{}", order["id"].as_str().unwrap());
        until("the whole order is told", || {
            let told = get(self.page, &path);
            let is_whole = told.status == 200
                && told.json()["outcome"] == outcome
                && told.json()["spans"][0]["kind"] == "server"
                && told.json()["services"].as_array().unwrap().len() == 3
                && told.json()["steps"].as_u64() >= Some(12);
            is_whole.then(|| told.json())
        })
    }
}

#[test]
fn an_order_is_found_by_its_id_and_drawn_as_a_tree_with_the_steps_of_all_services() {
    let test = "an_order_is_found_by_its_id";
    let Some(chromium) = chromium(test) else {
        return;
    };
    let shop = served();
    let finished = shop.ordered(1_499, "finished");
    let canceled = shop.ordered(10, "canceled");
    for (order, last) in [(&finished, "order.finished"), (&canceled, "order.canceled")] {
        let id = order["id"].as_str().unwrap();
        let url = format!("http://{}/orders/{id}", shop.page);
        let dom = dom(&chromium, &url);
        let spans = order["spans"].as_array().unwrap();
        let told = |field: &str| {
            let told = spans.iter().map(|span| span[field].as_str().unwrap());
            told.collect::<Vec<_>>()
        };
        assert_eq!(each(&dom, "class=\"svc\">", "<"), told("service"));
        assert_eq!(each(&dom, "class=\"name\" title=\"", "\""), told("name"));
        let depths = spans
            .iter()
            .map(|span| (span["depth"].as_u64().unwrap() + 1).to_string());
        assert_eq!(
            each(&dom, "aria-level=\"", "\""),
            depths.collect::<Vec<_>>()
        );
        assert_eq!(each(&dom, "class=\"svc\">", "<")[0], "orders");
        assert!(told("name").last().unwrap().ends_with(last));
        for service in ["orders", "products", "payments"] {
            assert!(told("service").contains(&service), "{service}");
        }
        assert!(dom.contains(order["trace"].as_str().unwrap()));
        assert_eq!(
            each(&dom, "class=\"wait\"", ">").len(),
            5,
            "messages that waited"
        );
    }
    assert!(canceled["compensated"].as_bool().unwrap());
    let [id, other] = [&finished, &canceled].map(|order| order["id"].as_str().unwrap());
    let all = dom(&chromium, &format!("http://{}/", shop.page));
    let row = |id: &str| format!("data-id=\"{id}\"");
    assert!(all.contains(&row(id)) && all.contains(&row(other)), "{all}");
    assert!(all.contains("↩ compensated"), "{all}");
    let found = dom(&chromium, &format!("http://{}/?q={id}", shop.page));
    assert!(
        found.contains(&row(id)) && !found.contains(&row(other)),
        "{found}"
    );
    picture(&chromium, &format!("http://{}/orders/{id}", shop.page));
}

fn picture(chromium: &Path, url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("order.png");
    let flag = format!("--screenshot={}", file.display());
    opened(chromium, url, &[&flag, "--window-size=1440,800"]);
    let png = std::fs::read(&file).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 20_000);
}

/// The page of an order in a recording, and what a script does in it that a reader would do.
fn page_of(steps: String, doing: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spans.jsonl"), steps).unwrap();
    let file = dir.path().join("order.html");
    order_page(dir.path(), OrderId(order(1)), &file).unwrap();
    let page = std::fs::read_to_string(&file).unwrap();
    let nonce = each(&page, "<script nonce=\"", "\"")[0];
    let script = format!("<script nonce=\"{nonce}\">{doing}</script></body>");
    std::fs::write(&file, page.replace("</body>", &script)).unwrap();
    (dir, format!("file://{}", file.display()))
}

#[test]
fn what_is_told_is_shown_as_text_and_never_run() {
    let Some(chromium) = chromium("what_is_told_is_shown_as_text") else {
        return;
    };
    let mut steps = finished(1, 0);
    let evil = "</script><script>document.title='run'</script><img src=x onerror=alert(1)>";
    steps[0].line.name = evil.into();
    steps[1].line.service = "<b>bold</b>".into();
    let (_dir, url) = page_of(lines(steps), "");
    let dom = dom(&chromium, &url);
    assert!(dom.contains("&lt;img src=x onerror=alert(1)&gt;"), "{dom}");
    assert!(dom.contains("&lt;b&gt;bold&lt;/b&gt;"), "{dom}");
    assert_eq!(each(&dom, "<title>", "<"), [format!("order {}", order(1))]);
}

#[test]
fn a_page_in_a_file_is_used_with_the_keyboard() {
    let Some(chromium) = chromium("a_page_in_a_file_is_used_with_the_keyboard") else {
        return;
    };
    let keys = |keys: &str| {
        format!(
            "setTimeout(() => {{ for (const key of {keys}) document.body.dispatchEvent(
                new KeyboardEvent('keydown', {{ key, bubbles: true }})); }}, 500);"
        )
    };
    let opens = keys("['ArrowDown', 'ArrowDown', 'Enter']");
    let (_dir, url) = page_of(lines(canceled(1)), &opens);
    let shown = dom(&chromium, &url);
    let rows = each(&shown, "class=\"row", ">");
    assert_eq!(rows.len(), 4, "{shown}");
    assert!(
        rows[1].contains("here") && rows[1].contains("aria-expanded=\"true\""),
        "{rows:?}"
    );
    assert_eq!(each(&shown, "class=\"more\"", "</section>").len(), 1);
    assert!(each(&shown, "<dt>span</dt><dd>", "<")[0].ends_with('2'));
    let (_dir, url) = page_of(lines(canceled(1)), &keys("['Escape']"));
    let list = dom(&chromium, &url);
    // It comes back to where it went from.
    let row = format!("class=\"order here\" href=\"#/orders/{}\"", order(1));
    assert!(list.contains(&row), "{list}");
}
