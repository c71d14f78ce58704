//! What every primitive does to a request head: admit it with a pass, or refuse it.

use std::fmt;
use std::future::Future;

use http::{request, response};
use portcullis_core::Timestamp;

use crate::Refusal;

/// Admits a request or refuses it, by its head alone.
///
/// What a gate has proved it leaves in `head.extensions` as a type that only the proving crate can
/// make. A gate that admits wrongly opens everything behind it; one that refuses wrongly costs its
/// caller a retry: when unsure, refuse.
///
/// The future may be dropped at any await, when a client hangs up: nothing may be lost by it.
pub trait Gate: Clone + Send + Sync + 'static {
    /// What is held while the request is answered, and dropped after the response's body.
    type Pass: Pass;

    /// Decides on the request that arrived at `now`.
    ///
    /// # Errors
    /// The [`Refusal`] that becomes the response.
    fn admit(
        &self,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Pass, Refusal>> + Send;

    /// Says in words what it asks for, for tables of routes: `bearer token of a live session`. By default
    /// the name of its type. No secret, and nothing of a request.
    ///
    /// # Errors
    /// Those of the formatter.
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name(std::any::type_name::<Self>()))
    }
}

/// The type's own name, without its path and its parameters.
fn type_name(whole: &str) -> &str {
    let bare = whole.split_once('<').map_or(whole, |(name, _)| name);
    match bare.rsplit_once("::").map_or(bare, |(_, name)| name) {
        // Of a type inside a trait's function: its path begins with `<`.
        "" => whole,
        name => name,
    }
}

/// Held from admission until the response's body is gone: permits in flight, headers to add.
pub trait Pass: Send + 'static {
    /// Adds what the gate has to say to a response of the handler, or to the refusal of a gate behind
    /// it: of a refusal the status is set, and headers it does not have of its own are kept.
    fn settle(&mut self, head: &mut response::Parts);
}

/// The pass of a gate that holds nothing and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Admitted;

impl Pass for Admitted {
    fn settle(&mut self, _head: &mut response::Parts) {}
}

/// Two gates, one behind the other: the second sees what the first left, and only if it admitted.
/// Its refusal carries what the first one's pass has to say, such as how much of a limit is left.
#[derive(Clone, Debug)]
pub struct Both<A, B>(pub(crate) A, pub(crate) B);

impl<A: Gate, B: Gate> Gate for Both<A, B> {
    type Pass = (A::Pass, B::Pass);

    async fn admit(
        &self,
        head: &mut request::Parts,
        now: Timestamp,
    ) -> Result<Self::Pass, Refusal> {
        let mut first = self.0.admit(head, now).await?;
        match self.1.admit(head, now).await {
            Ok(second) => Ok((first, second)),
            Err(refusal) => Err(refusal.after(&mut first)),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f)?;
        f.write_str("; ")?;
        self.1.describe(f)
    }
}

impl<A: Pass, B: Pass> Pass for (A, B) {
    fn settle(&mut self, head: &mut response::Parts) {
        self.1.settle(head);
        self.0.settle(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_says_nothing_of_itself_is_called_by_the_name_of_its_type() {
        let cases = [
            ("shop::gates::ClerkGate", "ClerkGate"),
            ("shop::Only<core::option::Option<u8>>", "Only"),
            ("Bare", "Bare"),
        ];
        for (whole, name) in cases {
            assert_eq!(type_name(whole), name);
        }
        let inside = Shop.to_string();
        assert!(type_name(&inside).ends_with("InsideGate"), "{inside}");
    }

    struct Shop;

    impl fmt::Display for Shop {
        /// A type whose path begins with a parameter.
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            struct InsideGate;
            f.write_str(std::any::type_name::<InsideGate>())
        }
    }
}
