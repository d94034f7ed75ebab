//! The proxy that breaks the network, in front of a server that says back what it hears.

use harness::proxy::{Counts, Network, Proxy};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// How long something may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that says back what it hears, until the test ends.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut back = stream.try_clone().unwrap();
                std::io::copy(&mut &stream, &mut back)
            });
        }
    });
    address
}

fn client(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends `text`, and how long it took until it came back.
fn round_trip(stream: &mut TcpStream, text: &[u8]) -> Duration {
    let began = Instant::now();
    stream.write_all(text).unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back, text);
    began.elapsed()
}

/// Waits until the counts are as they should be.
fn counted(proxy: &Proxy, is_so: impl Fn(Counts) -> bool) -> Counts {
    let until = Instant::now() + PATIENCE;
    while !is_so(proxy.counts()) {
        assert!(Instant::now() < until, "{:?}", proxy.counts());
        std::thread::yield_now();
    }
    proxy.counts()
}

#[test]
fn a_good_network_passes_everything_on_in_order_and_says_when_somebody_has_ended() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = client(&proxy);
    let much: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&much).unwrap();
            // The server hears the end, says what is left, and ends as well.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        (&stream).read_to_end(&mut back).unwrap();
    });
    assert!(back == much, "{} of {} bytes", back.len(), much.len());
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let counts = counted(&proxy, |counts| counts.open == 0);
    let expected = Counts {
        accepted: 1,
        bytes: 2 * much.len() as u64,
        ..Counts::default()
    };
    assert_eq!(counts, expected);
}

#[test]
fn a_cut_closes_every_connection_and_refuses_new_ones_until_it_is_healed() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut streams = [client(&proxy), client(&proxy)];
    for stream in &mut streams {
        round_trip(stream, b"before");
    }
    proxy.set(Network::Cut).unwrap();
    assert_eq!((proxy.counts().cut, proxy.counts().open), (2, 0));
    for stream in &mut streams {
        let read = stream.read(&mut [0]);
        assert!(
            matches!(&read, Ok(0)) || read.is_err_and(|e| e.kind() == ErrorKind::ConnectionReset)
        );
    }
    let refused = TcpStream::connect(proxy.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    proxy.heal().unwrap();
    round_trip(&mut client(&proxy), b"after");
    // What is healed twice is healed.
    proxy.heal().unwrap();
    assert_eq!(proxy.counts().cut, 2);
}

#[test]
fn a_delay_makes_each_piece_late_in_both_directions_and_keeps_their_order() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = client(&proxy);
    round_trip(&mut stream, b"before");
    let delay = Duration::from_millis(30);
    proxy.set(Network::Delay(delay)).unwrap();
    assert!(round_trip(&mut stream, b"one") >= 2 * delay);
    let began = Instant::now();
    for n in 0..100_u8 {
        stream.write_all(&[n]).unwrap();
    }
    let mut back = [0; 100];
    stream.read_exact(&mut back).unwrap();
    assert!(began.elapsed() >= 2 * delay);
    assert!(back.is_sorted(), "{back:?}");
    counted(&proxy, |counts| counts.bytes_held == 2 * 103);
    proxy.heal().unwrap();
    round_trip(&mut stream, b"after");
    assert_eq!(proxy.counts().bytes_held, 2 * 103);
}

#[test]
fn what_was_delayed_for_long_goes_on_at_once_when_the_network_heals() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = client(&proxy);
    round_trip(&mut stream, b"before");
    proxy
        .set(Network::Delay(Duration::from_secs(3_600)))
        .unwrap();
    stream.write_all(b"late").unwrap();
    proxy.heal().unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"late");
}

#[test]
fn a_throttled_network_passes_on_so_much_a_second_and_no_more() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut stream = client(&proxy);
    proxy.set(Network::Throttle(100_000)).unwrap();
    // The first piece is free.
    let took = round_trip(&mut stream, &vec![7; 20_000]);
    assert!(took >= Duration::from_millis(170), "{took:?}");
    counted(&proxy, |counts| counts.bytes_held == 40_000);
}

#[test]
fn a_half_open_network_is_silent_and_closes_nothing_and_goes_on_when_it_heals() {
    let proxy = Proxy::start(echo()).unwrap();
    let mut old = client(&proxy);
    round_trip(&mut old, b"before");
    counted(&proxy, |counts| counts.bytes == 2 * 6);
    proxy.set(Network::HalfOpen).unwrap();
    let mut new = client(&proxy);
    counted(&proxy, |counts| counts.silenced == 2 && counts.open == 2);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"hello?").unwrap();
        let patience = Duration::from_millis(50);
        stream.set_read_timeout(Some(patience)).unwrap();
        let read = stream.read(&mut [0]).unwrap_err();
        assert_eq!(read.kind(), ErrorKind::WouldBlock, "closed or answered");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    assert_eq!(proxy.counts().bytes, 2 * 6);
    proxy.heal().unwrap();
    for stream in [&mut old, &mut new] {
        let mut back = [0; 6];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello?");
    }
}

#[test]
fn silence_can_be_followed_by_a_cut_and_who_asks_nobody_is_closed() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(nobody.local_addr().unwrap()).unwrap();
    proxy.set(Network::HalfOpen).unwrap();
    let mut silent = client(&proxy);
    counted(&proxy, |counts| counts.silenced == 1);
    proxy.set(Network::Cut).unwrap();
    assert_eq!((proxy.counts().cut, proxy.counts().open), (1, 0));
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    proxy.heal().unwrap();
    drop(nobody);
    assert!(matches!(client(&proxy).read(&mut [0]), Ok(0) | Err(_)));
}

#[test]
fn everything_ends_with_the_proxy() {
    let proxy = Proxy::start(echo()).unwrap();
    let address = proxy.address();
    let mut stream = client(&proxy);
    round_trip(&mut stream, b"before");
    drop(proxy);
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

/// `cargo test --release -p harness --test network -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, for a quiet machine"]
fn what_the_proxy_costs_while_the_network_is_good() {
    let server = echo();
    let proxy = Proxy::start(server).unwrap();
    for (name, address) in [("direct", server), ("proxy", proxy.address())] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut trips: Vec<Duration> = (0..5_000)
            .map(|_| round_trip(&mut stream, &[1; 300]))
            .collect();
        trips.sort();
        let began = Instant::now();
        let size = 256_usize << 20;
        std::thread::scope(|scope| {
            scope.spawn(|| (&stream).write_all(&vec![0; size]));
            let mut left = size;
            let mut piece = vec![0; 1 << 16];
            while left > 0 {
                left -= (&stream).read(&mut piece).unwrap();
            }
        });
        let mib_s = 256.0 / began.elapsed().as_secs_f64();
        println!(
            "{name}: round trip p50 {:?} p99 {:?}; {mib_s:.0} MiB/s there and back",
            trips[2_500], trips[4_950]
        );
    }
}
