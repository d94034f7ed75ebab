//! Where the URL of an engine leads: `scheme://user:password@host:port/path?query`.
//!
//! What a URL may be at all is the business of the engine's driver; here it is only taken apart.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The host and the port in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint<'a> {
    before: &'a str,
    host: &'a str,
    port: u16,
    after: &'a str,
}

impl<'a> Endpoint<'a> {
    /// Where `url` leads; without a port in it, to the usual one of its scheme. None: nobody can tell.
    pub fn of(url: &'a str) -> Option<Self> {
        let (scheme, _) = url.split_once("://")?;
        let from = scheme.len() + "://".len();
        let end = url[from..].find(['/', '?', '#']);
        let to = end.map_or(url.len(), |end| from + end);
        let user = url[from..to].rfind('@');
        let from = user.map_or(from, |at| from + at + 1);
        let authority = &url[from..to];
        // The colons of an address of IPv6 stand in brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, usual_port(scheme)?),
        };
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        (!host.is_empty()).then_some(Self {
            before: &url[..from],
            host,
            port,
            after: &url[to..],
        })
    }

    /// What stands before `://`.
    pub fn scheme(&self) -> &'a str {
        let (scheme, _) = self.before.split_once("://").unwrap_or_default();
        scheme
    }

    /// A name, or an address without brackets.
    pub const fn host(&self) -> &'a str {
        self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is on this machine, as far as the name tells.
    pub fn is_here(&self) -> bool {
        matches!(self.host, "127.0.0.1" | "localhost" | "::1")
    }

    /// An address of the host. A name for both families is mostly served on the older one only, so that one comes
    /// first. Blocks while the name is looked up.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let mut found: Vec<SocketAddr> = (self.host, self.port).to_socket_addrs()?.collect();
        found.sort_by_key(|address| !address.is_ipv4());
        let first = found.first().copied();
        first.ok_or_else(|| io::Error::other("no such host"))
    }

    /// The same URL by way of `another` host and port.
    pub fn by_way_of(&self, another: impl Display) -> String {
        format!("{}{another}{}", self.before, self.after)
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "postgres" | "postgresql" => Some(5432),
        "amqp" => Some(5672),
        "amqps" => Some(5671),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_the_port_are_found_whatever_stands_around_them() {
        for (url, host, port) in [
            ("amqp://guest:se@cret@mq:5673/%2f", "mq", 5673),
            ("postgres://postgres@127.0.0.1/postgres", "127.0.0.1", 5432),
            ("postgresql://db?sslmode=require", "db", 5432),
            ("amqps://mq", "mq", 5671),
            ("amqp://[::1]:1/%2f", "::1", 1),
            ("postgres://user@[::1]/a", "::1", 5432),
            ("http://provider:81/", "provider", 81),
        ] {
            let found = Endpoint::of(url).unwrap();
            assert_eq!((found.host(), found.port()), (host, port), "{url}");
        }
        for wrong in [
            "",
            "mq:5672",
            "amqp://",
            "amqp://mq:port/",
            "http://provider",
        ] {
            assert_eq!(Endpoint::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn another_host_takes_its_place_and_nothing_else_changes() {
        let endpoint = Endpoint::of("amqp://guest:guest@127.0.0.1/%2f?x=1").unwrap();
        assert_eq!(endpoint.scheme(), "amqp");
        assert!(endpoint.is_here());
        assert_eq!(endpoint.address().ok(), "127.0.0.1:5672".parse().ok());
        let proxied = endpoint.by_way_of("127.0.0.1:7");
        assert_eq!(proxied, "amqp://guest:guest@127.0.0.1:7/%2f?x=1");
    }
}
