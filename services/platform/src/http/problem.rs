//! Errors as RFC 9457 problem+json: what happened, in which field, and whether anything was done.

use crate::Error;
use crate::store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// A field of the request that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// Path in the body (`items[1].productId`), or the name of a parameter or header.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

/// A problem+json body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Problem {
    /// What kind of problem, as a relative URI.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// This case in words.
    pub detail: String,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    fn with_field(mut self, field: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(FieldError {
            field: field.into(),
            message: message.into(),
        });
        self
    }

    /// 400: the request cannot be read (JSON that does not parse, a body that ends early).
    pub fn unreadable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/unreadable",
            "The request cannot be read",
            detail,
        )
        .with_field("body", "must be complete, valid JSON in UTF-8")
    }

    /// 400: a parameter or header is not as it should be.
    pub fn parameter(name: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = format!("{name}: {message}");
        Self::new(
            StatusCode::BAD_REQUEST,
            "/problems/parameter",
            "A parameter is not valid",
            detail,
        )
        .with_field(name, message)
    }

    /// 422: the body is JSON, but a field is not as it should be.
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = format!("{field}: {message}");
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "/problems/invalid-body",
            "A field is not valid",
            detail,
        )
        .with_field(field, message)
    }

    /// 404: there is nothing with this id.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        let detail = format!("there is no {what} {id}");
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/not-found",
            "Not found",
            detail,
        )
        .with_field("id", format!("must name an existing {what}"))
    }

    /// 404: there is no such path.
    pub fn no_route(path: &str) -> Self {
        let detail = format!("nothing is served at {path}; GET /api/v1/openapi.json lists what is");
        Self::new(
            StatusCode::NOT_FOUND,
            "/problems/no-route",
            "Not found",
            detail,
        )
    }

    /// 405: the path exists, for other methods.
    pub fn method(method: &str, path: &str) -> Self {
        let detail =
            format!("{path} does not take {method}; GET /api/v1/openapi.json tells what it takes");
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "/problems/method",
            "Method not allowed",
            detail,
        )
    }

    /// 408: the client was too slow in sending its request. Nothing was done.
    pub fn too_slow() -> Self {
        let detail = "the body did not arrive in time; nothing was done";
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "/problems/too-slow",
            "The request came too slowly",
            detail,
        )
        .with_field("body", "must arrive in time")
    }

    /// 409: the request does not fit the state that things are in.
    pub fn conflict(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(
            StatusCode::CONFLICT,
            "/problems/conflict",
            "The state does not allow this",
            message.clone(),
        )
        .with_field(field, message)
    }

    /// 413: the body is larger than `max` bytes.
    pub fn too_large(max: usize) -> Self {
        let detail = format!("the body may have at most {max} bytes");
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "/problems/too-large",
            "The body is too large",
            detail.clone(),
        )
        .with_field("body", detail)
    }

    /// 415: the body is not declared as JSON.
    pub fn media_type(found: &str) -> Self {
        let detail = format!("content-type must be application/json, got {found:?}");
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "/problems/media-type",
            "Not a JSON body",
            detail.clone(),
        )
        .with_field("content-type", detail)
    }

    /// 422: the Idempotency-Key was used for another request.
    pub fn key_reused() -> Self {
        let detail = "this Idempotency-Key was sent before with another request; use a new key for a new request";
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "/problems/key-reused",
            "Idempotency-Key used before",
            detail,
        )
        .with_field("Idempotency-Key", detail)
    }

    /// 503: too much is going on. Sent before any effect: nothing was done.
    pub fn overloaded() -> Self {
        let detail = "too many requests are in work; nothing was done, try again after a pause";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "/problems/overloaded",
            "Overloaded",
            detail,
        )
    }

    /// 503: the database failed before anything was kept: nothing was done.
    pub fn outage() -> Self {
        let detail = "the database does not work; nothing was done, ask again after a pause, with the same Idempotency-Key";
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "/problems/outage",
            "The database does not work",
            detail,
        )
    }

    /// 503: the service does not have what it needs at the moment. Only for reads: nothing was done.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "/problems/unavailable",
            "Not available now",
            detail,
        )
    }

    /// 504: no answer in time. It may have happened.
    pub fn timed_out() -> Self {
        let detail =
            "no answer in time; it may have happened: ask again with the same Idempotency-Key";
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "/problems/unknown",
            "The outcome is not known",
            detail,
        )
    }

    /// 500: something failed in here. It may have happened.
    pub fn unknown() -> Self {
        let detail =
            "something failed; it may have happened: ask again with the same Idempotency-Key";
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "/problems/unknown",
            "The outcome is not known",
            detail,
        )
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => problem.into_response(),
            // Nothing of the transaction is kept, and no handler has more than one that writes.
            Self::Store(StoreError::Engine(why)) => {
                tracing::warn!(why, "a request met an outage of the database");
                Problem::outage().into_response()
            }
            error => {
                tracing::error!(%error, "a request failed");
                Problem::unknown().into_response()
            }
        }
    }
}
