//! How fast the machine is while something is measured: neighbours and heat halve its speed and double all costs.
//!
//! The same small piece of work is done again and again beside what is measured. What it costs in processor time
//! says how much of a figure is the machine's: twice the yardstick, twice the cost.

use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it works: often enough for an average, and one part in a hundred of one core.
const EVERY: Duration = Duration::from_millis(25);
/// What it costs on a quiet core of the machine that the published figures come from.
const QUIET_US: f64 = 200.0;

/// Works beside something that is measured.
pub(crate) struct Yardstick {
    end: mpsc::Sender<()>,
    thread: JoinHandle<f64>,
}

impl Yardstick {
    pub(crate) fn start() -> Self {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut spent_us, mut times) = (0.0, 0.0);
            while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                spent_us += cost_us();
                times += 1.0;
            }
            spent_us / times
        });
        Self { end, thread }
    }

    /// The part of its quiet speed that the machine had: 0.5 where everything cost twice as much.
    pub(crate) fn speed(self) -> f64 {
        drop(self.end);
        QUIET_US / self.thread.join().expect("a yardstick that does not panic")
    }
}

/// What the piece of work costs this thread.
fn cost_us() -> f64 {
    let spent = || {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        spent.tv_sec as f64 * 1e6 + spent.tv_nsec as f64 / 1e3
    };
    let before = spent();
    let mut map = BTreeMap::new();
    let mut key = 1_u64;
    for n in 0..2_000 {
        key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n);
        map.insert(key, n);
    }
    black_box(map.range(key / 2..).take(100).map(|(_, n)| n).sum::<u64>());
    drop(map);
    spent() - before
}
