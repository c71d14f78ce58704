//! A front gate for services: who may speak, how often, with what proof, and a record of it.
//!
//! Each module is one of the portcullis crates, behind the feature of its name. Take the crates one by one
//! instead where a short dependency list matters.
//!
//! ```
//! use portcullis::core::Timestamp;
//! use portcullis::lockout::AccountName;
//!
//! assert_eq!(AccountName::parse("  ALICE ")?, AccountName::parse("alice")?);
//! assert_eq!(Timestamp::from_unix_secs(0).to_string(), "1970-01-01T00:00:00.000Z");
//! # Ok::<(), portcullis::lockout::NameError>(())
//! ```
//!
//! | Feature and module | Decides |
//! |---|---|
//! | `core` (always) | nothing: time, secrets, reasons, the store |
//! | `api-key` | whose API key that is, and whether it still counts |
//! | `audit` | what happened, in a tamper-evident log |
//! | `hmac-signing` | whether a request was signed, and comes for the first time |
//! | `ip-list` | whose address a request has, and whether it may call |
//! | `jwt` | whether a token is an access token, now |
//! | `lockout` | whether an account may be tried |
//! | `rate-limit` | whether a caller may ask now, or must wait |
//! | `session` | whether a refresh token is the live one |
//! | `sign-in` | whether a login succeeds |
//! | `store-sqlite` | nothing: the store in one file |
//! | `totp-mfa` | whether a second factor was shown, once |
//! | `tower` | the order of all these in front of a handler |
//!
//! The feature `axum` adds to `tower` a router that serves no route without a policy, and the peer's address
//! from axum's `ConnectInfo<SocketAddr>`; the feature `cookie`, sessions in a cookie for pages; `signature`, the
//! layer for signed requests; `tracing` and `metrics`, a span and counts for each request. RS256 comes with
//! `aws-lc`, or in Rust alone with `rust-crypto`; `jwt` without either does HS256. `full` is all of them but
//! `rust-crypto`.
//!
//! It defines nothing, and no feature changes what another one accepts.
#![forbid(unsafe_code)]

#[cfg(feature = "api-key")]
pub use portcullis_api_key as api_key;
#[cfg(feature = "audit")]
pub use portcullis_audit as audit;
pub use portcullis_core as core;
#[cfg(feature = "hmac-signing")]
pub use portcullis_hmac_signing as hmac_signing;
#[cfg(feature = "ip-list")]
pub use portcullis_ip_list as ip_list;
#[cfg(feature = "jwt")]
pub use portcullis_jwt as jwt;
#[cfg(feature = "lockout")]
pub use portcullis_lockout as lockout;
#[cfg(feature = "rate-limit")]
pub use portcullis_rate_limit as rate_limit;
#[cfg(feature = "session")]
pub use portcullis_session as session;
#[cfg(feature = "sign-in")]
pub use portcullis_sign_in as sign_in;
#[cfg(feature = "store-sqlite")]
pub use portcullis_store_sqlite as store_sqlite;
#[cfg(feature = "totp-mfa")]
pub use portcullis_totp_mfa as totp_mfa;
#[cfg(feature = "tower")]
pub use portcullis_tower as tower;
