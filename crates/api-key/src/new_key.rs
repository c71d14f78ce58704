//! What a key is asked to be.

use portcullis_core::Timestamp;

use crate::{Environment, Error};

/// What a key is asked to be: its label, where it counts, what it may, and when it ends for good.
///
/// ```
/// use portcullis_api_key::{Environment, Error, NewKey};
///
/// let new = NewKey::new("order import, machine 3", Environment::Live)?
///     .scope("orders:read")?
///     .scope("orders:write")?;
/// assert_eq!(new.clone().scope("orders write").err(), Some(Error::ScopeRefused));
/// assert_eq!(NewKey::new("\u{202e}import", Environment::Live).err(), Some(Error::LabelRefused));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub(crate) label: String,
    pub(crate) environment: Environment,
    pub(crate) scopes: Vec<String>,
    pub(crate) ends_at: Timestamp,
}

impl NewKey {
    /// A key without scopes, which ends when its secret is too old. The label tells people which one it
    /// is: 1 to 64 printable characters, at most 255 bytes, no space at its ends.
    ///
    /// # Errors
    /// [`Error::LabelRefused`].
    pub fn new(label: impl Into<String>, environment: Environment) -> Result<Self, Error> {
        let label = label.into();
        if !is_label(&label) {
            return Err(Error::LabelRefused);
        }
        Ok(Self {
            label,
            environment,
            scopes: Vec::new(),
            ends_at: Timestamp::MAX,
        })
    }

    /// The key may also do this: a scope token (RFC 6749 §3.3) of at most 64 bytes. One that the key has
    /// changes nothing; there are 16 at most.
    ///
    /// # Errors
    /// [`Error::ScopeRefused`].
    pub fn scope(mut self, scope: impl Into<String>) -> Result<Self, Error> {
        let scope = scope.into();
        if !is_scope(&scope) {
            return Err(Error::ScopeRefused);
        }
        if let Err(place) = self.scopes.binary_search(&scope) {
            if self.scopes.len() >= MAX_SCOPES {
                return Err(Error::ScopeRefused);
            }
            self.scopes.insert(place, scope);
        }
        Ok(self)
    }

    /// The key ends then, whatever its secret's age, and no rotation moves that.
    #[must_use]
    pub fn expires_at(mut self, end: Timestamp) -> Self {
        self.ends_at = end;
        self
    }
}

/// Printable, and nothing in it that turns or hides its neighbours.
pub(crate) fn is_label(text: &str) -> bool {
    let unfit = |char: char| {
        char.is_control()
            || (char.is_whitespace() && char != ' ')
            || matches!(
                char,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            )
            || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    !text.is_empty()
        && text.len() <= MAX_LABEL_LEN
        && text.chars().count() <= MAX_LABEL_CHARS
        && text.trim() == text
        && !text.chars().any(unfit)
}

/// `scope-token` of RFC 6749 §3.3: printable ASCII without space, quotation mark and backslash.
pub(crate) fn is_scope(text: &str) -> bool {
    let fit = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    (1..=MAX_SCOPE_LEN).contains(&text.len()) && text.bytes().all(fit)
}

/// The most scopes that a key has.
pub(crate) const MAX_SCOPES: usize = 16;
const MAX_SCOPE_LEN: usize = 64;
const MAX_LABEL_CHARS: usize = 64;
const MAX_LABEL_LEN: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewKey {
        NewKey::new("import", Environment::Live).unwrap()
    }

    #[test]
    fn a_label_that_misleads_its_reader_is_refused() {
        for label in [
            "",
            " ",
            " import",
            "import ",
            "im\nport",
            "im\u{0}port",
            "im\u{1b}[31mport",
            "im\u{202e}port",
            "im\u{2066}port",
            "im\u{200b}port",
            "im\u{ad}port",
            "im\u{2028}port",
            "im\u{a0}port",
            "\u{feff}import",
        ] {
            let refused = NewKey::new(label, Environment::Live);
            assert_eq!(refused, Err(Error::LabelRefused), "{label:?}");
        }
        for (label, fits) in [
            ("x".repeat(64), true),
            ("x".repeat(65), false),
            ("é".repeat(64), true),
            ("\u{1f511}".repeat(63), true),
            ("\u{1f511}".repeat(64), false),
        ] {
            assert_eq!(NewKey::new(label, Environment::Live).is_ok(), fits);
        }
    }

    #[test]
    fn a_scope_that_would_read_as_two_or_is_too_long_is_refused() {
        for scope in ["", "a b", "a\"", "a\\", "a\n", "\u{7f}", "ä", "\u{ff41}"] {
            assert_eq!(new().scope(scope), Err(Error::ScopeRefused), "{scope:?}");
        }
        assert_eq!(new().scope("x".repeat(65)), Err(Error::ScopeRefused));
        assert!(new().scope("x".repeat(64)).is_ok());
        assert!(new().scope("!#[]~").is_ok());
    }

    #[test]
    fn a_seventeenth_scope_is_refused_and_one_said_twice_is_one() {
        let full = (0..16).try_fold(new(), |new, scope| new.scope(format!("scope:{scope}")));
        let full = full.unwrap();
        assert_eq!(full.clone().scope("one:more"), Err(Error::ScopeRefused));
        let again = full.clone().scope("scope:7");
        assert_eq!(again, Ok(full));
    }
}
