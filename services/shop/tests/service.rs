//! The `shop` binary at its command line: what cannot be used, what is not there, and what help says.

use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::Duration;
use tokio::time::Instant;

/// The program, without anything from our own environment that it would read.
fn shop(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(args).env_clear();
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("shop runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// An address of this machine at which nobody listens for as long as the listener is kept.
fn deaf() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

#[test]
fn everything_that_cannot_be_used_is_told_at_once_and_nothing_is_bound() {
    let (taken, address) = deaf();
    let (code, out, err) = run(shop(&[
        "payments",
        "--postgres",
        "mysql://db/payments",
        "--routing",
        "direct",
        "--prefix",
        "a b",
        "--batch-max",
        "0",
        "--prefetch",
        "70000",
        "--gather",
        "2s",
        "--statement-timeout",
        "10",
        "--ca",
        "/no/such.pem",
        "--log-filter",
        "payments=loud=er",
    ])
    // What was given wrong in the environment is told beside it.
    .env("SHOP_AMQP", "localhost")
    .env("SHOP_PROVIDER", "https://provider:8004")
    .env("SHOP_WRITERS", "many")
    .env("SHOP_LOG", "xml")
    .env("SHOP_SEED", "-1")
    // It would be exit code 69, were it tried.
    .env("SHOP_LISTEN", &address));
    drop(taken);
    assert_eq!((code, out.as_str()), (64, ""), "{err}");
    insta::assert_snapshot!(err, @r#"
    shop: nothing was started, because these cannot be used:
      --ca (SHOP_CA): /no/such.pem cannot be read: No such file or directory (os error 2)
      --writers (SHOP_WRITERS): must be a whole number from 1 to 64, got "many"
      --statement-timeout (SHOP_STATEMENT_TIMEOUT): must be a whole number with ms, s, m or h, from 100ms to 10m, got "10"
      --postgres (SHOP_POSTGRES): must begin with postgres:// or postgresql://
      --prefix (SHOP_PREFIX): must be at most 64 letters, digits, `.`, `_` and `-`, got "a b"
      --routing (SHOP_ROUTING): must be fanout or topic, got "direct"
      --prefetch (SHOP_PREFETCH): must be a whole number from 1 to 65535, got "70000"
      --amqp (SHOP_AMQP): must begin with amqp:// or amqps://
      --provider (SHOP_PROVIDER): must look like http://host:8004, got "https://provider:8004"
      --batch-max (SHOP_BATCH_MAX): must be a whole number from 1 to 10000, got "0"
      --gather (SHOP_GATHER): must be a whole number with ms, s, m or h, from 0ms to 1s, got "2s"
      --log (SHOP_LOG): must be human or json, got "xml"
      --log-filter (RUST_LOG): must look like info,platform=debug: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
      --seed (SHOP_SEED): must be a whole number, got "-1"
    `shop orders --help` tells what can be used
    "#);
}

#[test]
fn all_needs_a_database_for_each_service_and_four_ports() {
    let (code, _, err) = run(&mut shop(&[
        "all",
        "--postgres",
        "postgres://db/shop",
        "--listen",
        "127.0.0.1:65533",
    ]));
    assert_eq!(code, 64, "{err}");
    insta::assert_snapshot!(err, @r#"
    shop: nothing was started, because these cannot be used:
      --listen (SHOP_LISTEN): the port must be at most 65532: the next three are taken too
      --postgres (SHOP_POSTGRES): must contain {service}: each of the four services needs a database of its own
    `shop orders --help` tells what can be used
    "#);
}

#[test]
fn an_unknown_flag_ends_with_64_and_help_with_0() {
    for args in [&["orders", "--speed", "9"][..], &["sell"], &[]] {
        assert_eq!(run(&mut shop(args)).0, 64, "{args:?}");
    }
    for args in [
        &["--help"][..],
        &["all", "-h"],
        &["help", "orders"],
        &["--version"],
    ] {
        assert_eq!(run(&mut shop(args)).0, 0, "{args:?}");
    }
}

#[test]
fn passwords_in_the_environment_are_not_shown_by_help_or_errors() {
    let (_, out, err) = run(shop(&["orders", "--help"])
        .env("SHOP_POSTGRES", "postgres://shop:secret@db/orders")
        .env("SHOP_AMQP", "amqp://shop:secret@mq"));
    assert!(!format!("{out}{err}").contains("secret"), "{out}{err}");
    let (code, out, err) = run(shop(&["orders"])
        .env("SHOP_POSTGRES", "postgre://shop:secret@db/orders")
        .env("SHOP_AMQP", "http://shop:secret@mq"));
    assert_eq!(code, 64, "{err}");
    assert!(!format!("{out}{err}").contains("secret"), "{out}{err}");
}

#[test]
fn the_help_of_a_service_names_every_flag_its_variable_and_what_it_is_otherwise() {
    let (_, out, _) = run(&mut shop(&["orders", "--help"]));
    insta::assert_snapshot!(out, @r#"
    Takes orders and brings each to its end

    Usage: shop orders [OPTIONS]

    Options:
          --postgres <URL>            The database; {service} stands for the name of the service. Each
                                      service needs one of its own [env: SHOP_POSTGRES] [default:
                                      postgres://postgres@127.0.0.1:5432/{service}]
          --amqp <URL>                The broker, with its virtual host [env: SHOP_AMQP] [default:
                                      amqp://guest:guest@127.0.0.1:5672/%2f]
          --prefix <NAME>             Stands before every name on the broker, so that several shops can
                                      share one [env: SHOP_PREFIX=]
          --routing <HOW>             `fanout` puts every message into every queue, `topic` only into
                                      those that want it [env: SHOP_ROUTING=] [default: fanout]
          --listen <ADDR>             Where to listen; port 0 is any that is free. `all` takes this port
                                      for orders, and the next three for products, payments and provider
                                      [default: 127.0.0.1:8001 for orders and all, :8002 for products,
                                      :8003 for payments, :8004 for provider] [env: SHOP_LISTEN=]
          --provider <URL>            Where payments finds the provider [default: http://127.0.0.1:8004;
                                      with `all` its own] [env: SHOP_PROVIDER=]
          --batch-max <N>             Messages applied in one transaction, at most [env:
                                      SHOP_BATCH_MAX=] [default: 256]
          --gather <TIME>             Under load, how long messages and requests are gathered for one
                                      transaction; 0ms for not at all [env: SHOP_GATHER=] [default:
                                      30ms]
          --prefetch <N>              Messages that the broker hands over before it wants one acked
                                      [env: SHOP_PREFETCH=] [default: 1024]
          --writers <N>               Connections to the database for transactions that write [env:
                                      SHOP_WRITERS=] [default: 2]
          --readers <N>               Connections to the database for transactions that only read [env:
                                      SHOP_READERS=] [default: 4]
          --statement-timeout <TIME>  How long a statement may take [env: SHOP_STATEMENT_TIMEOUT=]
                                      [default: 10s]
          --lock-timeout <TIME>       How long a statement may wait for a lock [env: SHOP_LOCK_TIMEOUT=]
                                      [default: 5s]
          --start-timeout <TIME>      How long to wait for the engines at the start [env:
                                      SHOP_START_TIMEOUT=] [default: 60s]
          --ca <FILE>                 Certificates to trust besides the system's, as a PEM file; for
                                      sslmode=require and amqps [env: SHOP_CA=]
          --log <FORMAT>              What log lines look like: human or json [env: SHOP_LOG=] [default:
                                      human]
          --log-filter <FILTER>       Which log lines are written [env: RUST_LOG=] [default: info]
          --otlp-endpoint <URL>       Where traces go, as OTLP: `http://host:4318`, or
                                      `http://host:4317` with grpc. Without it nothing is recorded [env:
                                      OTEL_EXPORTER_OTLP_ENDPOINT=]
          --otlp-protocol <HOW>       How they travel: http/protobuf or grpc [default: http/protobuf]
                                      [env: OTEL_EXPORTER_OTLP_PROTOCOL=]
          --traces-sampler <NAME>     Which traces are recorded, as OpenTelemetry calls it [default:
                                      parentbased_always_on] [env: OTEL_TRACES_SAMPLER=]
          --traces-sampler-arg <N>    The share of traces for the sampler traceidratio, between 0 and 1
                                      [env: OTEL_TRACES_SAMPLER_ARG=]
      -h, --help                      Print help
    "#);
}

#[test]
fn an_engine_that_is_not_there_ends_it_with_69_when_its_time_is_up() {
    let (_deaf, address) = deaf();
    let began = Instant::now();
    let (code, out, err) = run(&mut shop(&[
        "orders",
        "--listen",
        "127.0.0.1:0",
        "--start-timeout",
        "1s",
        "--postgres",
        &format!("postgres://postgres@{address}/orders"),
    ]));
    assert_eq!((code, out.as_str()), (69, ""), "{err}");
    assert!(began.elapsed() < Duration::from_secs(20), "{err}");
    for part in [
        "orders cannot reach what it needs",
        "--postgres (SHOP_POSTGRES)",
        "--start-timeout (SHOP_START_TIMEOUT)",
    ] {
        assert!(err.contains(part), "{part:?} is missing in {err}");
    }
}

#[test]
fn an_address_that_is_taken_ends_it_with_69_and_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let (code, _, err) = run(&mut shop(&["orders", "--listen", &address]));
    assert_eq!(code, 69, "{err}");
    let said = format!("orders cannot listen on {address}: ");
    assert!(
        err.contains(&said) && err.contains("--listen (SHOP_LISTEN)"),
        "{err}"
    );
}

#[test]
fn health_is_1_when_nobody_answers_and_64_for_what_is_no_url() {
    let free = deaf().1;
    let (code, _, err) = run(&mut shop(&["health", &format!("http://{free}/ready")]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&free), "{err}");
    let (code, _, err) = run(&mut shop(&["health", "orders"]));
    assert_eq!(code, 64, "{err}");
    assert!(
        err.contains("must look like http://127.0.0.1:8001/ready"),
        "{err}"
    );
}
