//! What an error of the driver or of the server means to us.

use crate::store::StoreError;
use std::error::Error;
use tokio_postgres::error::DbError;

/// An error before the commit: nothing is kept.
pub(super) fn store_error(error: &tokio_postgres::Error) -> StoreError {
    let Some(db) = error.as_db_error() else {
        let text = chain(error);
        // A value that cannot be sent or read is the statement's fault; all else is the connection's.
        let is_ours = error
            .source()
            .is_some_and(|source| !source.is::<std::io::Error>())
            && !error.is_closed();
        return if is_ours {
            StoreError::Statement(text)
        } else {
            StoreError::Engine(text)
        };
    };
    let text = text(db);
    let code = db.code().code();
    match code {
        // Serialization failure, deadlock, lock not available, and what follows a statement that failed.
        "40001" | "40P01" | "55P03" | "25P02" => StoreError::Conflict(text),
        // A statement that was cut off: by its time-out, or by somebody who canceled it.
        "57014" | "57P01" | "57P02" | "57P03" | "25P03" => StoreError::Engine(text),
        _ => match &code[..2] {
            "23" => StoreError::Constraint(text),
            "08" | "53" | "58" | "28" | "3D" | "XX" => StoreError::Engine(text),
            _ => StoreError::Statement(text),
        },
    }
}

/// An error of the commit itself. Only where the server says that it has refused, nothing is kept.
pub(super) fn commit_error(error: &tokio_postgres::Error) -> StoreError {
    let is_refusal = error.as_db_error().is_some_and(|db| {
        let code = db.code().code();
        !code.starts_with("57P") && !code.starts_with("08") && !code.starts_with("XX")
    });
    if is_refusal {
        store_error(error)
    } else {
        StoreError::Unknown(chain(error))
    }
}

fn text(db: &DbError) -> String {
    let mut text = format!("{} ({})", db.message(), db.code().code());
    for (name, more) in [("", db.detail()), ("hint: ", db.hint())] {
        if let Some(more) = more {
            text.push_str("; ");
            text.push_str(name);
            text.push_str(more);
        }
    }
    text
}

/// The error with all that it comes from; the driver's own text is only "db error".
fn chain(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return text(db);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
