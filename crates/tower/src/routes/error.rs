//! What is wrong with a set of routes, found before the first request.

use std::fmt;

/// Why a set of routes is not served: every fault of it, one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RoutesError {
    faults: Vec<RouteFault>,
}

impl RoutesError {
    pub(super) const fn new(faults: Vec<RouteFault>) -> Self {
        Self { faults }
    }

    /// Each fault, in the order of the routes.
    #[must_use]
    pub fn faults(&self) -> &[RouteFault] {
        &self.faults
    }
}

impl fmt::Display for RoutesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the routes are not served:")?;
        self.faults
            .iter()
            .try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// What is wrong with one route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteFault {
    /// No policy was named for it.
    #[error("{methods} {path} has no policy")]
    Uncovered {
        /// Its methods, as in the table.
        methods: String,
        /// Its path.
        path: String,
    },
    /// No policy was named for a router whose routes nobody can list.
    #[error("the router at {at} has no policy")]
    RouterUncovered {
        /// Where it was put.
        at: String,
    },
    /// Its policy does not say in words what it is: an [`crate::Open`] without a reason, a gate that
    /// describes itself as nothing.
    #[error("{path} has a policy that gives no reason")]
    Unsaid {
        /// Its path.
        path: String,
    },
    /// The path has that method already.
    #[error("{method} {path} is there twice")]
    Twice {
        /// The method; `any other` for what answers to methods that are not named.
        method: String,
        /// The path.
        path: String,
    },
    /// The path is none that a router takes, or one that another path cannot be told from.
    #[error("the path {path:?} cannot be routed: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// No method was given for the path.
    #[error("{path} takes no method")]
    NoMethod {
        /// The path.
        path: String,
    },
    /// A router without any route.
    #[error("the router at {at} has no routes")]
    NoRoutes {
        /// Where it was put.
        at: String,
    },
    /// The answers to what is no route were named twice, or by routes that are not the outermost.
    #[error("what answers elsewhere is named twice, or inside routes that were nested or merged")]
    ElsewhereTwice,
}
