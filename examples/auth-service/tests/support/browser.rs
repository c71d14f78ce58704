//! A real browser, driven over W3C WebDriver by bytes on a socket.
//!
//! Script is off unless a test asks for it: the pages have to work without.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests; each uses a part of this"
)]

use std::thread;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::driver::{Driver, Refused, signal};
use crate::element::Element;
use crate::tools::{found, skipped};

/// A headless browser with a profile of its own; it ends when dropped.
pub struct Browser {
    driver: Driver,
    session: String,
    process: Option<u64>,
    /// Last, for the driver ends the browser that writes to it.
    _profile: TempDir,
}

/// A cookie as the browser keeps it.
#[derive(Debug, Clone)]
pub struct Cookie {
    pub name: String,
    pub value: String,
    pub path: String,
    pub http_only: bool,
    pub secure: bool,
    pub same_site: String,
    /// Seconds since 1970; none for one that ends with the browser.
    pub expires_at: Option<u64>,
}

/// Whether there is a browser to drive.
pub fn present() -> bool {
    if found(BROWSERS).is_none() {
        return skipped("chromium");
    }
    found(&["chromedriver"]).is_some() || skipped("chromedriver")
}

impl Browser {
    /// A browser that runs no script of a page.
    pub fn open() -> Self {
        Self::start(false)
    }

    /// A browser that runs the scripts of a page.
    pub fn open_with_script() -> Self {
        Self::start(true)
    }

    pub fn goto(&self, url: &str) {
        self.complaints();
        self.post("/url", &json!({"url": url}));
    }

    pub fn url(&self) -> String {
        self.get("/url").as_str().unwrap().to_owned()
    }

    /// The URL's path alone.
    pub fn path(&self) -> String {
        let url = self.url();
        let (_, rest) = url.split_once("://").unwrap();
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.split(['?', '#']).next().unwrap().to_owned()
    }

    pub fn title(&self) -> String {
        self.get("/title").as_str().unwrap().to_owned()
    }

    /// One page back, as the browser's own button goes.
    pub fn back(&self) {
        self.post("/back", &json!({}));
    }

    pub fn source(&self) -> String {
        self.get("/source").as_str().unwrap().to_owned()
    }

    /// The first element that fits, waited for.
    pub fn find(&self, css: &str) -> Element<'_> {
        self.await_one("/element", "css selector", css)
    }

    pub fn find_all(&self, css: &str) -> Vec<Element<'_>> {
        self.all("/elements", "css selector", css)
    }

    /// The text that a reader sees.
    pub fn text(&self) -> String {
        self.find("body").text()
    }

    /// The field of that name, emptied and written anew.
    pub fn fill(&self, name: &str, text: &str) {
        self.find("body").fill(name, text);
    }

    /// Presses the button of that text, and waits for the page that follows.
    pub fn press(&self, text: &str) {
        self.find("body").press(text);
    }

    /// Follows the link of that text.
    pub fn follow(&self, text: &str) {
        self.turn_page(|| self.find("body").by_text("a", text).click());
    }

    /// The element that has the keyboard.
    pub fn focused(&self) -> Element<'_> {
        self.element(&self.get("/element/active"))
    }

    /// The tab key, pressed as a keyboard does.
    pub fn tab(&self) {
        let stroke = json!([{"type": "keyDown", "value": "\u{e004}"}, {"type": "keyUp", "value": "\u{e004}"}]);
        self.post(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": stroke}]}),
        );
    }

    /// A window of exactly that many CSS pixels; a narrow one is a phone's, which obeys the
    /// page's viewport.
    pub fn set_window(&self, width: u32, height: u32) {
        let phone = width < 600;
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Whether the reader's system is set to dark colours.
    pub fn set_dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What the window shows, as a PNG.
    pub fn screenshot(&self) -> Vec<u8> {
        decoded(&self.get("/screenshot"))
    }

    /// The whole page, what is scrolled out of sight too, as a PNG.
    pub fn page_screenshot(&self) -> Vec<u8> {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        decoded(&self.devtools("Page.captureScreenshot", &whole)["data"])
    }

    /// How wide the page is in CSS pixels: wider than the window when it scrolls sideways.
    pub fn page_width(&self) -> f64 {
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({}));
        metrics["cssContentSize"]["width"].as_f64().unwrap()
    }

    /// What a script answers; for measuring alone.
    pub fn execute_script(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What the browser complained of since it was last asked or turned a page: a refused style, a
    /// missing picture.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap().iter();
        let messages = entries.map(|entry| entry["message"].as_str().unwrap().to_owned());
        // A page that refuses something has a status of its own, and says why itself; for the icon
        // the browser asks of its own accord.
        let page = format!("{} - Failed to load resource", self.url());
        let own = |message: &String| message.starts_with(&page) || message.contains("/favicon.ico");
        messages.filter(|message| !own(message)).collect()
    }

    pub fn cookies(&self) -> Vec<Cookie> {
        let all = self.get("/cookie");
        all.as_array().unwrap().iter().map(Cookie::read).collect()
    }

    /// Puts a cookie back that was saved; the page shown has to be one of its site.
    pub fn add_cookie(&self, cookie: &Cookie) {
        let Cookie { name, value, .. } = cookie;
        let mut kept = json!({
            "name": name, "value": value, "path": cookie.path, "secure": cookie.secure,
            "httpOnly": cookie.http_only, "sameSite": cookie.same_site,
        });
        if let Some(expires_at) = cookie.expires_at {
            kept["expiry"] = expires_at.into();
        }
        self.post("/cookie", &json!({"cookie": kept}));
    }

    pub fn delete_cookies(&self) {
        self.call("DELETE", "/cookie", None).unwrap();
    }

    /// Acts, and waits until the page that was shown has given way to another.
    pub fn turn_page(&self, act: impl FnOnce()) {
        let old = self.find("html");
        self.complaints();
        act();
        let begun = Instant::now();
        while self.call("GET", &old.at("/name"), None).is_ok() {
            assert!(
                begun.elapsed() < PATIENCE,
                "no page followed {}: {}",
                self.url(),
                self.text()
            );
            thread::sleep(PAUSE);
        }
    }

    fn start(script: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start();
        let wanted = capabilities(&profile, script);
        let made = driver
            .call("POST", "/session", Some(&wanted))
            .unwrap_or_else(|refused| panic!("no browser: {refused:?}"));
        Self {
            driver,
            session: made["sessionId"].as_str().unwrap().to_owned(),
            process: made["capabilities"]["goog:processID"].as_u64(),
            _profile: profile,
        }
    }

    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            &json!({"cmd": command, "params": parameters}),
        )
    }

    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, None)
            .unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, Some(body))
            .unwrap_or_else(|refused| panic!("{path} {body}: {refused:?}"))
    }

    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refused> {
        let path = format!("/session/{}{path}", self.session);
        self.driver.call(method, &path, body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.call("DELETE", "", None);
        let Some(process) = self.process else { return };
        // It writes to its profile until it is gone; one that stays is killed with its driver.
        let begun = Instant::now();
        while signal("-0", &process.to_string()) && begun.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
    }
}

impl Cookie {
    fn read(kept: &Value) -> Self {
        let text = |member: &str| kept[member].as_str().unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            value: text("value"),
            path: text("path"),
            http_only: kept["httpOnly"] == true,
            secure: kept["secure"] == true,
            same_site: text("sameSite"),
            expires_at: kept["expiry"].as_u64(),
        }
    }
}

/// The picture in an answer.
pub fn decoded(picture: &Value) -> Vec<u8> {
    BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap()
}

fn capabilities(profile: &TempDir, script: bool) -> Value {
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(|flag| (*flag).to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    let mut options = json!({"args": arguments, "binary": found(BROWSERS).unwrap()});
    if !script {
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let timeouts = json!({"implicit": 0, "pageLoad": 20_000, "script": 5_000});
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome", "timeouts": timeouts, "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
    }}})
}

/// What the browser is called, by who packs it.
const BROWSERS: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
const ARGUMENTS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
    // A page is then as wide as its window.
    "--hide-scrollbars",
];
/// How long a page may take to show what is looked for.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PAUSE: Duration = Duration::from_millis(20);
