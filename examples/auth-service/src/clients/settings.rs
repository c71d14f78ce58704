//! Flags for client applications.

use std::time::Duration;

use clap::Args;
use portcullis::api_key::Environment;

/// What client applications sign for, and how long their keys last.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientSettings {
    /// The service's own name: signed requests and clients' own tokens are made for it, and for no other.
    #[arg(
        long,
        env = "PORTCULLIS_AUDIENCE",
        default_value = "auth-service",
        value_name = "NAME"
    )]
    pub audience: String,

    /// Which API keys are taken and given: `live` or `test` ones.
    #[arg(
        long,
        env = "PORTCULLIS_API_KEY_ENVIRONMENT",
        default_value = "live",
        value_name = "live|test"
    )]
    pub api_key_environment: Environment,

    /// For how many days a key of a client counts, before it must be rotated; a warning is shown two weeks
    /// before.
    #[arg(long, env = "PORTCULLIS_KEY_MAX_AGE_DAYS", default_value_t = 90, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(1..=365))]
    pub key_max_age_days: u32,

    /// How long a key that was rotated still counts beside the new one, in seconds: as long as it takes to
    /// bring the new one to every machine.
    #[arg(long, env = "PORTCULLIS_KEY_GRACE_SECS", default_value_t = 86_400, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(0..=604_800))]
    pub key_grace_secs: u64,

    /// How old a signed request may be, in seconds. It may lie ahead by five at most.
    #[arg(long, env = "PORTCULLIS_SIGNATURE_SKEW_SECS", default_value_t = 300, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=900))]
    pub signature_skew_secs: u64,

    /// How many calls as a client application, or as if, one address may make in a window, before any key
    /// is looked at.
    #[arg(long, env = "PORTCULLIS_CLIENT_LIMIT", default_value_t = 1200, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub client_limit: u32,

    /// How many calls a second a client of the tier `standard` may make to one endpoint.
    #[arg(long, env = "PORTCULLIS_STANDARD_PER_SECOND", default_value_t = 1, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub standard_per_second: u32,

    /// How many calls a second a client of the tier `premium` may make to one endpoint.
    #[arg(long, env = "PORTCULLIS_PREMIUM_PER_SECOND", default_value_t = 10, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub premium_per_second: u32,
}

impl ClientSettings {
    /// How long a key that was rotated still counts.
    pub(crate) const fn grace(&self) -> Duration {
        Duration::from_secs(self.key_grace_secs)
    }

    /// How long a key counts.
    pub(crate) const fn max_age(&self) -> Duration {
        Duration::from_secs((self.key_max_age_days as u64).saturating_mul(DAY_SECS))
    }
}

/// How long before its end a key's holder is warned.
pub(crate) const WARNING: Duration = Duration::from_secs(WARNING_DAYS as u64 * DAY_SECS);
pub(crate) const WARNING_DAYS: u32 = 14;
pub(crate) const DAY_SECS: u64 = 24 * 3600;
