//! Times, names and reasons in the words of people.

use std::time::Duration;

use portcullis::audit::steers;
use portcullis::core::Timestamp;
use portcullis::session::{Demand, Live, Method};

use super::view::Moment;
use crate::users::Role;

/// The day alone: `25 Nov 2026`.
pub(crate) fn day(at: Timestamp) -> Moment {
    let Moment { exact, words } = minute(at);
    let day = words.split(',').next().unwrap_or_default().to_owned();
    Moment { exact, words: day }
}

/// To the minute: `25 Nov 2026, 20:14`.
pub(crate) fn minute(at: Timestamp) -> Moment {
    moment(at, 16)
}

/// To the second: `25 Nov 2026, 20:14:09`.
pub(crate) fn second(at: Timestamp) -> Moment {
    moment(at, 19)
}

/// The first `chars` of RFC 3339's form, the date turned around.
fn moment(at: Timestamp, chars: usize) -> Moment {
    let exact = at.to_string();
    let words = turned(exact.get(..chars).unwrap_or_default()).unwrap_or_else(|| exact.clone());
    Moment { exact, words }
}

fn turned(text: &str) -> Option<String> {
    let (date, time) = text.split_once('T')?;
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month: usize = month.parse().ok()?;
    let month = MONTHS.get(month.checked_sub(1)?)?;
    Some(format!(
        "{} {month} {year}, {time}",
        day.trim_start_matches('0')
    ))
}

/// How long to wait: `42 seconds`, `5 minutes`, rounded up.
pub(crate) fn wait(secs: u64) -> String {
    let (count, unit) = match secs {
        0..120 => (secs.max(1), "second"),
        120..7200 => (secs.div_ceil(60), "minute"),
        _ => (secs.div_ceil(3600), "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// A name of the log as words: `failed_login` is `Failed login`.
pub(crate) fn sentence(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// What a client wrote, with a mark for every character that is not seen but changes what is.
pub(crate) fn visible(text: &str) -> String {
    let shown = |character| {
        if steers(character) {
            '\u{fffd}'
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

/// A secret to type in, in groups of four.
pub(crate) fn in_fours(secret: &str) -> String {
    let mut text = String::with_capacity(secret.len().saturating_mul(2));
    for (place, character) in secret.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            text.push(' ');
        }
        text.push(character);
    }
    text
}

/// What was shown in a session.
pub(crate) fn shown(session: &Live) -> &'static str {
    let factors = session.factors();
    let has = |method| factors.iter().any(|factor| factor.method() == method);
    if has(Method::Totp) {
        "Password and authenticator"
    } else if has(Method::RecoveryCode) {
        "Password and recovery code"
    } else if Demand::second_factor().is_met_by(factors, session.started_at()) {
        "Password and second factor"
    } else {
        "Password"
    }
}

/// When a session was last used, as far as it is noted: its idle end moves with its use.
pub(crate) fn used_at(session: &Live) -> Timestamp {
    let moved = session.expires_at().saturating_sub(IDLE);
    moved.max(session.refreshed_at())
}

pub(crate) const fn role(role: Role) -> &'static str {
    match role {
        Role::User => "User",
        Role::Admin => "Administrator",
    }
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// The idle life of the service's sessions, which a test holds to the policy's.
const IDLE: Duration = Duration::from_secs(7 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis::core::{Memory, Secret};
    use portcullis::session::{Factor, SessionPolicy, Sessions};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_700_000_000_123);

    #[test]
    fn an_instant_reads_as_people_write_it() {
        assert_eq!(minute(NOW).words, "14 Nov 2023, 22:13");
        assert_eq!(second(NOW).words, "14 Nov 2023, 22:13:20");
        assert_eq!(day(NOW).words, "14 Nov 2023");
        assert_eq!(second(NOW).exact, "2023-11-14T22:13:20.123Z");
        let early = minute(Timestamp::from_unix_secs(86_400)).words;
        assert_eq!(early, "2 Jan 1970, 00:00");
        for odd in [Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            assert!(!minute(odd).words.is_empty());
        }
    }

    #[test]
    fn a_wait_is_never_less_than_it_is() {
        let cases = [
            (0, "1 second"),
            (1, "1 second"),
            (42, "42 seconds"),
            (120, "2 minutes"),
            (121, "3 minutes"),
            (7200, "2 hours"),
            (u64::MAX, "5124095576030432 hours"),
        ];
        for (secs, words) in cases {
            assert_eq!(wait(secs), words);
        }
    }

    #[test]
    fn names_become_words_and_secrets_groups() {
        assert_eq!(sentence("failed_login"), "Failed login");
        assert_eq!(sentence(""), "");
        assert_eq!(in_fours("JBSWY3DPEH"), "JBSW Y3DP EH");
    }

    #[test]
    fn what_turns_or_hides_its_neighbours_is_marked() {
        assert_eq!(
            visible("a\u{202e}b\r\n\u{0}c\u{200b}"),
            "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}c\u{fffd}"
        );
        assert_eq!(visible("<b>\u{e9} \u{4e2d}"), "<b>\u{e9} \u{4e2d}");
    }

    #[tokio::test]
    async fn a_session_just_started_was_used_just_now() {
        let policy = SessionPolicy::default().dangerous_allow_volatile();
        let key = Secret::generate::<32>().unwrap();
        let sessions = Sessions::new(Memory::new(NOW), key, policy).unwrap();
        let factors = [Factor::new(Method::Password, NOW)];
        let session = sessions
            .start("alice", &factors, NOW)
            .await
            .unwrap()
            .session;
        let live = sessions.live(&session, NOW).await.unwrap();
        assert_eq!(used_at(&live), NOW);
        let later = NOW.saturating_add(Duration::from_secs(3600));
        let live = sessions.touch(&session, later).await.unwrap();
        assert_eq!((used_at(&live), shown(&live)), (later, "Password"));
    }
}
