//! One builder for routes and their documentation: what is served and what OpenAPI says cannot drift apart.

use super::{FieldError, Problem, list::Page, shell, standard};
use crate::Context;
use axum::Router;
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::routing::{MethodFilter, MethodRouter};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Makes the schema of a body.
type Schema = fn(&mut SchemaGenerator) -> Value;

/// The documentation of one operation.
pub struct Doc {
    summary: &'static str,
    parameters: Vec<(&'static str, &'static str, &'static str)>,
    takes: Option<Schema>,
    gives: Vec<(u16, &'static str, Option<Schema>)>,
    waits: bool,
}

impl Doc {
    /// An operation that does what `summary` says.
    pub fn new(summary: &'static str) -> Self {
        Self {
            summary,
            parameters: Vec::new(),
            takes: None,
            gives: Vec::new(),
            waits: false,
        }
    }

    /// It takes a JSON body.
    pub fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(|schemas| schemas.subschema_for::<T>().to_value());
        self
    }

    /// It takes an Idempotency-Key.
    pub fn keyed(self) -> Self {
        self.header(
            "Idempotency-Key",
            "the same key and body give the same reply; kept for 24 hours",
        )
    }

    /// It answers `status` with a JSON body.
    pub fn gives<T: JsonSchema>(mut self, status: u16, what: &'static str) -> Self {
        self.gives.push((
            status,
            what,
            Some(|schemas| schemas.subschema_for::<T>().to_value()),
        ));
        self
    }

    /// It answers `status`.
    pub fn answers(mut self, status: u16, what: &'static str) -> Self {
        self.gives.push((status, what, None));
        self
    }

    /// It answers with a list of `T`: a page, or NDJSON when asked for.
    pub fn lists<T: JsonSchema>(self) -> Self {
        self.query("after", "the key after which the page begins")
            .query(
                "limit",
                "at most this many items, 1 to 1000; 50 if not given",
            )
            .gives::<Page<T>>(
                200,
                "a page; with Accept: application/x-ndjson everything, one item a line",
            )
    }

    /// It has a query parameter.
    pub fn query(mut self, name: &'static str, what: &'static str) -> Self {
        self.parameters.push(("query", name, what));
        self
    }

    fn header(mut self, name: &'static str, what: &'static str) -> Self {
        self.parameters.push(("header", name, what));
        self
    }

    /// It may take longer than other requests, because it waits for something and bounds itself.
    pub fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

/// Routes with their documentation.
pub struct Api {
    service: &'static str,
    router: Router<Context>,
    operations: Vec<(Method, &'static str, Doc)>,
    limits: Arc<shell::Limits>,
    ctx: Context,
}

/// Where everything but `/health`, `/ready` and `/metrics` lives.
const BASE: &str = "/api/v1";

impl Api {
    /// The endpoints that every service has.
    pub fn new(ctx: &Context) -> Self {
        let empty = Self {
            service: ctx.service(),
            router: Router::new(),
            operations: Vec::new(),
            limits: Arc::new(shell::Limits::new(ctx.settings())),
            ctx: ctx.clone(),
        };
        standard::add(empty)
    }

    /// `GET path`
    pub fn get<H, T>(self, path: &'static str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::GET, path, handler, doc)
    }

    /// `POST path`
    pub fn post<H, T>(self, path: &'static str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::POST, path, handler, doc)
    }

    /// `PUT path`
    pub fn put<H, T>(self, path: &'static str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::PUT, path, handler, doc)
    }

    /// `DELETE path`
    pub fn delete<H, T>(self, path: &'static str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        self.on(Method::DELETE, path, handler, doc)
    }

    fn on<H, T>(mut self, method: Method, path: &'static str, handler: H, doc: Doc) -> Self
    where
        H: Handler<T, Context>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("one of the four methods above");
        let shell = shell::Shell {
            ctx: self.ctx.clone(),
            limits: Arc::clone(&self.limits),
            route: path,
            waits: doc.waits,
        };
        let route = MethodRouter::new()
            .on(filter, handler)
            .layer(axum::middleware::from_fn_with_state(shell, shell::around));
        self.router = self.router.route(path, route);
        self.operations.push((method, path, doc));
        self
    }

    /// The router; `GET /api/v1/openapi.json` describes it.
    pub(crate) fn into_router(self, ctx: &Context) -> Router {
        let document: Arc<str> = self.openapi().to_string().into();
        let no_method =
            |method: Method, uri: Uri| async move { Problem::method(method.as_str(), uri.path()) };
        self.router
            .route(
                "/api/v1/openapi.json",
                axum::routing::get(move || {
                    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
                    async move { (json, document.to_string()) }
                }),
            )
            .fallback(|uri: Uri| async move { Problem::no_route(uri.path()) })
            .method_not_allowed_fallback(no_method)
            .with_state(ctx.clone())
    }

    fn openapi(&self) -> Value {
        // OpenAPI 3.1 takes JSON Schema as it is; the settings that are called openapi3 are those of 3.0.
        let mut schemas = SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into())
            .into_generator();
        let problem = schemas.subschema_for::<Problem>().to_value();
        schemas.subschema_for::<FieldError>();
        let mut paths = Map::new();
        for (method, path, doc) in &self.operations {
            let entry = paths.entry(*path).or_insert_with(|| json!({}));
            entry[method.as_str().to_lowercase()] = operation(path, doc, &mut schemas, &problem);
        }
        let about = "This document";
        paths.insert(
            format!("{BASE}/openapi.json"),
            json!({ "get": { "summary": about, "responses": { "200": { "description": about } } } }),
        );
        json!({
            "openapi": "3.1.0",
            "info": { "title": format!("crashcart {}", self.service), "version": env!("CARGO_PKG_VERSION") },
            "paths": paths,
            "components": { "schemas": schemas.take_definitions(true) },
        })
    }
}

fn operation(path: &str, doc: &Doc, schemas: &mut SchemaGenerator, problem: &Value) -> Value {
    let text = json!({ "type": "string" });
    let mut parameters: Vec<Value> = doc
        .parameters
        .iter()
        .map(|(place, name, what)| json!({ "in": place, "name": name, "description": what, "schema": text }))
        .collect();
    if path.contains("{id}") {
        parameters.push(json!({ "in": "path", "name": "id", "required": true, "schema": text }));
    }
    let mut responses = Map::new();
    for (status, what, schema) in &doc.gives {
        let mut response = json!({ "description": what });
        if let Some(schema) = schema {
            response["content"] = json!({ "application/json": { "schema": schema(schemas) } });
        }
        responses.insert(status.to_string(), response);
    }
    responses.insert(
        "default".to_owned(),
        json!({ "description": "a problem", "content": { "application/problem+json": { "schema": problem } } }),
    );
    let mut operation =
        json!({ "summary": doc.summary, "parameters": parameters, "responses": responses });
    if let Some(takes) = doc.takes {
        let schema = takes(schemas);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}
