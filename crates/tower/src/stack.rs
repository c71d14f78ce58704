//! The gates in the one safe order: address, limit, token, step-up, handler.

use std::fmt;
use std::marker::PhantomData;

use portcullis_core::Clock;

use crate::respond::Speaks;
use crate::{AddressGate, Both, Gate, GateLayer, LimitGate};

/// Builds a layer whose gates stand in the safe order; another order does not compile.
///
/// Cheap refusals come first, and what costs a signature or a look-up is behind the limit: an
/// address that may not call is never counted, a flood never reaches a verification, and nobody is
/// asked for more proof before the first one holds. Any stage may be left out; none may come twice
/// out of turn.
///
/// ```compile_fail
/// # use portcullis_tower::{AddressGate, LimitGate, Stack};
/// # fn wrong(address: AddressGate, limit: LimitGate, token: AddressGate) {
/// // A limit behind the token would let a flood verify signatures: there is no such method.
/// let stack = Stack::new(address).token(token).limit(limit);
/// # }
/// ```
pub struct Stack<Stage, G> {
    gate: G,
    speaks: Speaks,
    stage: PhantomData<fn() -> Stage>,
}

/// The address has been checked; a limit, a token or checks may follow.
#[derive(Debug)]
pub enum AddressFirst {}
/// The limits have been put; a token or checks may follow.
#[derive(Debug)]
pub enum ThenLimit {}
/// The token gate has been put; checks may follow.
#[derive(Debug)]
pub enum ThenToken {}
/// A check has been put; more checks may follow.
#[derive(Debug)]
pub enum ThenCheck {}

/// Stages after which a limit may stand.
pub trait BeforeLimit {}
impl BeforeLimit for AddressFirst {}

/// Stages after which a token gate may stand.
pub trait BeforeToken {}
impl BeforeToken for AddressFirst {}
impl BeforeToken for ThenLimit {}

impl Stack<AddressFirst, AddressGate> {
    /// Begins with the client's address: everything behind it counts and audits by that address.
    #[must_use]
    pub fn new(address: AddressGate) -> Self {
        Self::with(address, Speaks::Http)
    }
}

impl<Stage, G> Stack<Stage, G> {
    fn with(gate: G, speaks: Speaks) -> Self {
        Self {
            gate,
            speaks,
            stage: PhantomData,
        }
    }

    /// Tells that gRPC is served behind it, as [`GateLayer::speaks_grpc`] does, with the same hazard.
    #[must_use]
    pub fn speaks_grpc(self) -> Self {
        let speaks = Speaks::Grpc;
        Self { speaks, ..self }
    }
}

impl<Stage: BeforeLimit, G: Gate> Stack<Stage, G> {
    /// The limits, by default of the client's address; several in one gate ([`LimitGate::and`]).
    #[must_use]
    pub fn limit(self, limit: LimitGate) -> Stack<ThenLimit, Both<G, LimitGate>> {
        Stack::with(Both(self.gate, limit), self.speaks)
    }
}

impl<Stage: BeforeToken, G: Gate> Stack<Stage, G> {
    /// The gate that proves who calls: [`crate::BearerGate`] or one of your own.
    #[must_use]
    pub fn token<T: Gate>(self, token: T) -> Stack<ThenToken, Both<G, T>> {
        Stack::with(Both(self.gate, token), self.speaks)
    }
}

impl<Stage, G: Gate> Stack<Stage, G> {
    /// What the caller must be or have shown beyond that: roles, a recent second factor.
    #[must_use]
    pub fn check<T: Gate>(self, check: T) -> Stack<ThenCheck, Both<G, T>> {
        Stack::with(Both(self.gate, check), self.speaks)
    }

    /// The layer, with the clock for requests that carry no [`crate::Arrival`].
    #[must_use]
    pub fn layer(self, clock: impl Clock) -> GateLayer<G> {
        GateLayer::new(self.gate, clock).speaking(self.speaks)
    }
}

impl<Stage, G: Gate> fmt::Display for Stack<Stage, G> {
    /// What its gates ask for, in their order.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.gate.describe(f)
    }
}

impl<Stage, G: Clone> Clone for Stack<Stage, G> {
    fn clone(&self) -> Self {
        Self::with(self.gate.clone(), self.speaks)
    }
}

impl<Stage, G: fmt::Debug> fmt::Debug for Stack<Stage, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stack").field(&self.gate).finish()
    }
}
