//! What every page owes its readers, whatever it is about, and a picture of each.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "tests; each uses a part of this"
)]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::browser::Browser;
use crate::element::Element;

/// The pages that were looked at, as pictures in a folder.
pub struct Album {
    /// Where pictures go, if they are asked for: taking them is half of what a page costs.
    folder: Option<PathBuf>,
    shown: Cell<u32>,
}

impl Album {
    /// In the folder that `PORTCULLIS_SCREENSHOTS` names; without it pages are looked at, and not pictured.
    pub fn new() -> Self {
        let folder = std::env::var_os("PORTCULLIS_SCREENSHOTS").map(PathBuf::from);
        if let Some(folder) = &folder {
            std::fs::create_dir_all(folder).unwrap();
        }
        Self::within(folder.as_deref())
    }

    pub fn within(folder: Option<&Path>) -> Self {
        Self {
            folder: folder.map(Path::to_owned),
            shown: Cell::new(1),
        }
    }

    /// Holds the page shown to what every page owes on a phone and on a desk; where pictures were asked for
    /// takes them, in the dark too. The page stays as it was, on a desk.
    pub fn page(&self, browser: &Browser, name: &str) {
        let number = self.shown.get();
        self.shown.set(number + 1);
        let keep = |of: &str| {
            if let Some(folder) = &self.folder {
                let file = folder.join(format!("{number:02}-{name}-{of}.png"));
                std::fs::write(file, browser.page_screenshot()).unwrap();
            }
        };
        browser.set_window(PHONE.0, PHONE.1);
        // For whoever asked for pictures: nothing is checked of it.
        if self.folder.is_some() {
            browser.set_dark(true);
            keep("dark");
            browser.set_dark(false);
        }
        for (width, height) in [PHONE, DESK] {
            browser.set_window(width, height);
            assert_eq!(
                browser.page_width(),
                f64::from(width),
                "{name} scrolls sideways at {width} pixels"
            );
            keep(&width.to_string());
        }
        can_be_read(browser, name);
        shows_the_keyboards_place(browser, name);
        let complaints = browser.complaints();
        assert_eq!(complaints, Vec::<String>::new(), "{name}");
    }
}

/// A language, a title, one first heading, and a label for whatever is asked.
fn can_be_read(browser: &Browser, name: &str) {
    let language = browser.find("html").attribute("lang");
    let told = language.is_some_and(|lang| !lang.is_empty());
    assert!(told, "{name} has no language");
    assert!(!browser.title().trim().is_empty(), "{name} has no title");
    let headings = browser.find_all("h1");
    assert_eq!(headings.len(), 1, "{name} has one first heading");
    for field in browser.find_all(FIELDS) {
        let labels = labels(browser, &field);
        let seen = labels.iter().any(|label| !label.text().trim().is_empty());
        let field = field.attribute("name").unwrap_or_default();
        assert!(seen, "{name} asks for {field:?} without a label");
    }
}

fn labels<'browser>(
    browser: &'browser Browser,
    field: &Element<'browser>,
) -> Vec<Element<'browser>> {
    let mut labels = field.find_by_path("./ancestor::label");
    if let Some(id) = field.attribute("id") {
        labels.extend(browser.find_all(&format!("label[for='{id}']")));
    }
    labels
}

/// The tab key comes to everything that can be used, and each shows that it is there.
fn shows_the_keyboards_place(browser: &Browser, name: &str) {
    let usable = browser.find_all(USABLE);
    let usable: BTreeSet<String> = usable.into_iter().map(|one| one.identity()).collect();
    let mut reached = BTreeSet::new();
    // Once around, past the page itself: a field may have had the keyboard from the start.
    for _ in 0..usable.len() + 2 {
        if reached == usable {
            break;
        }
        browser.tab();
        let focused = browser.focused();
        if usable.contains(&focused.identity()) {
            let ringed = focused.style("outline-style") != "none"
                && focused.style("outline-width") != "0px"
                || focused.style("box-shadow") != "none";
            assert!(ringed, "{name}: no focus on {:?}", focused.text());
            reached.insert(focused.identity());
        }
    }
    assert_eq!(reached, usable, "{name}: the keyboard comes everywhere");
}

/// A phone's window in CSS pixels.
pub const PHONE: (u32, u32) = (390, 844);
/// A desk's.
pub const DESK: (u32, u32) = (1280, 900);
const FIELDS: &str = "input:not([type='hidden'], [hidden]), select, textarea";
const USABLE: &str =
    "a[href], button, summary, input:not([type='hidden'], [hidden]), select, textarea";
