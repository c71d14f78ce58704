//! A strict reader of JSON objects: grammar, duplicates, depth and count in one pass.
//!
//! `serde` lets a later member of the same name win wherever a type ignores or maps it, so two
//! readers of one token can see two different claims. This pass runs before any typed one and leaves
//! nothing to disagree about: what it accepts, `serde_json` accepts, with every name unique.

mod names;

use std::borrow::Cow;

use crate::error::JsonFault;
use names::Names;

/// How much of a text is read before it is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Objects and arrays within one another, the outermost included.
    pub(crate) depth: usize,
    /// Members of all objects together.
    pub(crate) members: usize,
}

/// A JSON value as it stands in the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    kind: Kind,
    text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    PlainString,
    EscapedString,
    Number,
    Array,
    Null,
    Other,
}

/// Reads `text`, which must be one object and nothing else, and hands each of its own members, names
/// unescaped, to `visit` in order. Members of nested objects are checked and not handed over.
pub(crate) fn members<'a>(
    text: &'a str,
    limits: Limits,
    visit: &mut impl FnMut(&str, Raw<'a>),
) -> Result<(), JsonFault> {
    let mut reader = Reader::new(text, limits);
    reader.skip_space();
    if reader.peek() != Some(b'{') {
        // Tells `[1]` from `nonsense`, so that the fault names what is wrong.
        reader.value()?;
        return reader.end().and(Err(JsonFault::NotObject));
    }
    reader.object(visit)?;
    reader.end()
}

impl<'a> Raw<'a> {
    /// The text of a string, unescaped; `None` for any other kind of value.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::PlainString => unquoted(self.text).map(Cow::Borrowed),
            Kind::EscapedString => unescaped(self.text).map(Cow::Owned),
            _ => None,
        }
    }

    /// The literal of a number; `None` for any other kind of value.
    pub(crate) fn number(self) -> Option<&'a str> {
        (self.kind == Kind::Number).then_some(self.text)
    }

    /// Whether an array, of strings alone, holds `wanted`; `None` for anything else.
    pub(crate) fn holds(self, wanted: &str) -> Option<bool> {
        if self.kind != Kind::Array {
            return None;
        }
        // Within its limits when it was first read.
        let limits = Limits {
            depth: usize::MAX,
            members: usize::MAX,
        };
        let (mut found, mut texts_alone) = (false, true);
        Reader::new(self.text, limits)
            .array(&mut |element: Raw<'a>| match element.string() {
                Some(text) => found |= text == wanted,
                None => texts_alone = false,
            })
            .ok()?;
        texts_alone.then_some(found)
    }

    pub(crate) fn is_null(self) -> bool {
        self.kind == Kind::Null
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_left: usize,
    members_left: usize,
    names: Names<'a>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, limits: Limits) -> Self {
        Self {
            text,
            at: 0,
            depth_left: limits.depth,
            members_left: limits.members,
            names: Names::new(),
        }
    }

    fn object(&mut self, visit: &mut impl FnMut(&str, Raw<'a>)) -> Result<(), JsonFault> {
        self.enter(b'{')?;
        let outer = self.names.mark();
        // One bit per name seen: an unset bit spares the comparison with every earlier name.
        let mut seen = 0_u64;
        self.skip_space();
        if !self.take(b'}') {
            loop {
                let name = self.name()?;
                let bit = bit_of(&name);
                if seen & bit != 0 && self.names.hold_since(outer, &name) {
                    return Err(JsonFault::DuplicateMember);
                }
                seen |= bit;
                let value = self.value()?;
                visit(&name, value);
                self.names.push(name);
                self.skip_space();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.names.forget_since(outer);
        self.leave();
        Ok(())
    }

    /// A member's name and the colon after it.
    fn name(&mut self) -> Result<Cow<'a, str>, JsonFault> {
        self.members_left = self
            .members_left
            .checked_sub(1)
            .ok_or(JsonFault::TooManyMembers)?;
        self.skip_space();
        let from = self.at;
        let kind = self.string()?;
        let name = self.since(from, kind)?.string().ok_or(JsonFault::NotJson)?;
        self.skip_space();
        self.expect(b':')?;
        Ok(name)
    }

    fn value(&mut self) -> Result<Raw<'a>, JsonFault> {
        self.skip_space();
        let from = self.at;
        let kind = match self.peek().ok_or(JsonFault::NotJson)? {
            b'"' => self.string()?,
            b'{' => {
                self.object(&mut |_, _| {})?;
                Kind::Other
            }
            b'[' => {
                self.array(&mut |_| {})?;
                Kind::Array
            }
            b't' => self.literal("true", Kind::Other)?,
            b'f' => self.literal("false", Kind::Other)?,
            b'n' => self.literal("null", Kind::Null)?,
            _ => self.number()?,
        };
        self.since(from, kind)
    }

    fn array(&mut self, visit: &mut impl FnMut(Raw<'a>)) -> Result<(), JsonFault> {
        self.enter(b'[')?;
        self.skip_space();
        if !self.take(b']') {
            loop {
                visit(self.value()?);
                self.skip_space();
                if self.take(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.leave();
        Ok(())
    }

    fn string(&mut self) -> Result<Kind, JsonFault> {
        self.expect(b'"')?;
        let mut kind = Kind::PlainString;
        loop {
            self.advance(plain_bytes(self.rest()));
            if self.take(b'"') {
                return Ok(kind);
            }
            self.expect(b'\\')?;
            self.escape()?;
            kind = Kind::EscapedString;
        }
    }

    /// What follows a backslash; a surrogate must stand in a pair (RFC 8259 §8.2).
    fn escape(&mut self) -> Result<(), JsonFault> {
        let kind = self.peek().ok_or(JsonFault::NotJson)?;
        self.advance(1);
        match kind {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(()),
            b'u' => match self.hex()? {
                0xd800..=0xdbff => {
                    self.expect(b'\\')?;
                    self.expect(b'u')?;
                    match self.hex()? {
                        0xdc00..=0xdfff => Ok(()),
                        _ => Err(JsonFault::NotJson),
                    }
                }
                0xdc00..=0xdfff => Err(JsonFault::NotJson),
                _ => Ok(()),
            },
            _ => Err(JsonFault::NotJson),
        }
    }

    fn hex(&mut self) -> Result<u32, JsonFault> {
        let digits = self.rest().get(..4).ok_or(JsonFault::NotJson)?;
        let value = digits.iter().try_fold(0_u32, |value, digit| {
            let digit = char::from(*digit).to_digit(16)?;
            Some(value << 4 | digit)
        });
        self.advance(4);
        value.ok_or(JsonFault::NotJson)
    }

    fn number(&mut self) -> Result<Kind, JsonFault> {
        let from = self.at;
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let whole = self.at;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        let text = self.since(from, Kind::Number)?.text;
        let plain = self.at == whole && text.len() <= INTEGER_DIGITS_MAX;
        if plain || serde_json::from_str::<f64>(text).is_ok() {
            return Ok(Kind::Number);
        }
        Err(JsonFault::NotJson)
    }

    fn digits(&mut self) -> Result<(), JsonFault> {
        let rest = self.rest();
        let count = rest
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(rest.len());
        self.advance(count);
        if count == 0 {
            return Err(JsonFault::NotJson);
        }
        Ok(())
    }

    fn literal(&mut self, word: &str, kind: Kind) -> Result<Kind, JsonFault> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(JsonFault::NotJson);
        }
        self.advance(word.len());
        Ok(kind)
    }

    fn enter(&mut self, open: u8) -> Result<(), JsonFault> {
        self.expect(open)?;
        self.depth_left = self.depth_left.checked_sub(1).ok_or(JsonFault::TooDeep)?;
        Ok(())
    }

    fn leave(&mut self) {
        self.depth_left = self.depth_left.saturating_add(1);
    }

    fn end(&mut self) -> Result<(), JsonFault> {
        self.skip_space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(JsonFault::NotJson),
        }
    }

    fn since(&self, from: usize, kind: Kind) -> Result<Raw<'a>, JsonFault> {
        let text = self.text.get(from..self.at).ok_or(JsonFault::NotJson)?;
        Ok(Raw { kind, text })
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.advance(1);
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        if self.take(byte) {
            return Ok(());
        }
        Err(JsonFault::NotJson)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }
}

/// How many bytes stand before the next quote, backslash or control character, or the end.
///
/// Eight bytes at a time: in each of the three tests the lowest bit that is set is exact, and those
/// above it, which a borrow may have set, are not looked at.
fn plain_bytes(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
        let quote = zero_in(word ^ QUOTES);
        let backslash = zero_in(word ^ BACKSLASHES);
        let control = word.wrapping_sub(SPACES) & !word;
        let found = (quote | backslash | control) & HIGH_BITS;
        if found != 0 {
            return at.saturating_mul(8).saturating_add(first_byte(found));
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    let tail = rest.iter().position(special).unwrap_or(rest.len());
    words.len().saturating_mul(8).saturating_add(tail)
}

fn first_byte(found: u64) -> usize {
    usize::try_from(found.trailing_zeros() / 8).unwrap_or(0)
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn unescaped(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

fn bit_of(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let first = bytes.first().copied().unwrap_or(0);
    let last = bytes.last().copied().unwrap_or(0);
    let mixed = u32::from(first)
        .wrapping_mul(31)
        .wrapping_add(u32::from(last).wrapping_mul(7))
        .wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
    1_u64.rotate_left(mixed)
}

/// The same byte eight times.
const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
const QUOTES: u64 = u64::from_le_bytes([b'"'; 8]);
const BACKSLASHES: u64 = u64::from_le_bytes([b'\\'; 8]);
const SPACES: u64 = u64::from_le_bytes([b' '; 8]);

/// Any integer this long fits 64 bits; a longer one is tried as what it would be read as.
const INTEGER_DIGITS_MAX: usize = 18;

#[cfg(test)]
mod tests;
