//! One key in PEM, and nothing beside it (RFC 7468).

use data_encoding::BASE64;
use portcullis_core::Secret;

use crate::Error;

/// A text that is one PEM block.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    body: &'a str,
}

impl<'a> Block<'a> {
    /// Reads a text of exactly one block; white space may stand around it and within its body, as
    /// forms and editors leave it (RFC 7468 §3, `laxtextualmsg`).
    pub(crate) fn read(text: &'a str) -> Result<Self, Error> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::Key("a key's PEM has at most 16384 bytes"));
        }
        Self::cut(text.trim_ascii()).ok_or(Error::Key("the text is not one PEM block"))
    }

    fn cut(text: &'a str) -> Option<Self> {
        let (label, rest) = text.strip_prefix("-----BEGIN ")?.split_once("-----")?;
        let body = rest
            .strip_suffix("-----")?
            .strip_suffix(label)?
            .strip_suffix("-----END ")?;
        let line = body.trim_matches([' ', '\t']);
        let own_lines = line.starts_with(['\n', '\r']) && line.ends_with(['\n', '\r']);
        // A second block, or a header such as `Proc-Type`, has what base64 has not.
        let one = !body.contains(['-', ':']);
        (own_lines && one).then_some(Self { label, body })
    }

    /// The block's bytes, wiped when dropped: nobody knows yet whether they are public.
    pub(crate) fn decode(&self) -> Result<Secret, Error> {
        let mut packed = Vec::with_capacity(self.body.len());
        packed.extend(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let packed = Secret::from(packed);
        BASE64
            .decode(packed.expose())
            .map(Secret::from)
            .map_err(|_| Error::Key("the PEM block is not base64"))
    }
}

/// The text of a block as `openssl` writes it.
pub(crate) fn write(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = BASE64.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE_CHARS).unwrap_or((rest, ""));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// A private key of 4096 bits has about 3300.
const TEXT_BYTES_MAX: usize = 16_384;
const LINE_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, Error> {
        Block::read(text)?.decode().map(|der| der.expose().to_vec())
    }

    #[test]
    fn reads_what_it_writes_and_the_white_space_that_forms_add() {
        let der: Vec<u8> = (0..200).collect();
        let text = write("PUBLIC KEY", &der);
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(Block::read(&text).unwrap().label, "PUBLIC KEY");
        for text in [
            text.clone(),
            text.trim_end().to_owned(),
            text.replace('\n', "\r\n"),
            text.replace('\n', "\n  "),
            format!("\r\n \t{text}\n\n"),
        ] {
            assert_eq!(read(&text).as_deref(), Ok(&*der), "{text}");
        }
    }

    #[test]
    fn refuses_anything_but_one_block() {
        let good = write("PUBLIC KEY", b"some bytes of a key");
        for text in [
            String::new(),
            " \n".into(),
            "ssh-rsa AAAAB3NzaC1yc2E= me@example.com".into(),
            format!("{good}{good}"),
            format!("# my key\n{good}"),
            format!("{good}# my key"),
            good.replace("END PUBLIC", "END RSA PUBLIC"),
            good.replace("-----END", "----END"),
            good.replace("BEGIN PUBLIC KEY-----\n", "BEGIN PUBLIC KEY-----"),
            good.replace("\n-----END", "-----END"),
            good.replace("KEY-----\nc29t", "KEY-----\nProc-Type: 4,ENCRYPTED\n\nc29t"),
            good.to_lowercase(),
        ] {
            let refused = Err(Error::Key("the text is not one PEM block"));
            assert_eq!(read(&text), refused, "{text}");
        }
        let long = write("PUBLIC KEY", &[0; 20_000]);
        let refused = Err(Error::Key("a key's PEM has at most 16384 bytes"));
        assert_eq!(read(&long), refused);
    }

    #[test]
    fn refuses_a_body_that_is_not_base64() {
        let good = write("PUBLIC KEY", b"some bytes of a key");
        for (from, to) in [
            ("c29t", "c2_t"),
            ("==", ""),
            ("==", "="),
            ("==", "==="),
            ("c29t", "c29é"),
        ] {
            let text = good.replace(from, to);
            assert!(matches!(read(&text), Err(Error::Key(_))), "{text}");
        }
    }
}
