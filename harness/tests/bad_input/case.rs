//! One bad request, and the answer that it deserves.

use crate::scene::Scene;
use crate::wire::{Answer, Request};
use serde_json::Value;

/// A row of the tables: what it is, the body or path, the status, the field that is named.
pub type Row = (&'static str, &'static str, u16, &'static str);

/// What a bad request should be answered.
enum Expected {
    /// A problem that names exactly this field.
    Field(&'static str),
    /// A problem that is about no field: there is no such path, or no such method.
    NoField,
    /// Only the status: this is not HTTP, so nobody got to see a request.
    OnlyStatus,
}

/// A bad request.
pub struct Case {
    what: String,
    request: Request,
    status: u16,
    expected: Expected,
}

impl Case {
    /// Refused with a problem that names `field`.
    pub fn names(
        what: impl Into<String>,
        request: Request,
        (status, field): (u16, &'static str),
    ) -> Self {
        Self {
            what: what.into(),
            request,
            status,
            expected: Expected::Field(field),
        }
    }

    /// Refused with a problem that is about no field.
    pub fn tells(what: impl Into<String>, request: Request, status: u16) -> Self {
        Self {
            what: what.into(),
            request,
            status,
            expected: Expected::NoField,
        }
    }

    /// Refused before it is a request.
    pub fn is_not_http(what: impl Into<String>, request: Request, status: u16) -> Self {
        Self {
            what: what.into(),
            request,
            status,
            expected: Expected::OnlyStatus,
        }
    }

    /// Sends the request. Some: what is wrong with the answer.
    pub async fn objection(&self, scene: &Scene) -> Option<String> {
        let answer = scene.send(&self.request).await;
        let objection = match &answer {
            None => Some("no answer".to_owned()),
            Some(answer) => self.judge(answer),
        };
        objection.map(|objection| {
            let service = self.request.service;
            let text = answer.map(|answer| format!("{} {}", answer.status, answer.text()));
            format!(
                "{service}, {}: {objection}; the answer is {text:?}",
                self.what
            )
        })
    }

    fn judge(&self, answer: &Answer) -> Option<String> {
        if answer.status != self.status {
            return Some(format!("should be {}", self.status));
        }
        match self.expected {
            Expected::OnlyStatus => None,
            Expected::NoField => no_problem(answer).or_else(|| {
                let fields = fields(answer);
                (!fields.is_empty()).then(|| format!("is about no field, but names {fields:?}"))
            }),
            Expected::Field(field) => no_problem(answer).or_else(|| {
                let fields = fields(answer);
                (fields != [field]).then(|| format!("should name {field}, but names {fields:?}"))
            }),
        }
    }
}

/// What keeps the answer from being a problem as RFC 9457 has it.
fn no_problem(answer: &Answer) -> Option<String> {
    let problem = answer.json();
    let says = |name: &str| problem[name].as_str().is_some_and(|text| !text.is_empty());
    let kind = problem["type"].as_str().unwrap_or_default();
    let flaws = [
        (
            answer.header("content-type") != Some("application/problem+json"),
            "is not application/problem+json",
        ),
        (!kind.starts_with("/problems/"), "has no type"),
        (
            kind == "/problems/unknown",
            "leaves open whether it was done",
        ),
        (problem["status"] != answer.status, "repeats another status"),
        (
            !says("title") || !says("detail"),
            "does not say what happened",
        ),
        (
            answer.status == 405 && answer.header("allow").is_none(),
            "does not say which methods are allowed",
        ),
    ];
    let flaw = flaws.into_iter().find(|(flawed, _)| *flawed);
    flaw.map(|(_, what)| what.to_owned())
}

/// The fields that a problem names.
fn fields(answer: &Answer) -> Vec<String> {
    let problem = answer.json();
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let named = |error: &Value| {
        let message = error["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "each field has a message: {problem}");
        error["field"].as_str().unwrap_or_default().to_owned()
    };
    errors.iter().map(named).collect()
}
