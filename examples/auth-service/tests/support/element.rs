//! An element of the page that the browser shows, and how one is found.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests; each uses a part of this"
)]

use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::browser::{Browser, PATIENCE, PAUSE, decoded};

/// An element of the page that the browser shows.
pub struct Element<'browser> {
    browser: &'browser Browser,
    id: String,
}

impl Element<'_> {
    /// The text that a reader sees.
    pub fn text(&self) -> String {
        let text = self.browser.get(&self.at("/text"));
        text.as_str().unwrap().to_owned()
    }

    /// What tells it from every other element of the page.
    pub fn identity(&self) -> String {
        self.id.clone()
    }

    /// The name of its tag.
    pub fn tag(&self) -> String {
        let name = self.browser.get(&self.at("/name"));
        name.as_str().unwrap().to_owned()
    }

    pub fn attribute(&self, name: &str) -> Option<String> {
        let value = self.browser.get(&self.at(&format!("/attribute/{name}")));
        value.as_str().map(str::to_owned)
    }

    /// The computed value of a CSS property.
    pub fn style(&self, property: &str) -> String {
        let value = self.browser.get(&self.at(&format!("/css/{property}")));
        value.as_str().unwrap().to_owned()
    }

    pub fn find(&self, css: &str) -> Self {
        let path = self.at("/element");
        self.browser.await_one(&path, "css selector", css)
    }

    pub fn find_all(&self, css: &str) -> Vec<Self> {
        let path = self.at("/elements");
        self.browser.all(&path, "css selector", css)
    }

    /// The elements that an XPath from here leads to.
    pub fn find_by_path(&self, xpath: &str) -> Vec<Self> {
        self.browser.all(&self.at("/elements"), "xpath", xpath)
    }

    /// The field of that name in here, emptied and written anew.
    pub fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("[name='{name}']:not([type='hidden'], [hidden])"));
        field.clear();
        field.send_keys(text);
    }

    /// Presses the button of that text in here, and waits for the page that follows.
    pub fn press(&self, text: &str) {
        let browser = self.browser;
        browser.turn_page(|| self.by_text("button", text).click());
    }

    pub fn send_keys(&self, text: &str) {
        self.browser
            .post(&self.at("/value"), &json!({"text": text}));
    }

    pub fn click(&self) {
        self.browser.post(&self.at("/click"), &json!({}));
    }

    pub fn clear(&self) {
        self.browser.post(&self.at("/clear"), &json!({}));
    }

    /// This element, scrolled into sight, as a PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        decoded(&self.browser.get(&self.at("/screenshot")))
    }

    /// The element of that tag in here whose text is this one.
    pub fn by_text(&self, tag: &str, text: &str) -> Self {
        assert!(!text.contains('"'), "not sayable in XPath");
        let xpath = format!(".//{tag}[normalize-space()=\"{text}\"]");
        self.browser
            .await_one(&self.at("/element"), "xpath", &xpath)
    }

    pub fn at(&self, rest: &str) -> String {
        format!("/element/{}{rest}", self.id)
    }
}

impl Browser {
    pub fn await_one(&self, path: &str, using: &str, value: &str) -> Element<'_> {
        let begun = Instant::now();
        loop {
            match self.call("POST", path, Some(&json!({"using": using, "value": value}))) {
                Ok(element) => return self.element(&element),
                Err(refused) => assert!(
                    begun.elapsed() < PATIENCE,
                    "no `{value}` on {}: {refused:?}\n{}",
                    self.url(),
                    self.source()
                ),
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn all(&self, path: &str, using: &str, value: &str) -> Vec<Element<'_>> {
        let all = self.post(path, &json!({"using": using, "value": value}));
        let all = all.as_array().unwrap().iter();
        all.map(|element| self.element(element)).collect()
    }

    pub fn element(&self, answer: &Value) -> Element<'_> {
        Element {
            browser: self,
            id: answer[ELEMENT].as_str().unwrap().to_owned(),
        }
    }
}

/// The member that marks an element, WebDriver §12.2.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
