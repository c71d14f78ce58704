//! The enrolment as a picture to scan.

use data_encoding::BASE64;
use png::{BitDepth, ColorType, Encoder};
use qrcode::{Color, EcLevel, QrCode};

use crate::Enrolment;

impl Enrolment {
    /// The QR code as a PNG in a `data:` address, for an `img` element. It holds the secret: no cache,
    /// no log.
    ///
    /// One bit a pixel, eight pixels a module, a quiet zone of four modules (ISO/IEC 18004), error
    /// correction M.
    #[must_use]
    pub fn png_data_uri(&self) -> String {
        // Never empty: the longest address fits twice over, and a vector takes whatever is written.
        let png = Modules::of(self.uri()).and_then(|modules| modules.png());
        format!(
            "data:image/png;base64,{}",
            BASE64.encode(&png.unwrap_or_default())
        )
    }

    /// The QR code as an SVG element, without scripts, styles or anything loaded from elsewhere. It
    /// holds the secret, too.
    #[must_use]
    pub fn svg(&self) -> String {
        Modules::of(self.uri())
            .map(|modules| modules.svg())
            .unwrap_or_default()
    }
}

/// The dark and light squares, quiet zone included, row by row.
struct Modules {
    width: usize,
    dark: Vec<bool>,
}

impl Modules {
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let inner = code.width();
        let width = inner.checked_add(2 * QUIET)?;
        let colors = code.to_colors();
        let empty = || std::iter::repeat_n(false, width);
        let mut dark: Vec<bool> = (0..QUIET).flat_map(|_| empty()).collect();
        for row in colors.chunks(inner) {
            dark.extend([false; QUIET]);
            dark.extend(row.iter().map(|color| *color == Color::Dark));
            dark.extend([false; QUIET]);
        }
        dark.extend((0..QUIET).flat_map(|_| empty()));
        Some(Self { width, dark })
    }

    fn png(&self) -> Option<Vec<u8>> {
        let side = u32::try_from(self.width.checked_mul(SCALE)?).ok()?;
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, side, side);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::One);
        let mut writer = encoder.write_header().ok()?;
        // Eight pixels a module is one byte a module: dark is 0.
        let row = |row: &[bool]| -> Vec<u8> {
            row.iter()
                .map(|dark| if *dark { 0x00 } else { 0xff })
                .collect()
        };
        let rows = self.dark.chunks(self.width).map(row);
        let pixels: Vec<u8> = rows.flat_map(|row| row.repeat(SCALE)).collect();
        writer.write_image_data(&pixels).ok()?;
        writer.finish().ok()?;
        Some(file)
    }

    fn svg(&self) -> String {
        let width = self.width;
        let side = width.saturating_mul(SCALE);
        let mut path = String::new();
        for (y, row) in self.dark.chunks(width).enumerate() {
            let mut x = 0_usize;
            for run in row.chunk_by(|one, next| one == next) {
                if run.first() == Some(&true) {
                    let long = run.len();
                    path.push_str(&format!("M{x} {y}h{long}v1h-{long}z"));
                }
                x = x.saturating_add(run.len());
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{side}\" height=\"{side}\" \
             viewBox=\"0 0 {width} {width}\" shape-rendering=\"crispEdges\">\
             <path fill=\"#fff\" d=\"M0 0h{width}v{width}h-{width}z\"/>\
             <path fill=\"#000\" d=\"{path}\"/></svg>"
        )
    }
}

/// Pixels a module, and so bits in a row's byte.
const SCALE: usize = 8;
const QUIET: usize = 4;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::enrolment::MAX_ACCOUNT;
    use portcullis_core::Timestamp;
    use std::io::Cursor;

    fn enrolment(issuer: &str, account: &str) -> Enrolment {
        Enrolment::new(&[7; 20], issuer, account, Timestamp::MAX)
    }

    /// The picture's modules again: the pixel in the middle of each.
    fn read(enrolment: &Enrolment) -> (usize, Vec<bool>) {
        let uri = enrolment.png_data_uri();
        let file = uri.strip_prefix("data:image/png;base64,").unwrap();
        let file = BASE64.decode(file.as_bytes()).unwrap();
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!(
            (info.bit_depth, info.color_type),
            (BitDepth::One, ColorType::Grayscale)
        );
        let side = usize::try_from(info.width).unwrap();
        assert_eq!((info.width, side % SCALE), (info.height, 0));
        let width = side / SCALE;
        let bit = |x: usize, y: usize| pixels[y * info.line_size + x / 8] >> (7 - x % 8) & 1;
        let middle = |at: usize| bit(at % width * SCALE + 4, at / width * SCALE + 4) == 0;
        (width, (0..width * width).map(middle).collect())
    }

    #[test]
    fn the_picture_is_the_code_of_the_address_inside_a_quiet_zone() {
        let made = enrolment("Example Bank", "alice@example.org");
        let (width, dark) = read(&made);
        let code = QrCode::with_error_correction_level(made.uri(), EcLevel::M).unwrap();
        assert_eq!(width, code.width() + 8);
        for (at, dark) in dark.iter().enumerate() {
            let (x, y) = (at % width, at / width);
            let inner = 4..width - 4;
            let expected =
                inner.contains(&x) && inner.contains(&y) && code[(x - 4, y - 4)] == Color::Dark;
            assert_eq!(*dark, expected, "{x} {y}");
        }
    }

    #[test]
    fn the_longest_address_still_has_a_picture() {
        let made = enrolment(&"\u{7ff}".repeat(64), &"&".repeat(MAX_ACCOUNT));
        let (width, dark) = read(&made);
        assert!(width > 100 && dark.contains(&true));
        assert!(made.svg().len() > 10_000);
    }

    #[test]
    fn the_drawing_has_the_same_modules_and_nothing_of_the_names() {
        let made = enrolment("<script>", "\"><script>alert(1)");
        let svg = made.svg();
        assert!(!svg.contains("script") && !svg.contains("secret") && !svg.contains("href"));
        let modules = Modules::of(made.uri()).unwrap();
        let (_, path) = svg.split_once("fill=\"#000\" d=\"").unwrap();
        let mut drawn = vec![false; modules.dark.len()];
        for run in path.split('M').skip(1) {
            let (x, rest) = run.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let (long, _) = rest.split_once('v').unwrap();
            let [x, y, long] = [x, y, long].map(|number| number.parse::<usize>().unwrap());
            drawn[y * modules.width + x..][..long].fill(true);
        }
        assert_eq!(drawn, modules.dark);
    }
}
