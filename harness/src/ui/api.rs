//! What a browser asks: the page, the list of orders, one order.

use super::page;
use super::store::{Orders, Show, Wanted};
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use platform::http::Problem;
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// The most orders of one answer.
const LIMIT_MAX: usize = 500;
/// Orders of an answer if nobody says otherwise.
const LIMIT: usize = 100;
/// An id with its hyphens.
const ID_LENGTH: usize = 36;

/// What is served.
pub(super) struct Content {
    pub(super) orders: Arc<Orders>,
    /// How to place an order, in a shell.
    pub(super) place: String,
    /// Where.
    pub(super) address: SocketAddr,
}

type Shared = State<Arc<Content>>;

pub(super) fn router(content: Content) -> Router {
    let content = Arc::new(content);
    Router::new()
        .route("/", get(shown))
        .route("/orders/{id}", get(shown))
        .route("/api/orders", get(list))
        .route("/api/orders/{id}", get(whole))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&content),
            asked_by_name,
        ))
        .layer(map_response(guarded))
        .with_state(content)
}

/// Another page could give its own name this address. Who listens on this machine only has no name but an address.
async fn asked_by_name(
    State(content): Shared,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    if content.address.ip().is_loopback() && !is_here(request.headers()) {
        let detail = format!("ask for http://{}/", content.address);
        return problem(StatusCode::MISDIRECTED_REQUEST, "Not the host", detail);
    }
    next.run(request).await
}

fn is_here(headers: &HeaderMap) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let Some(host) = host else {
        return false;
    };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_address = host.parse::<SocketAddr>().is_ok() || name.parse::<std::net::IpAddr>().is_ok();
    is_address || name == "localhost"
}

/// What every answer says to a browser.
async fn guarded(mut response: Response) -> Response {
    let always = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    let headers = response.headers_mut();
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'"));
    response
}

async fn shown(State(content): Shared) -> Response {
    let nonce = page::nonce();
    let html = page::live(&nonce, &serde_json::json!({ "place": content.place }));
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, page::policy(&nonce)),
    ];
    (headers, html).into_response()
}

async fn list(State(content): Shared, RawQuery(query): RawQuery) -> Response {
    match wanted(query.as_deref().unwrap_or_default()) {
        Ok(wanted) => json(content.orders.list(&wanted)),
        Err(problem) => problem.into_response(),
    }
}

async fn whole(State(content): Shared, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<Uuid>() else {
        let message = "must be the id of an order, such as 01a1ff15-290a-7546-8260-8817b11f05bc";
        return Problem::parameter("id", message).into_response();
    };
    if let Some(whole) = content.orders.whole(id) {
        return json(whole);
    }
    let mut problem = Problem::not_found("order", id);
    problem.detail = if content.orders.may_be_forgotten(id) {
        format!("order {id} is forgotten: only the latest are kept, and there are later ones")
    } else {
        format!("nothing was traced of order {id} yet")
    };
    problem.into_response()
}

/// Reads `limit`, `q` and `show`.
fn wanted(query: &str) -> Result<Wanted, Problem> {
    let mut wanted = Wanted {
        limit: LIMIT,
        ..Wanted::default()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "limit" => wanted.limit = limit(value)?,
            "q" => wanted.beginning = beginning(value)?,
            "show" => wanted.show = show(value)?,
            _ => {
                let message = "is not known; there are limit, q and show";
                return Err(Problem::parameter(
                    &name.chars().take(40).collect::<String>(),
                    message,
                ));
            }
        }
    }
    Ok(wanted)
}

fn limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok();
    let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let message = || format!("must be a whole number between 1 and {LIMIT_MAX}");
    limit.ok_or_else(|| Problem::parameter("limit", message()))
}

fn beginning(value: &str) -> Result<String, Problem> {
    let is_of_an_id = |c: char| c.is_ascii_hexdigit() || c == '-';
    if value.len() <= ID_LENGTH && value.chars().all(is_of_an_id) {
        return Ok(value.to_ascii_lowercase());
    }
    let message = format!(
        "must be the id of an order or of a trace, or the beginning of one: at most {ID_LENGTH} digits 0 to 9 and a to f, \
         and hyphens"
    );
    Err(Problem::parameter("q", message))
}

fn show(value: &str) -> Result<Show, Problem> {
    match value {
        "all" => Ok(Show::All),
        "canceled" => Ok(Show::Canceled),
        "failed" => Ok(Show::Failed),
        "slow" => Ok(Show::Slow),
        _ => Err(Problem::parameter(
            "show",
            "must be all, canceled, failed or slow",
        )),
    }
}

fn json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

async fn no_route(uri: Uri) -> Response {
    let detail = format!(
        "nothing is served at {}; there are /, /orders/ID, /api/orders and /api/orders/ID",
        uri.path()
    );
    problem(StatusCode::NOT_FOUND, "Not found", detail)
}

async fn no_method() -> Response {
    let detail = "everything here is read with GET".to_owned();
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail)
}

fn problem(status: StatusCode, title: &'static str, detail: String) -> Response {
    let problem = Problem {
        kind: "about:blank",
        title,
        status: status.as_u16(),
        detail,
        errors: Vec::new(),
    };
    problem.into_response()
}
