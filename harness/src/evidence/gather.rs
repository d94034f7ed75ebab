//! Asks a shop for everything that it can tell.

use super::Source;
use std::future::Future;

/// Messages of the tap in one answer.
const TAP_PAGE: usize = 2_000;

/// Asks for every source that the shop keeps. `read` answers a service's path with the text there; `take` gets the
/// text, in pieces of whole lines, or the reason why there is none.
pub async fn gather<F, A>(read: F, mut take: impl FnMut(Source, Result<&str, String>))
where
    F: Fn(&'static str, String) -> A,
    A: Future<Output = Result<String, String>>,
{
    for source in Source::ALL {
        for (service, path) in source.exports() {
            if source == Source::Tap {
                tap(&read, service, path, |text| take(source, text)).await;
                continue;
            }
            match read(service, (*path).to_owned()).await {
                Ok(text) => take(source, Ok(&text)),
                Err(why) => take(source, Err(format!("{service}{path}: {why}"))),
            }
        }
    }
}

/// The tap can be long, so it is asked for page by page.
async fn tap<F, A>(
    read: &F,
    service: &'static str,
    path: &str,
    mut take: impl FnMut(Result<&str, String>),
) where
    F: Fn(&'static str, String) -> A,
    A: Future<Output = Result<String, String>>,
{
    let mut after = 0_i64;
    loop {
        match read(service, format!("{path}?after={after}&limit={TAP_PAGE}")).await {
            Err(why) => return take(Err(format!("{service}{path}: {why}"))),
            Ok(text) => {
                let last = text.lines().last().and_then(place);
                take(Ok(&text));
                match last {
                    Some(place) if text.lines().count() == TAP_PAGE => after = place,
                    _ => return,
                }
            }
        }
    }
}

/// The place of a tapped message.
fn place(line: &str) -> Option<i64> {
    #[derive(serde::Deserialize)]
    struct Place {
        seq: i64,
    }
    serde_json::from_str::<Place>(line)
        .ok()
        .map(|place| place.seq)
}
