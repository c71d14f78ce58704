//! Text that callers chose: secrets taken out, then cut to its field's length.
//!
//! What is kept is data. It is escaped where it is written out, not here, so that the record says
//! what was sent.

/// Takes known shapes of secrets out of `text` and cuts it to at most `cap` bytes, on a character's
/// boundary, with [`MARK`] at its end when something is missing.
///
/// Secrets go first: a token that the cut would leave half of is still a token.
pub(crate) fn clean(text: &str, cap: usize) -> Box<str> {
    let (seen, unseen) = text.split_at(text.floor_char_boundary(LOOKED_AT));
    let mut safe = redact(seen, !unseen.is_empty());
    if safe.len() > cap || !unseen.is_empty() {
        safe.truncate(safe.floor_char_boundary(cap.saturating_sub(MARK.len())));
        safe.push_str(MARK);
    }
    safe.into_boxed_str()
}

/// `text` with each secret replaced. `more` says that the text went on: what reaches its end then
/// may be the beginning of anything.
fn redact(text: &str, more: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    // What was looked at and may stay is copied in one piece, with the next secret or at the end.
    let (mut kept, mut at) = (0, 0);
    while let Some(start) = text.bytes().skip(at).position(begins) {
        let start = at.saturating_add(start);
        let from = text.get(start..).unwrap_or_default();
        if let Some((shown, hidden)) = secret(from, more) {
            let hides = start.saturating_add(shown);
            safe.push_str(text.get(kept..hides).unwrap_or_default());
            safe.push_str(REDACTED);
            kept = hides.saturating_add(hidden);
            at = kept;
        } else {
            at = start.saturating_add(1);
        }
    }
    safe.push_str(text.get(kept..).unwrap_or_default());
    safe
}

/// Whether a secret may begin with this byte, an ASCII letter; [`secret`] says whether one does.
const fn begins(byte: u8) -> bool {
    matches!(byte, b'e' | b'p' | b'P' | b'b' | b'B')
}

/// How many bytes at the start of `text` announce a secret and may stay, and how many are it.
///
/// The text is a caller's: where this answers `None`, it has looked at no more bytes than a bound, or than
/// no later call looks at, so that a text is read in the time of its length whatever it is made of.
fn secret(text: &str, more: bool) -> Option<(usize, usize)> {
    match text.as_bytes().first()? {
        b'e' if text.starts_with(JSON_IN_BASE64) => {
            let run = token_len(text);
            let dots = text.bytes().take(run).filter(|byte| *byte == b'.').count();
            let unfinished = more && run == text.len();
            (dots >= 2 || run >= LONG_RUN || unfinished).then_some((0, run))
        }
        b'p' if OUR_TOKENS.iter().any(|token| text.starts_with(token)) => {
            Some((0, token_len(text)))
        }
        // In any case: whoever finds a key in capitals turns it back.
        b'p' | b'P' if API_KEYS.iter().any(|key| starts_with(text, key)) => {
            Some((0, token_len(text)))
        }
        b'b' | b'B' => {
            let scheme = text.get(..BEARER.len())?;
            if !scheme.eq_ignore_ascii_case(BEARER) {
                return None;
            }
            let after = text.get(BEARER.len()..)?;
            let credentials = after
                .trim_start_matches("%20")
                .trim_start_matches([' ', '\t', '+', ':', '=']);
            let separators = after.len().saturating_sub(credentials.len());
            looked_at(separators);
            // Asked first: of a text of nothing but schemes, each would walk to the end.
            if separators == 0 {
                return None;
            }
            let shown = BEARER.len().saturating_add(separators);
            let hidden = token_len(credentials);
            // The scheme written twice: the next one announces the credentials.
            let twice = credentials.get(..hidden)?.eq_ignore_ascii_case(BEARER);
            (!twice && hidden > 0).then_some((shown, hidden))
        }
        _ => None,
    }
}

fn starts_with(text: &str, start: &str) -> bool {
    let head = text.get(..start.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// The length of the run of characters that tokens are made of (RFC 6750 §2.1, b64token).
fn token_len(text: &str) -> usize {
    let of_a_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
    let run = text.bytes().take_while(|byte| of_a_token(byte)).count();
    looked_at(run);
    run
}

/// Counts the work for a test; nothing otherwise.
#[cfg(not(test))]
const fn looked_at(_bytes: usize) {}
#[cfg(test)]
use tests::looked_at;

/// Stands at the end of a text that was cut.
pub(crate) const MARK: &str = "…[cut]";
/// Stands where a secret was.
pub(crate) const REDACTED: &str = "[redacted]";
/// How far into a text one looks: enough for any field, and a bound on the work.
const LOOKED_AT: usize = 16 * 1024;
/// `{"` in base64url: how every JOSE header begins (RFC 7519 §3.1).
const JSON_IN_BASE64: &str = "eyJ";
/// How the session crate's refresh tokens begin, sign-in's challenges, and the cookies of pages.
const OUR_TOKENS: [&str; 3] = ["prt1_", "pch1_", "psc1_"];
/// How API keys begin.
const API_KEYS: [&str; 2] = ["portcullis_live_", "portcullis_test_"];
/// RFC 6750 §2.1.
const BEARER: &str = "bearer";
/// A run this long that begins as a token does is one, dots or not.
const LONG_RUN: usize = 40;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use proptest::prelude::*;

    thread_local! {
        static LOOKED_AT_IN_ALL: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn looked_at(bytes: usize) {
        LOOKED_AT_IN_ALL.set(LOOKED_AT_IN_ALL.get().saturating_add(bytes));
    }

    /// Beginnings of everything the function knows, and what could stand between them.
    const PIECES: [&str; 17] = [
        "bearer",
        "Bearer ",
        "bearer=",
        "bearer:",
        "bearer%20",
        "eyJ",
        "eyJ.",
        "e",
        "prt1_",
        "psc1",
        "portcullis_live_",
        "portcullis_liv",
        "portcullis_test",
        "key=",
        "%20",
        " ",
        ".",
    ];

    #[test]
    fn no_text_costs_more_than_its_length() {
        let judge = |text: &str| {
            LOOKED_AT_IN_ALL.set(0);
            clean(text, 512);
            let looked = LOOKED_AT_IN_ALL.get();
            // A run of less than forty that begins as a token is looked at from each of its beginnings.
            assert!(looked <= 8 * text.len(), "{looked} for {text:.60}");
        };
        for first in PIECES {
            judge(&first.repeat(LOOKED_AT / first.len()));
            for second in PIECES {
                for third in PIECES {
                    let text = [first, second, third].concat();
                    judge(&text.repeat(1024 / text.len()));
                    judge(&format!("{}{third}", first.repeat(64) + &second.repeat(64)));
                }
            }
        }
    }

    #[test]
    fn a_scheme_without_a_separator_hides_nothing_and_one_with_it_hides_what_follows() {
        let many = "bearer".repeat(50);
        for (text, kept) in [
            (many.clone(), many.clone()),
            ("bearer ".repeat(4), "bearer ".repeat(4)),
            (format!("{many} {many}"), format!("{many} [redacted]")),
            (format!("{many}=abc"), format!("{many}=[redacted]")),
            ("bearerabc bearer".into(), "bearerabc bearer".into()),
        ] {
            assert_eq!(&*clean(&text, 4096), kept.as_str(), "{text}");
        }
    }

    #[test]
    fn known_shapes_of_secrets_are_taken_out() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJl";
        let long = format!("eyJ{}", "A".repeat(60));
        let cases = [
            (jwt.to_owned(), "[redacted]".to_owned()),
            (
                format!("curl/8 token={jwt} x"),
                "curl/8 token=[redacted] x".into(),
            ),
            (format!("x{jwt}"), "x[redacted]".into()),
            (
                "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.".into(),
                "[redacted]".into(),
            ),
            (long, "[redacted]".into()),
            ("prt1_AbC-_9.def!".into(), "[redacted]!".into()),
            ("a pch1_AbC-_9 b".into(), "a [redacted] b".into()),
            (
                "portcullis=psc1_AbC;".into(),
                "portcullis=[redacted];".into(),
            ),
            ("Bearer abc.def".into(), "Bearer [redacted]".into()),
            ("bEARER   abc=".into(), "bEARER   [redacted]".into()),
            (
                "Authorization:Bearer%20abc".into(),
                "Authorization:Bearer%20[redacted]".into(),
            ),
            (
                "Bearer bearer opaque".into(),
                "Bearer bearer [redacted]".into(),
            ),
            (
                format!("Bearer {jwt} {jwt}"),
                "Bearer [redacted] [redacted]".into(),
            ),
        ];
        for (text, kept) in cases {
            assert_eq!(&*clean(&text, 512), kept.as_str(), "{text}");
        }
    }

    #[test]
    fn api_keys_are_taken_out_in_either_case_and_their_ids_stay() {
        let key = "aaaqeayeaudaocaj_aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypqvamevca";
        for start in ["portcullis_live_", "portcullis_test_", "PORTCULLIS_LIVE_"] {
            let text = format!("/?key={start}{key}&id=aaaqeayeaudaocaj");
            let kept = "/?key=[redacted]&id=aaaqeayeaudaocaj";
            assert_eq!(&*clean(&text, 512), kept);
            // One that the cut would halve, and one whose end was not looked at.
            let halved = format!("{} {start}{key}", "x".repeat(60));
            assert!(!clean(&halved, 100).contains("aaaqe"));
            let long = format!("{}{start}{key}", " ".repeat(LOOKED_AT - 40));
            assert!(!clean(&long, 65_000).contains("aaaqe"));
        }
        for text in [
            "portcullis",
            "portcullis_live",
            "portcullis_lively",
            "portcullis-live_x",
        ] {
            assert_eq!(&*clean(text, 512), text);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in [
            "",
            "alice",
            "eyJack",
            "Bearer",
            "bearer ",
            "the bear",
            "Zoë\u{202e}\n\0",
            "prt1",
            "b\u{e9}arer",
        ] {
            assert_eq!(&*clean(text, 512), text);
        }
    }

    #[test]
    fn a_long_text_is_cut_on_a_boundary_with_a_mark() {
        let cut = clean(&"é".repeat(100), 50);
        assert!(cut.len() <= 50 && cut.ends_with(MARK), "{cut}");
        assert_eq!(&*clean(&"a".repeat(50), 50), "a".repeat(50));
    }

    #[test]
    fn a_token_that_the_cut_would_halve_is_taken_out_first() {
        let text = format!("{} prt1_{}", "a".repeat(30), "S".repeat(100));
        assert!(!clean(&text, 50).contains('S'));
    }

    #[test]
    fn megabytes_of_tokens_are_cut_and_none_shows() {
        let text = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2ln ".repeat(40_000);
        let cut = clean(&text, 512);
        assert!(cut.len() <= 512 && !cut.contains("eyJ"), "{cut}");
    }

    #[test]
    fn a_token_whose_end_was_not_looked_at_is_taken_out() {
        let text = format!("{}eyJHALF{}", " ".repeat(LOOKED_AT - 7), "x".repeat(100));
        assert!(!clean(&text, 65_000).contains("HALF"));
    }

    proptest! {
        #[test]
        fn what_is_kept_fits_and_holds_no_token_of_ours(text in "(eyJ|p(rt|ch|sc)1_|portcullis_(live|test)_|[Bb]earer |[a-zA-Z.é\u{202e} ]){0,40}", cap in 16_usize..200) {
            let once = clean(&text, cap);
            prop_assert!(once.len() <= cap);
            for token in OUR_TOKENS.iter().chain(&API_KEYS) {
                prop_assert!(!once.contains(token));
            }
        }
    }
}
