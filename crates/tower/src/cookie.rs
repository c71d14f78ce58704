//! Sessions in a cookie, for pages that a browser loads.
//!
//! One file, one part: the [`site`] the pages belong to, the [`token`]s, what a [`request`] from
//! another site looks like, the [`form`] that carries a token, the [`change`] of the cookie at sign-in
//! and sign-out, the [`guard`] that puts them in order, its [`layer`], and the [`headers`] of pages.

mod change;
mod error;
pub(crate) mod form;
mod guard;
mod headers;
mod layer;
pub(crate) mod request;
mod site;
pub(crate) mod token;

pub use change::CookieChange;
pub use error::CookieError;
pub use headers::{SecurityHeadersLayer, SecurityHeadersService};
pub use layer::{CookieSessionLayer, CookieSessionService};
pub use site::Site;
pub use token::CsrfToken;
