//! Records as text that nothing in a field can break out of.

use std::fmt::Write as _;

use portcullis_core::Timestamp;

use crate::{Event, Field};

/// An event in its place in a log, its seal checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The record's number, from 1, without gaps.
    pub sequence: u64,
    /// The record's time: the event's own, or that of the record before if the event's clock ran
    /// behind it. Never earlier than that of any record before.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
}

impl Record {
    /// The record as one line of JSON (RFC 8259), without the line's end.
    ///
    /// Times are RFC 3339. Characters that steer a terminal or a reader's eye (controls, ANSI's
    /// escape, marks of writing direction, line and paragraph separators, invisible ones) are written
    /// as `\u….`: a parser gets back what was recorded, a terminal gets letters.
    #[must_use]
    pub fn to_json(&self) -> String {
        let event = &self.event;
        let mut line = String::with_capacity(256);
        // Writing to a String cannot fail.
        let _ = write!(line, "{{\"sequence\":{}", self.sequence);
        put(&mut line, "timestamp", &self.at.to_string());
        put(&mut line, "action", event.action().as_str());
        put_text(&mut line, event, Field::User);
        if let (Some(ip), Some(source)) = (event.ip(), event.address_source()) {
            put(&mut line, "ip_address", &ip.to_string());
            put(&mut line, "address_source", source);
        }
        put_text(&mut line, event, Field::UserAgent);
        put_text(&mut line, event, Field::ClientSystem);
        put_text(&mut line, event, Field::GeoLocation);
        if let Some(reason) = event.reason_name() {
            put(&mut line, "reason", reason);
        }
        put_text(&mut line, event, Field::Session);
        put_text(&mut line, event, Field::RequestId);
        put_text(&mut line, event, Field::Target);
        if event.at() < self.at {
            put(&mut line, "observed_at", &event.at().to_string());
        }
        line.push('}');
        line
    }
}

fn put_text(line: &mut String, event: &Event, field: Field) {
    if let Some(text) = event.text(field) {
        put(line, field.as_str(), text);
    }
}

fn put(line: &mut String, name: &str, text: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => line.extend(['\\', character]),
            _ if steers(character) => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
            _ => line.push(character),
        }
    }
    line.push('"');
}

/// Whether a character is not seen but changes what is: controls, formats and separators (Unicode's Cc, Zl,
/// Zp, and those of Cf and of the default-ignorable ones that text of names and agents has no need of).
///
/// The rule of [`Record::to_json`], for whoever shows a caller's text in another form.
///
/// ```
/// use portcullis_audit::steers;
///
/// assert!("\u{1b}\u{9b}\u{202e}\u{200b}".chars().all(steers));
/// assert!(!"Zo\u{eb}, <b> \u{540d}\u{524d}".chars().any(steers));
/// ```
#[must_use]
pub fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;
    use portcullis_core::Reason;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_700_000_000_123);

    fn record(event: Event) -> Record {
        Record {
            sequence: 7,
            at: NOW,
            event,
        }
    }

    #[test]
    fn the_line_has_the_names_that_are_wanted() {
        let event = Event::new(
            Action::FailedLogin,
            Timestamp::from_unix_secs(1_700_000_000),
        )
        .user("42")
        .address("203.0.113.9".parse().unwrap(), "peer")
        .user_agent("curl/8")
        .client_system("web")
        .geo_location("NL")
        .reason(Reason::PasswordWrong)
        .session("s")
        .request_id("r")
        .target("t");
        assert_eq!(
            record(event).to_json(),
            concat!(
                r#"{"sequence":7,"timestamp":"2023-11-14T22:13:20.123Z","action":"failed_login","user_id":"42","#,
                r#""ip_address":"203.0.113.9","address_source":"peer","user_agent":"curl/8","client_system":"web","#,
                r#""geo_location":"NL","reason":"password_wrong","session":"s","request_id":"r","target":"t","#,
                r#""observed_at":"2023-11-14T22:13:20.000Z"}"#
            )
        );
    }

    #[test]
    fn nothing_in_any_field_breaks_out_of_the_line_or_steers_a_terminal() {
        let hostile = "a\r\n\0\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{2066}\u{2028}\u{2029}\u{200b}\u{feff}\u{e0041}\",=1+1|\\é";
        let event = Event::new(Action::Login, NOW)
            .user(hostile)
            .user_agent(hostile)
            .client_system(hostile)
            .geo_location(hostile)
            .session(hostile)
            .request_id(hostile)
            .target(hostile);
        let line = record(event).to_json();
        assert!(!line.chars().any(steers), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        for field in Field::ALL {
            assert_eq!(read[field.as_str()], hostile, "{field:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parser_gets_back_what_was_recorded(text in any::<String>()) {
            let event = Event::new(Action::Login, NOW).user(&text);
            let kept = event.text(Field::User).unwrap().to_owned();
            let line = record(event).to_json();
            prop_assert!(!line.chars().any(steers));
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["user_id"].as_str(), Some(kept.as_str()));
        }
    }
}
