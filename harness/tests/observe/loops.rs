//! A service of which a loop has ended. None ends by itself in a shop that is right, so one is ended here.

use crate::alerts::Fault;
use crate::calm;
use crate::kit::block_on;
use crate::prometheus::Prometheus;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use orders::Orders;
use platform::world::{Mischief, World};
use platform::{Context, Settings};
use std::net::SocketAddr;
use std::sync::mpsc;

/// What goes wrong here.
pub const FAULTS: [Fault<Context>; 1] = [Fault {
    what: "a loop has ended",
    raises: &["LoopEnded"],
    begin: |ctx| ctx.spawn_loop("one that ends", async {}),
    end: |_| (),
}];

/// Orders alone, without sockets but the one for Prometheus, until the test has ended.
fn serve(there: mpsc::Sender<(Context, SocketAddr)>) {
    block_on(async {
        let world = World::new(1, vec![orders::NAME], Settings::default());
        let make =
            Box::new(|ctx: &Context| -> std::sync::Arc<dyn platform::Service> { Orders::new(ctx) });
        let ctx = world.add(orders::NAME, Mischief::default(), make).await;
        let answer = move |request: Request<Body>| {
            let world = world.clone();
            async move {
                world
                    .request(orders::NAME, request)
                    .await
                    .expect("an answer")
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        there.send((ctx, address)).expect("somebody waits");
        axum::serve(listener, Router::new().fallback(answer)).await
    })
    .expect("it listens");
}

#[test]
fn a_loop_that_has_ended_raises_its_alert() {
    if calm::day().is_none() {
        return;
    }
    let (there, is_there) = mpsc::channel();
    std::thread::spawn(|| serve(there));
    let (mut ctx, address) = is_there.recv().expect("a service");
    let prometheus = Prometheus::start(&[(orders::NAME, address)]);
    for fault in &FAULTS {
        fault.happens(&mut ctx, &prometheus, || ());
    }
}
