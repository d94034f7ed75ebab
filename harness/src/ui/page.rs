//! The page, with its data in it. It is one file that needs nothing else, no network and no server of its own.

use serde::Serialize;

const PAGE: &str = include_str!("page.html");

/// What a browser may do with the page of a server: run what carries its number, and ask the server.
pub(super) fn policy(nonce: &str) -> String {
    format!(
        "{}; connect-src 'self'; frame-ancestors 'none'",
        base(nonce)
    )
}

fn base(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    )
}

/// A number that nobody can guess, so that nothing which gets into the page by mistake is run.
pub(super) fn nonce() -> String {
    format!("{:016x}{:016x}", platform::os_seed(), platform::os_seed())
}

/// The page of a server, which asks it for orders. `data` tells how to place one.
pub(super) fn live(nonce: &str, data: &impl Serialize) -> String {
    filled(nonce, "", data)
}

/// A page that has its orders with it.
pub(super) fn file(data: &impl Serialize) -> String {
    let nonce = nonce();
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">",
        base(&nonce)
    );
    filled(&nonce, &policy, data)
}

fn filled(nonce: &str, policy: &str, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_default();
    // Nothing in it can end the element it stands in.
    let json = json.replace('<', "\\u003c");
    // The data comes last: what looks like a place in it is none.
    let page = PAGE.replace("{{nonce}}", nonce);
    page.replace("{{policy}}", policy)
        .replace("{{data}}", &json)
}
