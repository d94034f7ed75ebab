//! `shop health`: asks whether a service is ready. Images have no other client.

use super::args::HealthArgs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// So much of the answer is read.
const ANSWER_BYTES_MAX: u64 = 16 * 1_024;

/// 0 for an answer of 200, 1 for all others, 64 for an address that cannot be asked.
pub(super) fn main(args: &HealthArgs) -> ExitCode {
    let Some((authority, path)) = parts(&args.url) else {
        eprintln!(
            "shop health: the URL must look like http://127.0.0.1:8001/ready, got {:?}",
            args.url
        );
        return ExitCode::from(super::USAGE);
    };
    match ask(authority, path) {
        Ok(answer) => {
            let status = answer.split(' ').nth(1).unwrap_or_default();
            let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
            // Whoever closes standard output early wants to hear no more, and still gets the exit code.
            let _ = writeln!(std::io::stdout(), "{}", body.trim());
            ExitCode::from(u8::from(status != "200"))
        }
        Err(error) => {
            eprintln!("shop health: {}: {error}", args.url);
            ExitCode::from(1)
        }
    }
}

fn parts(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(slash);
    let is_whole = authority.contains(':') && !url.contains(char::is_whitespace);
    is_whole.then_some((authority, if path.is_empty() { "/" } else { path }))
}

fn ask(authority: &str, path: &str) -> std::io::Result<String> {
    let address = authority.to_socket_addrs()?.next();
    let address = address.ok_or_else(|| std::io::Error::other("no such host"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
