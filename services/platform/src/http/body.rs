//! Parse at the edge: what a request brings, checked once, with the field named when it does not fit.

use super::{Problem, strict::Strict};
use crate::idempotency::Key;
use crate::{Context, Result, Trace, idempotency, planted, store::Tx};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use contract::Bug;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use std::str::FromStr;

/// A JSON body of type `T`, with the trace and the Idempotency-Key that it came with.
pub struct Body<T> {
    /// The body.
    pub value: T,
    /// The trace of the request.
    pub trace: Trace,
    /// The client's key, if it sent one.
    pub key: Option<Key>,
}

impl<T> FromRequest<Context> for Body<T>
where
    T: DeserializeOwned + Serialize,
{
    type Rejection = Problem;

    async fn from_request(request: Request, ctx: &Context) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let asked = Asked::from_request_parts(&mut parts, ctx).await?;
        check_media_type(&parts.headers)?;
        let (max, patience) = (ctx.settings().body_bytes_max, ctx.settings().read_timeout);
        let declared = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok());
        if declared.is_some_and(|length: usize| length > max) {
            return Err(Problem::too_large(max));
        }
        let bytes = match tokio::time::timeout(patience, Limited::new(body, max).collect()).await {
            Err(_) => return Err(Problem::too_slow()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Err(Problem::too_large(max));
            }
            Ok(Err(_)) => return Err(Problem::unreadable("the body ended before it was complete")),
            Ok(Ok(collected)) => collected.to_bytes(),
        };
        let value: T = parse(&bytes)?;
        let key = asked.key.map(|key| {
            // The parsed body, not its bytes: white space and field order make no other request.
            let mut canonical = serde_json::to_vec(&value).unwrap_or_default();
            if planted!(ctx, Bug::KeyForAnyBody) {
                canonical.clear();
            }
            Key::new(key, parts.uri.path(), &canonical)
        });
        Ok(Self {
            value,
            trace: asked.trace,
            key,
        })
    }
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let found = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    let essence = found.split(';').next().unwrap_or("").trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        Ok(())
    } else {
        Err(Problem::media_type(found))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::unreadable(format!("not UTF-8: {error}")))?;
    let mut parser = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(Strict(&mut parser)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // A number too large for any type is good JSON; it is the field that cannot take it.
        if inner.is_data() || inner.to_string().starts_with("number out of range") {
            invalid(&path, &inner)
        } else {
            Problem::unreadable(inner.to_string())
        }
    })?;
    parser
        .end()
        .map_err(|error| Problem::unreadable(error.to_string()))?;
    Ok(value)
}

/// The parser's words with the field at fault; a missing or repeated field is named itself, not its parent.
fn invalid(path: &str, error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    let parent = if path == "." { "" } else { path };
    let child = |what: &str| message.strip_prefix(what)?.strip_suffix('`');
    let named = |child: &str| match parent {
        "" => child.to_owned(),
        parent => format!("{parent}.{child}"),
    };
    if let Some(field) = child("missing field `") {
        Problem::invalid(&named(field), "is required")
    } else if let Some(field) = child("duplicate field `") {
        Problem::invalid(&named(field), "stands there more than once")
    } else if parent.is_empty() {
        Problem::invalid("body", message)
    } else {
        Problem::invalid(parent, message)
    }
}

/// What the headers of a request say.
pub struct Asked {
    /// The trace that the request continues, or a new one.
    pub trace: Trace,
    /// The Idempotency-Key.
    pub key: Option<String>,
}

impl FromRequestParts<Context> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Problem> {
        let trace = parts.extensions.get::<Trace>().cloned();
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let key = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(value), None) => Some(check_key(value.as_bytes())?),
            (Some(_), Some(_)) => {
                return Err(Problem::parameter("Idempotency-Key", "must be sent once"));
            }
        };
        Ok(Self {
            trace: trace.unwrap_or_else(|| ctx.new_trace()),
            key,
        })
    }
}

fn check_key(value: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(value).ok().filter(|text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
    });
    let what = "must be 1 to 255 visible ASCII characters without spaces";
    text.map(str::to_owned)
        .ok_or_else(|| Problem::parameter("Idempotency-Key", what))
}

/// The query string. Every parameter is an optional text; the handler says what it may hold.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Context> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, ctx).await;
        query.map(|Query(params)| Self(params)).map_err(|error| {
            // Texts take whatever there is, so this is: duplicate field `limit`, or: unknown field `limits`.
            let text = error.body_text();
            let name = text.split('`').nth(1).unwrap_or("query");
            let unknown = text.contains("unknown field");
            let what = if unknown {
                "is not a parameter here"
            } else {
                "must not stand there more than once"
            };
            Problem::parameter(name, what)
        })
    }
}

/// The `{id}` in the path.
pub struct Id<T>(pub T);

impl<T: FromStr> FromRequestParts<Context> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, ctx).await;
        let id = text.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self)
            .ok_or_else(|| Problem::parameter("id", "must be a UUID"))
    }
}

/// A reply that can be kept under an Idempotency-Key and given again, letter by letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// JSON.
    pub body: String,
}

impl Reply {
    /// 201 with the new thing and where to find it.
    pub fn created(location: String, body: &impl Serialize) -> Self {
        Self {
            location: Some(location),
            ..Self::json(StatusCode::CREATED, body)
        }
    }

    /// A reply with a JSON body.
    pub fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self {
            status: status.as_u16(),
            location: None,
            body: serde_json::to_string(body)
                .expect("bodies hold only strings, integers and lists of them"),
        }
    }

    /// A reply whose body is not known before the work is done; see [`crate::idempotency::fill`].
    pub fn open(status: StatusCode) -> Self {
        Self {
            status: status.as_u16(),
            location: None,
            body: String::new(),
        }
    }

    /// Claims `key` for this reply: none means go on, some is the reply to give instead.
    pub async fn claim(&self, tx: &dyn Tx, key: Option<&Key>, now_us: i64) -> Result<Option<Self>> {
        match key {
            Some(key) => idempotency::claim(tx, key, self, now_us).await,
            None => Ok(None),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let json = [(header::CONTENT_TYPE, "application/json")];
        match self.location {
            Some(location) => {
                (status, json, [(header::LOCATION, location)], self.body).into_response()
            }
            None => (status, json, self.body).into_response(),
        }
    }
}
