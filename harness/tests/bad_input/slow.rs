//! Clients that stop in the middle: too slow, half closed, gone. Nothing of what they began may happen.

use crate::scene::{READ_TIMEOUT, Scene};
use crate::wire::{Answer, Request, post, read};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An order that would be good if all of it came.
fn order(scene: &Scene) -> Request {
    post(
        "orders",
        "/api/v1/orders",
        scene.fill(r#"{"items":[$line]}"#),
    )
}

/// A connection to orders on which `bytes` were sent.
async fn begun(scene: &Scene, bytes: &[u8]) -> TcpStream {
    let address = scene.address("orders");
    let mut stream = TcpStream::connect(address).await.expect("the shop listens");
    stream.write_all(bytes).await.expect("the shop reads");
    stream
}

/// Sends `bytes` one at a time until the server has enough of it.
async fn drip(stream: &mut TcpStream, bytes: &[u8]) -> Option<Answer> {
    let (mut reading, mut writing) = stream.split();
    let dripping = async {
        for byte in bytes {
            tokio::time::sleep(READ_TIMEOUT / 10).await;
            if writing.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        answer = read(&mut reading) => answer,
        () = dripping => None,
    }
}

/// All but the last bytes.
fn most(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - 9]
}

fn is_too_slow(answer: Option<Answer>) {
    let answer = answer.expect("a slow body is answered");
    let problem = answer.json();
    assert_eq!(answer.status, 408, "{problem}");
    assert_eq!(problem["type"], "/problems/too-slow");
    assert_eq!(problem["errors"][0]["field"], "body");
}

/// Waits until orders has refused `n` orders with `status`: only then is it done with them.
async fn refused(scene: &Scene, n: f64, status: u16) {
    let series = format!(
        "http_server_request_duration_seconds_count{{http_request_method=\"POST\",\
         http_response_status_code=\"{status}\",http_route=\"/api/v1/orders\"}}"
    );
    let began = Instant::now();
    while scene.metric("orders", &series).await < n {
        let waited = began.elapsed();
        assert!(
            waited < Duration::from_secs(10),
            "no {n} orders were refused with {status}"
        );
    }
}

/// Waits until the only request in work is the one that asks.
async fn nothing_in_work(scene: &Scene) {
    let began = Instant::now();
    while scene.metric("orders", "http_server_active_requests").await > 1.0 {
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(10), "a request is never done");
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_with_408_and_nothing_is_done() {
    let scene = Scene::open().await;
    let (plain, chunked) = (order(&scene), order(&scene).chunked());
    for sent in [
        plain.head(),
        most(&plain.bytes()).to_vec(),
        chunked.head(),
        most(&chunked.bytes()).to_vec(),
    ] {
        let began = Instant::now();
        let mut stream = begun(&scene, &sent).await;
        is_too_slow(read(&mut stream).await);
        assert!(
            began.elapsed() >= READ_TIMEOUT,
            "it had the time it was given"
        );
    }
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_has_no_more_time_than_another() {
    let scene = Scene::open().await;
    let order = order(&scene);
    let mut stream = begun(&scene, &order.head()).await;
    let body = order.bytes().split_off(order.head().len());
    is_too_slow(drip(&mut stream, &body).await);
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn headers_that_stop_coming_close_the_connection_and_nothing_is_done() {
    let scene = Scene::open().await;
    let head = order(&scene).head();
    for sent in [
        &b""[..],
        b"POST",
        &head[..head.len() / 2],
        &head[..head.len() - 1],
    ] {
        let mut stream = begun(&scene, sent).await;
        let answer = read(&mut stream).await;
        assert!(
            answer.is_none_or(|answer| answer.status == 408),
            "after {} bytes",
            sent.len()
        );
    }
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn headers_that_come_byte_by_byte_have_no_more_time_than_others() {
    let scene = Scene::open().await;
    let mut stream = begun(&scene, b"").await;
    let answer = drip(&mut stream, &order(&scene).bytes()).await;
    assert!(answer.is_none_or(|answer| answer.status == 408));
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn a_body_that_is_half_closed_in_the_middle_is_refused() {
    let scene = Scene::open().await;
    for (n, order) in [(1.0, order(&scene)), (2.0, order(&scene).chunked())] {
        let mut stream = begun(&scene, most(&order.bytes())).await;
        stream.shutdown().await.expect("one half closes");
        let answer = read(&mut stream).await.expect("the other half is open");
        let problem = answer.json();
        assert_eq!(answer.status, 400, "{problem}");
        assert_eq!(problem["errors"][0]["field"], "body");
        refused(&scene, n, 400).await;
    }
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn a_client_that_leaves_after_half_a_request_has_done_nothing() {
    let scene = Scene::open().await;
    let order = order(&scene);
    let (head, all) = (order.head(), order.bytes());
    for sent in [&head[..4], &head[..head.len() - 2]] {
        drop(begun(&scene, sent).await);
    }
    for (n, sent) in [
        (1.0, &head[..]),
        (2.0, most(&all)),
        (3.0, &all[..all.len() - 1]),
    ] {
        drop(begun(&scene, sent).await);
        refused(&scene, n, 400).await;
    }
    nothing_in_work(&scene).await;
    scene.ends_unchanged().await;
}

#[tokio::test]
async fn a_connection_that_is_reset_in_the_middle_of_a_body_has_done_nothing() {
    let scene = Scene::open().await;
    let order = order(&scene).with("expect", "100-continue");
    let mut stream = begun(&scene, &order.head()).await;
    let mut go_on = [0; 12];
    stream
        .read_exact(&mut go_on)
        .await
        .expect("the shop wants the body");
    assert_eq!(&go_on, b"HTTP/1.1 100");
    let body = order.bytes().split_off(order.head().len());
    stream.write_all(most(&body)).await.expect("the shop reads");
    stream.set_zero_linger().expect("a reset instead of an end");
    drop(stream);
    nothing_in_work(&scene).await;
    scene.ends_unchanged().await;
}
