//! Ports to listen on when nobody says which.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below where systems take the ports of clients from: a client that asks for a port while nobody listens there could
/// be given that very port, and meet itself; and whoever is down for a while finds its port free again.
const FROM: u16 = 10_000;
/// So many there are.
const PORTS: u16 = 20_000;
/// So many are worth looking at.
const LOOKS: usize = 1_000;

/// Ports that may be free, each another one than was given before in this process. Processes that start at once seldom
/// look at the same.
pub fn free_ports() -> impl Iterator<Item = u16> {
    static FIRST: OnceLock<u16> = OnceLock::new();
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let first = *FIRST.get_or_init(|| {
        let anywhere = platform::os_seed() % u64::from(PORTS);
        u16::try_from(anywhere).unwrap_or(0)
    });
    let next = move || {
        let given = u32::from(GIVEN.fetch_add(1, Ordering::Relaxed));
        let n = (u32::from(first) + given) % u32::from(PORTS);
        FROM + u16::try_from(n).unwrap_or(0)
    };
    std::iter::repeat_with(next).take(LOOKS)
}
