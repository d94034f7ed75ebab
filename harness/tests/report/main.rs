//! What a run says in the end, as people, programs and CI read it, from findings and evidence made by hand.

mod exit;
mod junit;
mod kit;
mod schema;
mod text;
mod timeline;
