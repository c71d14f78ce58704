//! The Rust that stands in the documents, compiled, and run where it can be:
//! `cargo test -p portcullis-examples --doc`.
//!
//! The library is empty otherwise. A document with a Rust block and without a line here fails
//! `crates/portcullis/tests/documents.rs`.
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../docs/add-a-primitive.md")]
struct AddAPrimitive;

#[cfg(doctest)]
#[doc = include_str!("../../docs/incidents.md")]
struct Incidents;

#[cfg(doctest)]
#[doc = include_str!("../../docs/key-rotation.md")]
struct KeyRotation;

#[cfg(doctest)]
#[doc = include_str!("../../docs/migration.md")]
struct Migration;

#[cfg(doctest)]
#[doc = include_str!("../../docs/write-a-store.md")]
struct WriteAStore;
