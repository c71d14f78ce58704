//! `Forwarded`, RFC 7239.
//!
//! Each field line is read whole, from its beginning, and must parse by itself: a quoted string may hold
//! commas, so an unclosed quote that a client sent could otherwise swallow what a proxy wrote after it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::AddressError;
use crate::forwarded_for::read_port;

/// Whom an element is for (§6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Address(IpAddr),
    /// `unknown`, an obfuscated identifier, or no `for` at all.
    Hidden,
}

/// The elements of all lines in order, or why one does not parse.
pub(crate) fn elements(lines: &[&[u8]], most: usize) -> Result<Vec<Node>, AddressError> {
    let mut nodes = Vec::new();
    for line in lines {
        let mut rest = Rest(line);
        loop {
            rest.skip_white_space();
            if nodes.len() >= most {
                return Err(AddressError::TooLong);
            }
            nodes.push(rest.element().ok_or(AddressError::Malformed)?);
            rest.skip_white_space();
            match rest.next() {
                None => break,
                Some(b',') => {}
                Some(_) => return Err(AddressError::Malformed),
            }
        }
    }
    Ok(nodes)
}

/// What is left of a line.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// `[ forwarded-pair ] *( ";" [ forwarded-pair ] )`, with at least one pair and no name twice (§4).
    fn element(&mut self) -> Option<Node> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut node = Node::Hidden;
        loop {
            if !matches!(self.0.first(), None | Some(b';' | b',' | b' ' | b'\t')) {
                let (name, value) = self.pair()?;
                let repeated = names.iter().any(|known| known.eq_ignore_ascii_case(name));
                if repeated || names.len() >= MAX_PAIRS {
                    return None;
                }
                names.push(name);
                if name.eq_ignore_ascii_case(b"for") {
                    node = read_node(&value)?;
                }
            }
            if self.0.first() != Some(&b';') {
                break;
            }
            self.next();
        }
        (!names.is_empty()).then_some(node)
    }

    /// `token "=" value`, without white space (§4).
    fn pair(&mut self) -> Option<(&'a [u8], Cow<'a, [u8]>)> {
        let name = self.token()?;
        if self.next() != Some(b'=') {
            return None;
        }
        let value = match self.0.first() {
            Some(b'"') => self.quoted_string()?,
            _ => Cow::Borrowed(self.token()?),
        };
        Some((name, value))
    }

    /// RFC 9110 §5.6.2.
    fn token(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|byte| !is_token(*byte));
        let (token, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// RFC 9110 §5.6.4, its quotes and escapes taken off.
    fn quoted_string(&mut self) -> Option<Cow<'a, [u8]>> {
        let mut text = Vec::new();
        self.next()?;
        loop {
            match self.next()? {
                b'"' => return Some(Cow::Owned(text)),
                b'\\' => text.push(self.next().filter(|byte| is_text(*byte))?),
                byte if is_text(byte) => text.push(byte),
                _ => return None,
            }
        }
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t') = self.0.first() {
            self.next();
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

/// `nodename [ ":" node-port ]` (§6).
fn read_node(value: &[u8]) -> Option<Node> {
    let text = str::from_utf8(value).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        if !port.is_empty() {
            check_port(port.strip_prefix(':')?)?;
        }
        let ip = ip.parse::<Ipv6Addr>().ok()?;
        return Some(Node::Address(IpAddr::V6(ip)));
    }
    let name = match text.split_once(':') {
        Some((name, port)) => {
            check_port(port)?;
            name
        }
        None => text,
    };
    if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        return Some(Node::Hidden);
    }
    let ip = name.parse::<Ipv4Addr>().ok()?;
    Some(Node::Address(IpAddr::V4(ip)))
}

fn check_port(text: &str) -> Option<()> {
    (is_obfuscated(text) || read_port(text).is_some()).then_some(())
}

/// `"_" 1*( ALPHA / DIGIT / "." / "_" / "-" )` (§6.3).
fn is_obfuscated(text: &str) -> bool {
    text.strip_prefix('_').is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    })
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..=0xff)
}

/// Four are defined (§5).
const MAX_PAIRS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Vec<Node>, AddressError> {
        elements(&[line.as_bytes()], 64)
    }

    fn address(text: &str) -> Node {
        Node::Address(text.parse().unwrap())
    }

    #[test]
    fn the_rfcs_examples_are_read() {
        // RFC 7239 §4 and §6.3, §7.1.
        let cases = [
            (r#"for="_gazonk""#, vec![Node::Hidden]),
            (
                r#"For="[2001:db8:cafe::17]:4711""#,
                vec![address("2001:db8:cafe::17")],
            ),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                vec![address("192.0.2.60")],
            ),
            (
                "for=192.0.2.43, for=198.51.100.17",
                vec![address("192.0.2.43"), address("198.51.100.17")],
            ),
            (
                "for=_hidden, for=_SEVKISEK",
                vec![Node::Hidden, Node::Hidden],
            ),
            (
                r#"for=192.0.2.43,for="[2001:db8:cafe::17]",for=unknown"#,
                vec![
                    address("192.0.2.43"),
                    address("2001:db8:cafe::17"),
                    Node::Hidden,
                ],
            ),
            (r#"for="192.0.2.43:47011""#, vec![address("192.0.2.43")]),
            (r#"for="192.0.2.43:_port""#, vec![address("192.0.2.43")]),
            (r#"for="192\.0.2.4\3""#, vec![address("192.0.2.43")]),
            (
                r#"host="a, for=1.2.3.4";for=192.0.2.43;"#,
                vec![address("192.0.2.43")],
            ),
            ("proto=https", vec![Node::Hidden]),
        ];
        for (line, nodes) in cases {
            assert_eq!(read(line), Ok(nodes), "{line}");
        }
    }

    #[test]
    fn what_the_grammar_does_not_make_is_refused() {
        let refused = [
            "",
            ",",
            ";",
            "for",
            "for=",
            "=192.0.2.1",
            "for=192.0.2.1,",
            ",for=192.0.2.1",
            "for=192.0.2.1,,for=192.0.2.2",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1; proto=http",
            "for=192.0.2.1 proto=http",
            "for=192.0.2.1;for=192.0.2.2",
            "for=192.0.2.1;FOR=192.0.2.2",
            "for=192.0.2.1:80",
            "for=2001:db8::1",
            "for=[2001:db8::1]",
            r#"for="2001:db8::1""#,
            r#"for="[192.0.2.1]""#,
            r#"for="[fe80::1%eth0]""#,
            r#"for="[2001:db8::1]:""#,
            r#"for="192.0.2.1:65536""#,
            r#"for="192.0.2.1:""#,
            r#"for="192.0.2.1:_""#,
            "for=_",
            "for=_a/b",
            r#"for="192.0.2.1"#,
            r#"for="192.0.2.1\"#,
            r#"for="192.0.2.1"x"#,
            r#"for="""#,
            "for=192.0.2.01",
            "for=example.org",
            "for=\"192.0.2.1\n\"",
            "for=\"\u{7f}\"",
            "for=192.0.2.1\0",
        ];
        for line in refused {
            assert_eq!(read(line), Err(AddressError::Malformed), "{line:?}");
        }
    }

    #[test]
    fn more_elements_or_pairs_than_are_read_are_refused() {
        let many = vec!["for=192.0.2.1"; 65].join(",");
        assert_eq!(read(&many), Err(AddressError::TooLong));
        let pairs: Vec<String> = (0..=MAX_PAIRS).map(|at| format!("p{at}=x")).collect();
        assert_eq!(read(&pairs.join(";")), Err(AddressError::Malformed));
    }
}
