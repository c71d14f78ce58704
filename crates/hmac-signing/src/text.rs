//! Short texts and numbers without an allocation.

/// Up to 64 bytes of ASCII.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Short {
    len: u8,
    bytes: [u8; Self::MAX_LEN],
}

impl Short {
    pub(crate) const MAX_LEN: usize = 64;

    /// `text`, if it has `least` to 64 bytes that are letters, digits or one of `marks`.
    pub(crate) fn of(text: &[u8], least: usize, marks: &[u8]) -> Option<Self> {
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || marks.contains(byte);
        if text.len() < least || !text.iter().all(known) {
            return None;
        }
        let mut bytes = [0; Self::MAX_LEN];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let len = u8::try_from(text.len()).ok()?;
        Some(Self { len, bytes })
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        let bytes = self.bytes.get(..usize::from(self.len));
        bytes.unwrap_or_default()
    }
}

/// A number in decimal digits, without leading zeros.
#[derive(Clone, Copy)]
pub(crate) struct Decimal {
    from: usize,
    digits: [u8; 20],
}

impl Decimal {
    pub(crate) fn of(number: u64) -> Self {
        let (mut left, mut from, mut digits) = (number, 20_usize, [b'0'; 20]);
        for (at, digit) in digits.iter_mut().enumerate().rev() {
            // Below ten, so that it fits; the sum stays below 58.
            *digit = b'0'.saturating_add(u8::try_from(left % 10).unwrap_or(0));
            left /= 10;
            from = at;
            if left == 0 {
                break;
            }
        }
        Self { from, digits }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.from..).unwrap_or_default()
    }

    /// The number in `text`, if that is its one spelling and has at most `most` digits.
    pub(crate) fn parse(text: &[u8], most: usize) -> Option<u64> {
        let padded = text.len() > 1 && text.first() == Some(&b'0');
        if text.is_empty() || text.len() > most || padded {
            return None;
        }
        text.iter().try_fold(0_u64, |number, byte| {
            let digit = byte.is_ascii_digit().then(|| byte.saturating_sub(b'0'))?;
            number.checked_mul(10)?.checked_add(u64::from(digit))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_as_rust_writes_it_and_read_from_that_alone() {
        let mut numbers = vec![0, 9, 10, 99, 100, u64::MAX - 1, u64::MAX];
        numbers.extend((0..64).map(|bit| 1_u64 << bit));
        for number in numbers {
            let text = Decimal::of(number);
            assert_eq!(text.as_bytes(), number.to_string().as_bytes());
            assert_eq!(Decimal::parse(text.as_bytes(), 20), Some(number));
        }
        for text in [
            "",
            "00",
            "01",
            "+5",
            "-1",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "1.",
            "１",
            "99999999999999999999",
        ] {
            assert_eq!(Decimal::parse(text.as_bytes(), 20), None, "{text:?}");
        }
        assert_eq!(Decimal::parse(b"1234567890123", 12), None);
    }
}
