//! TLS, when the URL asks for it.
//!
//! `sslmode=require`, `verify-ca` and `verify-full` are the same here: the certificate must come from somebody whom
//! the system or the `ca` file trusts, and must be for the host of the URL. To encrypt without looking at whom one
//! talks to is not on offer. `disable`, `allow`, `prefer` and no `sslmode` mean no TLS.

use crate::store::{Result, StoreError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Takes `sslmode` out of `url`: what is left, and whether TLS is asked for.
pub(super) fn split(url: &str) -> Result<(String, bool)> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), false));
    };
    let mut wanted = false;
    let mut rest = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", "disable" | "allow" | "prefer")) => wanted = false,
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => wanted = true,
            Some(("sslmode", other)) => {
                return Err(StoreError::Statement(format!(
                    "sslmode={other} is not known: say disable, require or verify-full"
                )));
            }
            Some(("sslrootcert", _)) => {
                return Err(StoreError::Statement(
                    "sslrootcert is not read from the URL: give the file as the setting `ca`"
                        .to_owned(),
                ));
            }
            _ => rest.push(pair),
        }
    }
    let mode = if wanted { "require" } else { "disable" };
    let mode = format!("sslmode={mode}");
    rest.push(&mode);
    Ok((format!("{base}?{}", rest.join("&")), wanted))
}

/// Trusts the system's certificates, and those in the file `ca`.
pub(super) fn connector(ca: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore::empty();
    // Some of the system's may not be readable; the others do.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca {
        let wrong = |error: &dyn std::fmt::Display| {
            StoreError::Statement(format!("ca: {}: {error}", path.display()))
        };
        let found = CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))?;
        let mut n = 0;
        for certificate in found {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
            n += 1;
        }
        if n == 0 {
            return Err(wrong(&"there is no certificate in it"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Statement(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
