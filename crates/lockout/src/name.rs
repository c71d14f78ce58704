//! One spelling of an account's name.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

/// An account's name in the one spelling under which it is counted and looked up.
///
/// Compatibility forms (full-width letters, ligatures, the Kelvin sign), letter case, what cannot be
/// seen (zero-width characters, soft hyphens, bidirectional marks, variation selectors) and white space
/// at the ends make no difference; runs of spaces inside count as one. This is Unicode's
/// `toNFKC_Casefold` (Unicode Standard §3.13) with the trimming of RFC 8266 §2.3. Case is folded without a language: the Turkish dotless ı is not
/// an i, and İ is i with a dot above. Parsing a parsed name changes nothing.
///
/// Look users up by [`AccountName::as_str`], in a column that compares bytes: a look-up that is
/// more generous than this (a database's own collation) gives one account several counts.
///
/// `Debug` shows nothing of it: people type passwords into the name field.
///
/// ```
/// use portcullis_lockout::AccountName;
///
/// let plain = AccountName::parse("kim@example.org")?;
/// assert_eq!(AccountName::parse(" \u{212a}I\u{200b}M@example.org")?, plain);
/// # Ok::<(), portcullis_lockout::NameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// Why a text is no account's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing that can be seen is in it.
    #[error("the name is empty")]
    Empty,
    /// Longer than [`AccountName::MAX_INPUT_LEN`] as it came, or than [`AccountName::MAX_LEN`] after.
    #[error("the name is too long")]
    TooLong,
    /// A control character, a line break, a private or unassigned-for-ever code point is in it.
    #[error("the name holds a character that no name has")]
    Character,
    /// Its normal form has no normal form of its own; no assigned character is known to do so.
    #[error("the name does not settle into one spelling")]
    Unstable,
}

impl AccountName {
    /// The most bytes looked at: four for each byte kept, so that 254 full-width letters still fit.
    pub const MAX_INPUT_LEN: usize = 1024;
    /// The most bytes kept: those of the longest e-mail address (RFC 5321 §4.5.3.1.3, less its brackets).
    pub const MAX_LEN: usize = 254;

    /// The one spelling of `text`.
    ///
    /// # Errors
    /// [`NameError`]. The length is checked before anything else is done with the text, and again
    /// afterwards: one character can become eighteen.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > Self::MAX_INPUT_LEN {
            return Err(NameError::TooLong);
        }
        if let Some(plain) = plain(text) {
            return Ok(Self(plain));
        }
        let mut name = normalised(text);
        // Folding can undo composition and composition can undo folding: until nothing changes.
        for _ in 0..MAX_ROUNDS {
            let again = normalised(&name);
            if again == name {
                return checked(name);
            }
            name = again;
        }
        Err(NameError::Unstable)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountName(..)")
    }
}

/// Most names are lower-case ASCII already.
fn plain(text: &str) -> Option<Arc<str>> {
    let settled = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
    let fits = !text.is_empty() && text.len() <= AccountName::MAX_LEN;
    (fits && text.as_bytes().iter().all(settled)).then(|| text.into())
}

fn normalised(text: &str) -> String {
    let seen = text.chars().filter(|c| !ignorable(*c));
    let folded = seen.nfkc().flat_map(folded).nfkc();
    let mut name = String::with_capacity(text.len());
    for c in folded.filter(|c| !ignorable(*c)) {
        if c == ' ' && (name.is_empty() || name.ends_with(' ')) {
            continue;
        }
        name.push(c);
    }
    let kept = name.trim_end_matches(' ').len();
    name.truncate(kept);
    name
}

fn checked(name: String) -> Result<AccountName, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > AccountName::MAX_LEN {
        return Err(NameError::TooLong);
    }
    if name.chars().any(forbidden) {
        return Err(NameError::Character);
    }
    Ok(AccountName(name.into()))
}

/// Full case folding, from the standard library's tables: lower, upper and lower again reaches one
/// letter from each of a family of cases (ß, ẞ and SS; σ and ς; s and ſ). The dotless ı is a family of
/// its own outside Turkic languages (CaseFolding.txt, status T), though its upper case is I.
fn folded(c: char) -> impl Iterator<Item = char> {
    let turkic = (c == 'ı').then_some(c);
    let others = (c != 'ı').then(|| {
        c.to_lowercase()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
    });
    turkic.into_iter().chain(others.into_iter().flatten())
}

/// `Default_Ignorable_Code_Point` (DerivedCoreProperties.txt), which `toNFKC_Casefold` removes.
fn ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Controls, white space but the plain one, interlinear marks, private use, non-characters.
fn forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || code & 0xfffe == 0xfffe
        || matches!(c,
            '\u{fff9}'..='\u{fffd}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{f0000}'..='\u{10ffff}')
}

const MAX_ROUNDS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> AccountName {
        AccountName::parse(text).unwrap()
    }

    #[test]
    fn every_spelling_of_a_name_is_one_name() {
        let families: [(&str, &[&str]); 9] = [
            (
                "alice",
                &[
                    "Alice",
                    "ALICE",
                    " alice\u{a0}",
                    "\u{3000}alice",
                    "ａｌｉｃｅ",
                    "ＡＬＩＣＥ",
                ],
            ),
            (
                "alice",
                &[
                    "al\u{200b}ice",
                    "al\u{ad}ice",
                    "\u{feff}alice",
                    "a\u{202e}lice",
                    "alice\u{fe0f}",
                    "al\u{2060}i\u{200d}ce",
                ],
            ),
            ("kim", &["\u{212a}im", "KIM", "ｋim"]),
            ("ren\u{e9}", &["rene\u{301}", "RENE\u{301}", "REN\u{c9}"]),
            (
                "strasse",
                &["stra\u{df}e", "STRA\u{1e9e}E", "\u{17f}trasse"],
            ),
            ("\u{3c3}\u{3c3}", &["\u{3a3}\u{3a3}", "\u{3c3}\u{3c2}"]),
            (
                "\u{e5}ngstr\u{f6}m",
                &["\u{212b}ngstr\u{f6}m", "A\u{30a}NGSTRO\u{308}M"],
            ),
            ("office", &["o\u{fb03}ce"]),
            ("ann smith", &["Ann  Smith", "ann\u{2003}\u{2003}smith "]),
        ];
        for (plain, spellings) in families {
            for spelling in spellings {
                assert_eq!(name(spelling).as_str(), plain, "{spelling:?}");
            }
        }
    }

    #[test]
    fn letters_that_are_not_the_same_are_not_made_so() {
        for (one, other) in [
            ("il", "\u{131}l"),
            ("il", "\u{130}l"),
            ("\u{131}l", "\u{130}l"),
            ("a", "\u{430}"),
            ("ann smith", "annsmith"),
            ("rene", "ren\u{e9}"),
        ] {
            assert_ne!(name(one), name(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn refuses_what_is_no_name() {
        let long = "a".repeat(AccountName::MAX_LEN + 1);
        let eighteen_fold = "\u{fdfa}".repeat(20);
        let huge = "a".repeat(1 << 20);
        let cases: [(&str, NameError); 12] = [
            ("", NameError::Empty),
            (" \u{3000}\u{200b}\u{ad}", NameError::Empty),
            (&long, NameError::TooLong),
            (&eighteen_fold, NameError::TooLong),
            (&huge, NameError::TooLong),
            ("al\0ice", NameError::Character),
            ("alice\n", NameError::Character),
            ("al\u{85}ice", NameError::Character),
            ("al\u{2028}ice", NameError::Character),
            ("al\u{e000}ice", NameError::Character),
            ("al\u{ffff}ice", NameError::Character),
            ("al\u{fffd}ice", NameError::Character),
        ];
        for (text, error) in cases {
            assert_eq!(
                AccountName::parse(text),
                Err(error),
                "{:?}",
                text.chars().next()
            );
        }
        assert_eq!(name(&"a".repeat(254)).as_str().len(), 254);
        assert_eq!(name(&"Ａ".repeat(254)).as_str().len(), 254);
    }

    #[test]
    fn debug_and_errors_show_nothing_of_the_name() {
        assert_eq!(format!("{:?}", name("hunter2")), "AccountName(..)");
        let error = AccountName::parse("hunter2\0").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn every_character_alone_settles_into_one_spelling() {
        // The planes above hold ideographs, private use and nothing that folds.
        for c in char::MIN..='\u{1ffff}' {
            match AccountName::parse(c.encode_utf8(&mut [0; 4])) {
                Ok(parsed) => assert_eq!(AccountName::parse(parsed.as_str()), Ok(parsed), "{c:?}"),
                Err(error) => assert_ne!(error, NameError::Unstable, "{c:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn parsing_a_parsed_name_changes_nothing(text in any::<String>()) {
            if let Ok(parsed) = AccountName::parse(&text) {
                prop_assert!(parsed.as_str().len() <= AccountName::MAX_LEN);
                prop_assert_eq!(AccountName::parse(parsed.as_str()), Ok(parsed));
            }
        }

        #[test]
        fn case_and_what_cannot_be_seen_make_no_difference(text in "[a-zA-Z0-9@.éßΣÅﬁ]{1,40}", at in any::<proptest::sample::Index>()) {
            let plain = name(&text);
            prop_assert_eq!(name(&text.to_lowercase()), plain.clone());
            prop_assert_eq!(name(&text.to_uppercase()), plain.clone());
            let mut marked: Vec<char> = text.chars().collect();
            marked.insert(at.index(marked.len()), '\u{200d}');
            prop_assert_eq!(name(&marked.into_iter().collect::<String>()), plain);
        }
    }
}
