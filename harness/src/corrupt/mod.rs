//! Corrupted recordings: each operator spoils evidence in one place and names the check that must object.
//!
//! After its verdict every run spoils a copy of its own recording in one way after the other. A checker that stays
//! silent then is broken, and so is its verdict.

mod answers;
mod cut;
mod messages;
mod metrics;
mod tables;
mod traces;

pub use cut::cut;

use crate::check::{self, Verdict};
use crate::evidence::{Evidence, Said};
use contract::EventType;

/// A way to spoil evidence.
pub struct Corruption {
    /// Its name.
    pub name: &'static str,
    /// The check that must object.
    pub check: &'static str,
    /// Spoils it at the place that the number chooses. False: there is nothing to spoil in this way.
    pub apply: fn(&mut Evidence, usize) -> bool,
}

/// All of them, in the order of the checks.
pub fn all() -> impl Iterator<Item = &'static Corruption> {
    let lists = [tables::ALL, messages::ALL, traces::ALL, metrics::ALL];
    lists.into_iter().flatten()
}

/// What came of spoiling the evidence.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The operators whose check objected.
    pub seen: Vec<&'static str>,
    /// The operators whose check stayed silent.
    pub unseen: Vec<&'static str>,
    /// The operators that found nothing to spoil, or whose check was not due or knew nothing before.
    pub idle: Vec<&'static str>,
}

/// The most orders that are spoiled as they are.
const WHOLE_MAX: usize = 50_000;

/// The orders of the part that is taken of more.
const PART: usize = 20_000;

/// Spoils `evidence` in every way, each time in a fresh copy, and asks the named check. `chance` chooses the places.
///
/// Of a run of more than 50 000 orders only a part is spoiled: the first 20 000 orders with everything that is told
/// of them, and some of each story and each reason from all of it. So it takes seconds and some dozens of megabytes,
/// however long the run was. What services counted cannot be divided, so it is not spoiled then.
pub fn prove(evidence: &Evidence, chance: u64) -> Proof {
    let is_large = evidence.names.orders.len() > WHOLE_MAX;
    let part = is_large.then(|| cut::cut(evidence, PART));
    let evidence = part.as_ref().unwrap_or(evidence);
    let before = check::judge(evidence);
    let is_valid = |id| {
        before
            .iter()
            .any(|finding| finding.id == id && finding.verdict == Verdict::Valid)
    };
    let mut proof = Proof::default();
    for (n, corruption) in (1_u64..).zip(all()) {
        let mut spoiled = evidence.clone();
        let place = usize::try_from(chance.wrapping_mul(n) >> 8).unwrap_or(0);
        if !is_valid(corruption.check) || !(corruption.apply)(&mut spoiled, place) {
            proof.idle.push(corruption.name);
            continue;
        }
        let after = check::judge_one(&spoiled, corruption.check).map(|finding| finding.verdict);
        let list = if after == Some(Verdict::Invalid) {
            &mut proof.seen
        } else {
            &mut proof.unseen
        };
        list.push(corruption.name);
    }
    proof
}

/// The row that `place` chooses among those that fit.
fn choose<T>(rows: &mut [T], place: usize, fits: impl Fn(&T) -> bool) -> Option<&mut T> {
    index(rows, place, fits).and_then(|index| rows.get_mut(index))
}

/// Its index.
fn index<T>(rows: &[T], place: usize, fits: impl Fn(&T) -> bool) -> Option<usize> {
    let count = rows.iter().filter(|row| fits(row)).count();
    let nth = place.checked_rem(count)?;
    rows.iter()
        .enumerate()
        .filter(|(_, row)| fits(row))
        .nth(nth)
        .map(|(index, _)| index)
}

/// Takes it out.
fn drop_one<T>(rows: &mut Vec<T>, place: usize, fits: impl Fn(&T) -> bool) -> bool {
    let found = index(rows, place, fits);
    found.map(|index| rows.remove(index)).is_some()
}

/// Whether it is an event of this type.
fn is(kind: EventType) -> impl Fn(&Said) -> bool {
    move |said| said.kind == kind
}
