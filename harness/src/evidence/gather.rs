//! Asks a shop for everything that it can tell.

use super::{Evidence, Reader, Source};
use crate::history::Operation;
use crate::plan::Plan;
use std::future::Future;

/// Messages of the tap in one answer.
const TAP_PAGE: usize = 2_000;

/// Asks for every source that the shop keeps. `read` answers a service's path with the text there; `take` gets the
/// text, in pieces of whole lines, or the reason why there is none.
async fn gather<F, A>(read: F, take: impl FnMut(Source, Result<&str, String>))
where
    F: Fn(&'static str, String) -> A,
    A: Future<Output = Result<String, String>>,
{
    let whole = async |service, path, piece: &mut dyn FnMut(&str)| {
        piece(&read(service, path).await?);
        Ok(())
    };
    gather_in_pieces(Source::ALL, whole, take).await;
}

/// Everything that a shop tells and what its clients did, in memory, after what `reader` has read already. `read` answers a service's path with the text there.
pub async fn collect<F, A>(
    mut reader: Reader,
    plan: Plan,
    history: Vec<Operation>,
    read: F,
) -> Evidence
where
    F: Fn(&'static str, String) -> A,
    A: Future<Output = Result<String, String>>,
{
    reader.evidence().plan = plan;
    for operation in history {
        if let Err(why) = reader.operation(operation) {
            reader.miss(Source::History, why);
        }
    }
    gather(read, |source, text| match text {
        Ok(text) => reader.read(source, text),
        Err(why) => reader.miss(source, why),
    })
    .await;
    reader.finish()
}

/// Like `collect`, for answers that are larger than anybody wants to keep in memory: `read` gives them away in pieces
/// of whole lines. Only these sources are asked for.
pub async fn gather_in_pieces(
    sources: impl IntoIterator<Item = Source>,
    read: impl AsyncFn(&'static str, String, &mut dyn FnMut(&str)) -> Result<(), String>,
    mut take: impl FnMut(Source, Result<&str, String>),
) {
    for source in sources {
        for (service, path) in source.exports() {
            let mut pages = Pages::new(source, path);
            while let Some(page) = pages.next() {
                let mut piece = |text: &str| {
                    pages.saw(text);
                    take(source, Ok(text));
                };
                if let Err(why) = read(service, page, &mut piece).await {
                    take(source, Err(format!("{service}{path}: {why}")));
                    break;
                }
            }
        }
    }
}

/// The pages of a source: one of everything, but the tap comes in many.
struct Pages<'a> {
    path: &'a str,
    is_tap: bool,
    /// Where the next page begins, and how many lines the last one had. None before the first.
    last: Option<(i64, usize)>,
}

impl<'a> Pages<'a> {
    fn new(source: Source, path: &'a str) -> Self {
        Self {
            path,
            is_tap: source == Source::Tap,
            last: None,
        }
    }

    fn next(&mut self) -> Option<String> {
        let (path, first) = (self.path, self.last.is_none());
        if !self.is_tap {
            self.last = Some((0, 0));
            return first.then(|| path.to_owned());
        }
        let (after, lines) = self.last.unwrap_or((0, TAP_PAGE));
        self.last = Some((after, 0));
        (lines == TAP_PAGE).then(|| format!("{path}?after={after}&limit={TAP_PAGE}"))
    }

    fn saw(&mut self, text: &str) {
        if let Some((after, lines)) = self.last.as_mut().filter(|_| self.is_tap) {
            *lines += text.lines().count();
            *after = text.lines().last().and_then(place).unwrap_or(*after);
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
