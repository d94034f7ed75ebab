//! D1: what was committed was on the exchange. D2: what was on the exchange was committed, with the same payload.

use super::{Tally, Violation};
use crate::evidence::View;
use contract::EventType;

/// D1
pub(super) fn published(view: &View<'_>) -> Tally {
    let mut carried = vec![false; view.names.messages.len()];
    for tapped in &view.tap {
        carried[tapped.id.index()] = true;
    }
    let mut tally = Tally::default();
    for said in &view.said {
        tally.look((!carried[said.id.index()]).then(|| {
            let (service, kind) = (said.service.as_str(), said.kind.as_str());
            let marked = if said.is_published {
                "is marked as published and"
            } else {
                ""
            };
            let what = format!("{kind} in the log of {service} {marked} was never on the exchange");
            Violation::order(view, said.order, what)
        }));
    }
    tally
}

/// D2
pub(super) fn committed(view: &View<'_>) -> Tally {
    let mut tally = Tally::default();
    for tapped in &view.tap {
        let (id, kind) = (
            view.names.messages.id(tapped.id.index()),
            tapped
                .kind
                .map_or("a message of an unknown type", EventType::as_str),
        );
        let source = tapped
            .source
            .map_or("nobody we know", |source| source.as_str());
        let mut logged = view
            .logged(tapped.id)
            .filter(|said| Some(said.service) == tapped.source)
            .peekable();
        let order = logged.peek().map(|said| said.order);
        let what = match order {
            None => format!(
                "{kind} of {source} (message {id}) was on the exchange and is not in its log"
            ),
            Some(_)
                if !logged
                    .any(|said| said.digest == tapped.digest && Some(said.kind) == tapped.kind) =>
            {
                format!(
                    "{kind} of {source} (message {id}) was on the exchange with another payload than in its log"
                )
            }
            Some(_) => {
                tally.look(None);
                continue;
            }
        };
        let about = order.map(|order| Violation::order(view, order, what.clone()));
        tally.look(Some(about.unwrap_or_else(|| Violation::run(what))));
    }
    tally
}
