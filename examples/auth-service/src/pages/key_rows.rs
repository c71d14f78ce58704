//! Keys of client applications in the words of people.

use portcullis::core::Timestamp;

use super::client_view::{Choice, KeyRow, Tag, Used};
use super::clients::in_path;
use super::words;
use crate::clients::key::{Kind, ListedKey, State};
use crate::clients::secret::Form;

/// A key as a page lists it.
pub(crate) fn row(key: &ListedKey, now: Timestamp) -> KeyRow {
    KeyRow {
        id: words::visible(&key.id),
        path: in_path(&key.id),
        kind: kind_words(key.kind),
        label: words::visible(&key.label),
        detail: detail(key),
        age: days(key.age_days(now)),
        ends: words::day(key.expires_at),
        used: match (key.kind, key.last_used_at) {
            (_, Some(at)) => Used::At(words::minute(at)),
            (Kind::ApiKey, None) => Used::Never,
            (Kind::SigningSecret | Kind::PublicKey, None) => Used::NotKept,
        },
        state: tag(key.state),
        previous: counting_before(key, now).map(words::minute),
        revoked: key.revoked_at.map(words::day),
        over: matches!(key.state, State::Revoked | State::Expired),
    }
}

/// So many days, in words.
pub(crate) fn days(count: u64) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} day{plural}")
}

/// Until when the secret before the present one counts, if it does.
pub(crate) fn counting_before(key: &ListedKey, now: Timestamp) -> Option<Timestamp> {
    let revoked = key.state == State::Revoked;
    key.previous_until.filter(|until| *until > now && !revoked)
}

fn detail(key: &ListedKey) -> String {
    match key.kind {
        Kind::SigningSecret => {
            form_of(key).map_or_else(String::new, |form| form_words(form).into())
        }
        Kind::ApiKey | Kind::PublicKey => words::visible(&key.detail),
    }
}

/// What a signing secret signs.
pub(crate) fn form_of(key: &ListedKey) -> Option<Form> {
    Form::ALL
        .into_iter()
        .find(|form| form.as_str() == key.detail)
}

/// The forms to choose from.
pub(crate) fn forms(chosen: Option<Form>) -> Vec<Choice> {
    let choice = |form: Form| Choice {
        name: form.as_str(),
        words: form_words(form),
        chosen: chosen == Some(form),
    };
    Form::ALL.into_iter().map(choice).collect()
}

const fn form_words(form: Form) -> &'static str {
    match form {
        Form::V1 => "Whole request (portcullis v1)",
        Form::TimestampBody => "Timestamp and body (webhooks)",
        Form::CanonicalLines => "Lines of text",
    }
}

const fn kind_words(kind: Kind) -> &'static str {
    match kind {
        Kind::ApiKey => "API key",
        Kind::SigningSecret => "Signing secret",
        Kind::PublicKey => "Public key",
    }
}

pub(crate) const fn tag(state: State) -> Tag {
    let (class, words) = match state {
        State::Active => ("good", "Active"),
        State::RotateSoon => ("warn", "Rotate soon"),
        State::Expired => ("bad", "Expired"),
        State::Revoked => ("off", "Revoked"),
    };
    Tag { class, words }
}
