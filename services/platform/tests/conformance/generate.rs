//! Scripts made up by chance: the same ones for the same seed, and always such as can be played to the end.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LINES: usize = 40;
const IDS: [&str; 6] = ["a", "b", "c", "d", "B", "a-b"];

/// A script for a store: one writer at a time, snapshots beside it.
pub fn for_store(seed: u64) -> Vec<String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut lines = Vec::new();
    let (mut writes, mut snapshots) = (false, 0);
    while lines.len() < LINES {
        match chance.random_range(0..12) {
            0 | 1 if !writes => {
                lines.push("begin W".to_owned());
                writes = true;
            }
            0 if writes => {
                lines.push("W drop".to_owned());
                writes = false;
            }
            1 | 2 if writes => {
                lines.push("W commit".to_owned());
                writes = false;
            }
            2 if snapshots < 2 => {
                snapshots += 1;
                lines.push(format!("snapshot S{snapshots}"));
            }
            3 if snapshots > 0 => {
                lines.push(format!("S{snapshots} list"));
                lines.push(format!("S{snapshots} drop"));
                snapshots -= 1;
            }
            4 if !writes => {
                lines.push("read R".to_owned());
                lines.push("R list".to_owned());
                lines.push("R sum".to_owned());
                lines.push("R drop".to_owned());
            }
            5 if !writes => {
                let [n, before] = [0, 0].map(|_: i32| chance.random_range(0..8));
                let at = chance.random_range(0..4) * 60;
                lines.push(format!("claim {n} before {before} at {at}"));
            }
            _ if writes => lines.push(format!("W {}", statement(&mut chance))),
            _ => {}
        }
    }
    if writes {
        lines.push("W commit".to_owned());
    }
    lines.push("read R".to_owned());
    lines.push("R list".to_owned());
    lines.push("R drop".to_owned());
    lines
}

fn statement(chance: &mut ChaCha8Rng) -> String {
    let mut ids = Vec::new();
    for _ in 0..chance.random_range(1..5) {
        ids.push(IDS[chance.random_range(0..IDS.len())]);
    }
    let (id, ids) = (ids[0], ids.join(","));
    let n = chance.random_range(0..6);
    match chance.random_range(0..19) {
        16 | 17 => format!("edit {ids} {n}"),
        18 => format!("find {ids}"),
        0 => format!("put {id} {n}"),
        1 | 2 => format!("add {id} {n}"),
        3 => format!("add {id} -{n}"),
        4 | 5 => format!("take {id} {n}"),
        6..9 => format!("new {ids}"),
        9 | 10 => format!("touch {ids} name{n} {}", n - 1),
        11 => format!("lock {ids}"),
        12 => format!("each {ids} {n}"),
        13 => "list".to_owned(),
        14 => format!("after {id} {n}"),
        _ if n == 0 => "wrong".to_owned(),
        _ => "sum".to_owned(),
    }
}

/// What the consumer of one queue may do next.
#[derive(Default)]
struct Queue {
    is_open: bool,
    /// Waits in the queue, or comes back to it.
    waiting: Vec<u64>,
    taken: Vec<u64>,
    dead: Vec<u64>,
}

/// A script for a broker with the queues `a` and `b`.
pub fn for_broker(seed: u64) -> Vec<String> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut lines = Vec::new();
    let mut published = 0;
    let mut queues = [("a", Queue::default()), ("b", Queue::default())];
    while lines.len() < LINES {
        if chance.random_range(0..6) == 0 {
            let more: Vec<u64> = (published + 1..=published + chance.random_range(1..6)).collect();
            published += more.len() as u64;
            let numbers: Vec<String> = more.iter().map(u64::to_string).collect();
            lines.push(format!("publish {}", numbers.join(" ")));
            for (_, queue) in &mut queues {
                queue.waiting.extend(&more);
            }
        } else {
            let (name, queue) = &mut queues[chance.random_range(0..2)];
            if let Some(line) = one(&mut chance, queue) {
                lines.push(format!("{name} {line}"));
            }
        }
    }
    lines.extend(["a left", "b left", "a dead", "b dead"].map(str::to_owned));
    lines
}

/// Which message comes next is the broker's business: all that are there are taken together.
fn one(chance: &mut ChaCha8Rng, queue: &mut Queue) -> Option<String> {
    if !queue.is_open {
        queue.is_open = true;
        return Some("open".to_owned());
    }
    let pick = |chance: &mut ChaCha8Rng, of: &mut Vec<u64>| {
        (!of.is_empty()).then(|| of.swap_remove(chance.random_range(0..of.len())))
    };
    Some(match chance.random_range(0..10) {
        0 => {
            queue.is_open = false;
            queue.waiting.append(&mut queue.taken);
            "close".to_owned()
        }
        1..4 if !queue.waiting.is_empty() => {
            let n = queue.waiting.len();
            queue.taken.append(&mut queue.waiting);
            format!("next {n}")
        }
        4 => {
            queue.taken.clear();
            "ack".to_owned()
        }
        5 => {
            let n = pick(chance, &mut queue.taken)?;
            queue.waiting.push(n);
            format!("retry {n} {}", chance.random_range(1..30))
        }
        6 => {
            let n = pick(chance, &mut queue.taken)?;
            queue.dead.push(n);
            format!("bury {n} why {n}")
        }
        7 => {
            let n = pick(chance, &mut queue.dead)?;
            queue.waiting.push(n);
            format!("replay {n}")
        }
        8 => {
            let n = pick(chance, &mut queue.dead)?;
            format!("discard {n}")
        }
        _ => "left".to_owned(),
    })
}
