//! A service of which a loop has ended. None ends by itself in a shop that is right, so one is ended here.

use crate::alerts::Fault;
use crate::calm;
use crate::kit::block_on;
use crate::prometheus::Prometheus;
use payments::provider::{self, Simulated};
use platform::broker::Nowhere;
use platform::store::Sqlite;
use platform::telemetry::Tracer;
use platform::{Clock, Context, Parts, Running, Settings};
use shop::ProviderSettings;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tracing::Dispatch;

/// What goes wrong here.
pub const FAULTS: [Fault<Alone>; 1] = [Fault {
    what: "a loop has ended",
    raises: &["LoopEnded"],
    begin: Alone::end_a_loop,
    end: |_| (),
}];

/// A service alone; the provider needs nobody else.
pub struct Alone {
    ctx: Context,
    runtime: Handle,
    address: SocketAddr,
}

impl Alone {
    fn end_a_loop(&mut self) {
        let _inside = self.runtime.enter();
        self.ctx.spawn_loop("one that ends", async {});
    }
}

/// Until it is told to stop.
async fn serve(there: mpsc::Sender<Alone>) {
    let ctx = Context::new(Parts {
        service: provider::NAME,
        store: Arc::new(Sqlite::in_memory().expect("a database")),
        broker: Arc::new(Nowhere),
        clock: Clock::Os,
        seed: 1,
        dispatch: Dispatch::none(),
        tracer: Tracer::off(),
        settings: Settings::default(),
        planted: None,
    });
    let simulated = Simulated::new(&ctx, ProviderSettings::default());
    let running = Running::start(ctx.clone(), Arc::new(simulated)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let alone = Alone {
        ctx,
        runtime: Handle::current(),
        address: listener.local_addr().expect("an address"),
    };
    there.send(alone).expect("somebody waits");
    let running = running.unwrap_or_else(|error| panic!("{error}"));
    running.serve(listener, Duration::ZERO).await;
}

#[test]
fn a_loop_that_has_ended_raises_its_alert() {
    if calm::day().is_none() {
        return;
    }
    let (there, is_there) = mpsc::channel();
    let serving = std::thread::spawn(|| block_on(serve(there)));
    let mut alone = is_there.recv().expect("a service");
    let prometheus = Prometheus::start(&[(provider::NAME, alone.address)]);
    for fault in &FAULTS {
        fault.happens(&mut alone, &prometheus, || ());
    }
    alone.ctx.stop();
    serving.join().expect("it drains");
}
