//! A gate that is a plain function.

use std::fmt;

use http::request;
use portcullis_core::Timestamp;

use crate::{Admitted, Gate, Refusal};

/// Admits what `decide` admits: roles, content types, what an application knows of its callers.
///
/// ```
/// use http::request::Parts;
/// use portcullis_core::{Reason, Timestamp};
/// use portcullis_tower::{Check, Refusal};
///
/// let json_only = Check::new(|head: &mut Parts, _now: Timestamp| {
///     match head.headers.get("content-type") {
///         Some(kind) if kind == "application/json" => Ok(()),
///         _ => Err(Refusal::new(Reason::BadRequest)),
///     }
/// });
/// # let _ = json_only;
/// ```
#[derive(Clone)]
pub struct Check<F> {
    decide: F,
    words: &'static str,
}

impl<F> Check<F>
where
    F: Fn(&mut request::Parts, Timestamp) -> Result<(), Refusal> + Clone + Send + Sync + 'static,
{
    /// A gate that calls `decide`.
    pub const fn new(decide: F) -> Self {
        Self {
            decide,
            words: "a check of the service's own",
        }
    }

    /// Says in a table of routes what it asks for: `role: clerk`.
    #[must_use]
    pub fn named(mut self, words: &'static str) -> Self {
        self.words = words;
        self
    }
}

impl<F> fmt::Debug for Check<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

impl<F> Gate for Check<F>
where
    F: Fn(&mut request::Parts, Timestamp) -> Result<(), Refusal> + Clone + Send + Sync + 'static,
{
    type Pass = Admitted;

    async fn admit(&self, head: &mut request::Parts, now: Timestamp) -> Result<Admitted, Refusal> {
        (self.decide)(head, now).map(|()| Admitted)
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words)
    }
}
