//! Flags and environment.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::clients::settings::ClientSettings;

/// A front gate: login, refresh, lockouts and audit, on one SQLite file.
///
/// On its first start it makes the data folder, a root key in a file of its own, and a first
/// administrator whose one-time password is printed once. Back up the root key apart from the data:
/// without it no session and no audit record can be verified.
#[derive(Clone, Debug, Parser)]
#[command(name = "auth-service", version, max_term_width = 100)]
pub(crate) struct Settings {
    /// Where to listen. Without TLS, by the service or by a proxy, only a loopback address is served.
    #[arg(
        long,
        env = "PORTCULLIS_ADDRESS",
        default_value = "127.0.0.1:8080",
        value_name = "IP:PORT"
    )]
    pub address: SocketAddr,

    /// The certificate to serve HTTPS with, and those between it and its root, in PEM, in that order.
    /// Read again on SIGHUP.
    #[arg(
        long,
        env = "PORTCULLIS_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The key of that certificate in PEM: PKCS#8, PKCS#1 or SEC1. Nobody else may read the file.
    #[arg(
        long,
        env = "PORTCULLIS_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    pub tls_key: Option<PathBuf>,

    /// A proxy that does TLS, or a network of such; may be given several times. Nobody else is answered
    /// then, a request counts for the address that the proxy added to X-Forwarded-For, and the proxy
    /// has to say X-Forwarded-Proto: https.
    #[arg(
        long,
        env = "PORTCULLIS_BEHIND_PROXY",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub behind_proxy: Vec<String>,

    /// The origin that browsers know the service by, such as `https://login.example`. Needed with
    /// --behind-proxy, and with --tls-cert unless the address is a loopback one: it is
    /// `https://localhost:PORT` then.
    #[arg(long, env = "PORTCULLIS_ORIGIN", value_name = "ORIGIN")]
    pub origin: Option<String>,

    /// The folder of the database and the audit log; made if it is not there.
    #[arg(
        long,
        env = "PORTCULLIS_DATA",
        default_value = "./data",
        value_name = "FOLDER"
    )]
    pub data: PathBuf,

    /// A name for this process, where several serve one data folder: each then has an audit log of its own,
    /// `audit-NAME` in the folder. Users, sessions, keys and used codes are shared; limits are counted by
    /// each process for itself.
    #[arg(long, env = "PORTCULLIS_INSTANCE", value_name = "NAME", value_parser = instance)]
    pub instance: Option<String>,

    /// The file of the root key, made on first start. It lies outside the data folder, so that a
    /// copy of the data is not a copy of the key [default: the data folder's name with `.key`].
    #[arg(long, env = "PORTCULLIS_ROOT_KEY_FILE", value_name = "FILE")]
    pub root_key: Option<PathBuf>,

    /// The name of the first administrator, made when there is no user at all.
    #[arg(
        long,
        env = "PORTCULLIS_ADMIN",
        default_value = "admin",
        value_name = "NAME"
    )]
    pub admin: String,

    /// The e-mail address of the first administrator.
    #[arg(
        long,
        env = "PORTCULLIS_ADMIN_EMAIL",
        default_value = "admin@localhost",
          value_parser = email,
        value_name = "EMAIL"
    )]
    pub admin_email: String,

    /// Give the administrator a new one-time password at this start, lift a lock of the account and
    /// end its sessions. For a password that was lost; whoever can start the service may do this.
    #[arg(long)]
    pub(crate) reset_admin: bool,

    /// Take the administrator's second factor away at this start and end its sessions. For an
    /// authenticator that was lost with all recovery codes.
    #[arg(long)]
    pub(crate) reset_second_factor: bool,

    /// Go on although the audit log is not the one that the database remembers: records are lost. For
    /// one start, after that was looked into.
    #[arg(long)]
    pub(crate) accept_audit_loss: bool,

    /// The database came from a backup: what was used since is unknown to it, so codes and signed requests
    /// from before this start are refused. For one start.
    #[arg(long)]
    pub(crate) database_restored: bool,

    /// The database was made under a clock that ran ahead, and the clock is right now. For one start, after
    /// somebody looked at the clock: under one that is behind, what was used could be used again.
    #[arg(long)]
    pub(crate) clock_was_ahead: bool,

    /// How long an access token lives, in seconds: an hour unless told, an hour at most.
    #[arg(long, env = "PORTCULLIS_ACCESS_TOKEN_SECS", default_value_t = 3600, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub access_token_secs: u64,

    /// How long the parent of a refresh token still gets the same child, in seconds: a lost
    /// response or two tabs must not end a session.
    #[arg(long, env = "PORTCULLIS_REFRESH_GRACE_SECS", default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(0..=60))]
    pub refresh_grace_secs: u64,

    /// How long an account stays locked after five failed logins in a row, in seconds.
    #[arg(long, env = "PORTCULLIS_LOCKOUT_SECS", default_value_t = 1800, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub lockout_secs: u64,

    /// How recently an administrator must have shown a code of the authenticator to change a user, in
    /// seconds.
    #[arg(long, env = "PORTCULLIS_STEP_UP_SECS", default_value_t = 300, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub step_up_secs: u64,

    /// What authenticator applications show beside the codes: 1 to 64 printable characters, no colon.
    #[arg(
        long,
        env = "PORTCULLIS_ISSUER",
        default_value = "portcullis",
        value_name = "NAME"
    )]
    pub issuer: String,

    /// How many logins, second factors and password changes one client address may try in a window: never more in any
    /// window, up to 64; more than that are paced smoothly.
    #[arg(long, env = "PORTCULLIS_AUTHENTICATION_LIMIT", default_value_t = 10, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub authentication_limit: u32,

    /// How many refreshes, validations and calls one client address may make in a window.
    #[arg(long, env = "PORTCULLIS_VALIDATION_LIMIT", default_value_t = 100, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub validation_limit: u32,

    /// How many administrative calls one client address may make in a window.
    #[arg(long, env = "PORTCULLIS_USER_MANAGEMENT_LIMIT", default_value_t = 50, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub user_management_limit: u32,

    /// The window of the three limits, in seconds.
    #[arg(long, env = "PORTCULLIS_LIMIT_WINDOW_SECS", default_value_t = 60, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub limit_window_secs: u64,

    /// What is for client applications.
    #[command(flatten)]
    pub(crate) clients: ClientSettings,

    /// How the log is written.
    #[arg(
        long,
        env = "PORTCULLIS_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// What is logged: `error`, `warn`, `info`, `debug`, or targets as tracing's filters name them.
    #[arg(
        long,
        env = "PORTCULLIS_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line an event.
    Text,
    /// One JSON object an event.
    Json,
}

impl Settings {
    /// The files to serve HTTPS with: the certificate's and its key's.
    pub(crate) fn tls_files(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    /// The folder of this process's audit log.
    pub(crate) fn audit_folder(&self) -> PathBuf {
        match &self.instance {
            Some(name) => self.data.join(format!("audit-{name}")),
            None => self.data.join("audit"),
        }
    }

    /// The life of an access token.
    pub(crate) fn access_token_life(&self) -> Duration {
        Duration::from_secs(self.access_token_secs)
    }

    /// How recent a second factor must be for what changes a user.
    pub(crate) fn step_up(&self) -> Duration {
        Duration::from_secs(self.step_up_secs)
    }

    /// The window of the limits.
    pub(crate) fn limit_window(&self) -> Duration {
        Duration::from_secs(self.limit_window_secs)
    }

    /// The file of the root key: as told, or the data folder's own name with `.key` after it.
    pub(crate) fn root_key_file(&self) -> PathBuf {
        self.root_key.clone().unwrap_or_else(|| {
            let mut name = OsString::from(
                self.data
                    .as_os_str()
                    .to_string_lossy()
                    .trim_end_matches('/'),
            );
            name.push(".key");
            PathBuf::from(name)
        })
    }
}

/// The name of a process: it becomes part of a folder's.
fn instance(text: &str) -> Result<String, &'static str> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(plain) {
        return Err("a name is 1 to 32 of a-z, 0-9 and -");
    }
    Ok(text.to_owned())
}

/// An e-mail address as far as the service looks at it.
pub(crate) fn email(text: &str) -> Result<String, &'static str> {
    if text.len() > 254 || !text.contains('@') || text.chars().any(char::is_control) {
        return Err("an e-mail address has an @ and 254 bytes at most");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        Settings::try_parse_from(std::iter::once(&"auth-service").chain(arguments))
    }

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_the_promised_numbers() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.address.to_string(), "127.0.0.1:8080");
        assert_eq!(
            (
                settings.access_token_secs,
                settings.lockout_secs,
                settings.step_up_secs
            ),
            (3600, 1800, 300)
        );
        let limits = (
            settings.authentication_limit,
            settings.validation_limit,
            settings.user_management_limit,
        );
        assert_eq!((limits, settings.limit_window_secs), ((10, 100, 50), 60));
        assert_eq!(settings.root_key_file(), Path::new("./data.key"));
    }

    #[test]
    fn half_of_what_tls_needs_is_refused_and_the_other_half_named() {
        for (given, missing) in [("--tls-cert=x", "--tls-key"), ("--tls-key=x", "--tls-cert")] {
            let refused = parse(&[given]).unwrap_err().to_string();
            assert!(refused.contains(missing), "{refused}");
        }
    }

    #[test]
    fn a_name_that_would_leave_the_folder_is_refused() {
        for name in ["", "..", "a/b", "A", "a b", &"a".repeat(33)] {
            assert!(parse(&[&format!("--instance={name}")]).is_err(), "{name}");
        }
        let named = parse(&["--instance=b-2"]).unwrap();
        assert_eq!(named.audit_folder(), Path::new("./data/audit-b-2"));
    }

    #[test]
    fn lives_and_limits_of_nothing_or_without_end_are_refused() {
        for flag in [
            "--access-token-secs=0",
            "--access-token-secs=3601",
            "--authentication-limit=0",
            "--limit-window-secs=0",
        ] {
            assert!(parse(&[flag]).is_err(), "{flag}");
        }
    }
}
