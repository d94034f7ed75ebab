//! One direction of a connection: what is read waits in a bounded queue until it may go on.

use super::Network;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;

/// So much waits at most, and one piece more.
const QUEUE_BYTES_MAX: usize = 256 * 1_024;
/// So much is read at a time.
const PIECE: usize = 64 * 1_024;
/// A throttled connection passes on so many pieces a second, so that it is slow, and not fast and still by turns.
const PIECES_A_SECOND: u64 = 50;

/// What all connections of a proxy count together.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) cut: AtomicU64,
    pub(super) silenced: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) bytes_held: AtomicU64,
}

/// What was read together, when, and how much of it went on.
struct Piece {
    read_at: Instant,
    bytes: Vec<u8>,
    passed: usize,
}

/// What waits to go on.
struct Queue {
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// Before this nothing goes on, because enough did.
    not_before: Instant,
}

/// Passes on everything from `from` to `to`, as well as the network can, until the end.
pub(super) async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    counters: &Counters,
) -> Result<(), Error> {
    let mut queue = Queue {
        pieces: VecDeque::new(),
        bytes: 0,
        not_before: Instant::now(),
    };
    let mut piece = vec![0; PIECE];
    let mut has_ended = false;
    loop {
        let now = *network.borrow_and_update();
        if now == Network::Cut {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        if has_ended && queue.pieces.is_empty() {
            return to.shutdown().await;
        }
        let is_silent = now == Network::HalfOpen;
        let may_read = !has_ended && !is_silent && queue.bytes < QUEUE_BYTES_MAX;
        let may_write = !queue.pieces.is_empty() && !is_silent;
        tokio::select! {
            biased;
            changed = network.changed() => changed.map_err(Error::other)?,
            written = queue.write(&mut to, now), if may_write => {
                queue.passed(written?, now, counters);
            }
            read = from.read(&mut piece), if may_read => match read? {
                0 => has_ended = true,
                count => queue.push(&piece[..count]),
            },
        }
    }
}

impl Queue {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.pieces.push_back(Piece {
            read_at: Instant::now(),
            bytes: bytes.to_vec(),
            passed: 0,
        });
    }

    /// Writes some of the first piece, when its time has come. Given up before its end it has written nothing.
    async fn write(&self, to: &mut OwnedWriteHalf, network: Network) -> Result<usize, Error> {
        let Some(first) = self.pieces.front() else {
            return Ok(0);
        };
        let mut bytes = &first.bytes[first.passed..];
        let due = match network {
            Network::Delay(by) => first.read_at + by,
            Network::Throttle(rate) => {
                let most = usize::try_from((rate / PIECES_A_SECOND).max(1)).unwrap_or(usize::MAX);
                bytes = &bytes[..bytes.len().min(most)];
                self.not_before
            }
            Network::Good | Network::Cut | Network::HalfOpen => first.read_at,
        };
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        to.write(bytes).await
    }

    /// So much of the first piece went on.
    fn passed(&mut self, written: usize, network: Network, counters: &Counters) {
        let count = written as u64;
        counters.bytes.fetch_add(count, Ordering::Relaxed);
        if network != Network::Good {
            counters.bytes_held.fetch_add(count, Ordering::Relaxed);
        }
        if let Network::Throttle(rate) = network {
            let took = Duration::from_nanos(count.saturating_mul(1_000_000_000) / rate.max(1));
            self.not_before = self.not_before.max(Instant::now()) + took;
        }
        self.bytes -= written;
        let Some(first) = self.pieces.front_mut() else {
            return;
        };
        first.passed += written;
        if first.passed == first.bytes.len() {
            self.pieces.pop_front();
        }
    }
}
