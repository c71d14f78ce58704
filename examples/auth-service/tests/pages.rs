//! The story of a first administrator, told by a real browser that runs no script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "tests"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/driver.rs"]
mod driver;
#[path = "support/element.rs"]
mod element;
#[path = "support/looks.rs"]
mod looks;
mod support;
#[path = "support/tools.rs"]
mod tools;
// Told beside the browser's first story: each waits most of its time.
#[path = "support/client_pages.rs"]
mod client_pages;
#[path = "support/walkthrough.rs"]
mod walkthrough;

use std::thread;
use std::time::Duration;

use browser::{Browser, Cookie};
use looks::{Album, DESK, PHONE};
use portcullis::core::{Clock, SystemClock};
use serde_json::json;
use support::{ADMIN_PASSWORD, Client, Service, UNLIMITED, data};
use tools::{oath_code, read_qr, tools};

const PASSWORD: &str = "alice's own long phrase";

#[test]
fn the_pages_tell_their_whole_story_without_script() {
    if !browser::present() || !tools(&["zbarimg", "oathtool"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(&data(&folder), UNLIMITED);
    let album = Album::new();
    let admin = Visitor::new(&service, &album);

    admin.comes_with_the_one_time_password(&service.one_time_password());
    let mut phone = admin.scans_the_picture();
    let codes = admin.keeps_the_recovery_codes(&mut phone);
    admin.signs_out();
    admin.signs_in_with_a_code(&mut phone);

    let other = Visitor::new(&service, &album);
    make_alice(Client(service.address), &mut phone);
    other.locks_alice_out();
    admin.unlocks_alice();
    other.signs_in_as_alice();
    other.signs_in_with_a_recovery_code(&codes[0]);
    admin.looks_around();
    admin.draws_new_recovery_codes(&mut phone, &codes);
    admin.logs_out_everywhere();
    other.is_out();
    other.is_refused_without_its_cookie();
}

/// Somebody before a browser.
struct Visitor<'story> {
    browser: Browser,
    album: &'story Album,
    site: String,
}

impl<'story> Visitor<'story> {
    fn new(service: &Service, album: &'story Album) -> Self {
        let browser = Browser::open();
        browser.set_window(DESK.0, DESK.1);
        Self {
            browser,
            album,
            site: format!("http://{}", service.address),
        }
    }

    fn goes_to(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.site));
    }

    fn is_at(&self, path: &str) {
        let page = self.browser.text();
        assert_eq!(self.browser.path(), path, "{page}");
    }

    fn reads(&self, words: &str) {
        let page = self.browser.text();
        assert!(page.contains(words), "no `{words}`: {page}");
    }

    fn shows(&self, name: &str) {
        self.album.page(&self.browser, name);
    }

    fn signs_in(&self, username: &str, password: &str) {
        self.goes_to("/sign-in");
        self.browser.fill("username", username);
        self.browser.fill("password", password);
        self.browser.press("Sign in");
    }

    /// The one cookie of the site, which no script can read and no other site can send.
    fn cookie(&self) -> Cookie {
        let mut cookies = self.browser.cookies();
        assert_eq!(cookies.len(), 1, "{cookies:?}");
        let cookie = cookies.remove(0);
        assert!(cookie.http_only && cookie.same_site == "Lax" && cookie.path == "/");
        cookie
    }

    fn comes_with_the_one_time_password(&self, one_time: &str) {
        self.goes_to("/account");
        self.is_at("/sign-in");
        self.shows("sign-in");
        let visitor = self.cookie().value;
        self.signs_in("admin", "not the password at all");
        self.shows("sign-in-refused");
        self.signs_in("admin", one_time);
        self.is_at("/password");
        // A cookie that was planted before is not the one that opens.
        assert_ne!(self.cookie().value, visitor);
        self.goes_to("/admin");
        self.is_at("/password");
        self.shows("password-due");

        self.changes_password(one_time, "short");
        self.shows("password-refused");
        self.changes_password(one_time, ADMIN_PASSWORD);
        self.is_at("/sign-in");
        self.shows("sign-in-anew");
        self.signs_in("admin", ADMIN_PASSWORD);
        self.is_at("/account/enrol");
        self.goes_to("/admin");
        self.is_at("/account/enrol");
        self.shows("enrol-due");
    }

    fn changes_password(&self, current: &str, new: &str) {
        self.browser.fill("current_password", current);
        self.browser.fill("new_password", new);
        self.browser.press("Change password");
    }

    /// The secret goes from the screen into an authenticator, on a desk and on a phone alike.
    fn scans_the_picture(&self) -> Authenticator {
        self.browser.press("Set up an authenticator");
        self.shows("enrol-picture");
        let uri = read_qr(&self.browser.screenshot());
        for dark in [true, false] {
            self.browser.set_dark(dark);
            for (width, height) in [PHONE, DESK] {
                self.browser.set_window(width, height);
                assert_eq!(read_qr(&self.browser.screenshot()), uri, "{width} {dark}");
            }
        }
        let phone = Authenticator::scanning(&uri);
        let shown = self.browser.find(".secret").text();
        assert_eq!(shown.replace(char::is_whitespace, ""), phone.secret);
        phone
    }

    fn keeps_the_recovery_codes(&self, phone: &mut Authenticator) -> Vec<String> {
        self.browser.fill("code", "000000");
        self.browser.press("Confirm");
        self.shows("enrol-wrong-code");
        assert!(
            !self.browser.source().contains(&phone.secret),
            "shown twice"
        );
        self.browser.fill("code", &phone.next_code());
        self.browser.press("Confirm");
        self.shows("recovery-codes");
        let codes = self.recovery_codes();
        self.browser.press("I have kept them");
        self.is_at("/account");
        self.shows("account");
        self.shows_no_longer(&codes);
        codes
    }

    fn recovery_codes(&self) -> Vec<String> {
        let codes = self.browser.find_all(".codes code");
        let codes: Vec<String> = codes.iter().map(element::Element::text).collect();
        assert_eq!(codes.len(), 10);
        for code in &codes {
            let groups: Vec<&str> = code.split('-').collect();
            let whole = groups.len() == 6 && groups.iter().all(|group| group.len() == 4);
            assert!(whole, "a code of 120 bits");
        }
        codes
    }

    /// Neither where the story goes on nor one page back.
    fn shows_no_longer(&self, codes: &[String]) {
        let hidden = |page: &str| codes.iter().all(|code| !page.contains(code));
        assert!(hidden(&self.browser.source()), "shown twice");
        self.browser.back();
        assert!(hidden(&self.browser.source()), "shown on the way back");
        self.goes_to("/account");
    }

    fn signs_out(&self) {
        let before = self.cookie();
        self.browser.press("Sign out");
        self.is_at("/sign-in");
        self.shows("signed-out");
        assert_ne!(self.cookie().value, before.value);
        self.browser.delete_cookies();
        self.browser.add_cookie(&before);
        self.is_out();
    }

    fn is_out(&self) {
        self.goes_to("/account");
        self.is_at("/sign-in");
    }

    fn signs_in_with_a_code(&self, phone: &mut Authenticator) {
        self.signs_in("admin", ADMIN_PASSWORD);
        self.shows("code");
        let half = self.cookie();
        self.browser.fill("code", &phone.used_code());
        self.browser.press("Continue");
        self.shows("code-used-twice");
        self.browser.fill("code", &phone.next_code());
        self.browser.press("Continue");
        self.is_at("/account");
        assert_ne!(self.cookie().value, half.value);
    }

    fn locks_alice_out(&self) {
        for _ in 0..5 {
            self.signs_in("alice", "not her phrase at all");
            self.is_at("/sign-in");
        }
        let told = self.browser.text();
        self.signs_in("alice", PASSWORD);
        // Whoever guesses does not learn that the account is locked.
        self.is_at("/sign-in");
        assert_eq!(self.browser.text(), told);
    }

    fn unlocks_alice(&self) {
        self.browser.follow("Admin");
        self.is_at("/admin");
        self.shows("admin-locked");
        let locked = self
            .browser
            .find("section[aria-labelledby='locked-heading']");
        assert!(locked.text().contains("alice"), "{}", locked.text());
        locked.press("Unlock");
        self.shows("admin-unlocked");
        self.reads("No account is locked.");
    }

    fn signs_in_as_alice(&self) {
        self.signs_in("alice", PASSWORD);
        self.is_at("/account");
        self.shows("account-without-factor");
        self.goes_to("/admin");
        self.shows("no-administrator");
        let page = self.browser.source();
        assert!(!page.contains("Locked accounts"), "{page}");
        self.goes_to("/account");
        self.browser.press("Sign out");
    }

    fn signs_in_with_a_recovery_code(&self, code: &str) {
        self.signs_in("admin", ADMIN_PASSWORD);
        self.browser.press("Use a recovery code");
        self.shows("recovery");
        self.browser.fill("code", "AAAA-AAAA-AAAA-AAAA-AAAA-AAAA");
        self.browser.press("Continue");
        self.shows("recovery-refused");
        self.browser
            .fill("code", &code.to_lowercase().replace('-', " "));
        self.browser.press("Continue");
        self.is_at("/account");
        self.reads("9 of 10");
        let sessions = self.browser.find_all(".list li");
        assert_eq!(sessions.len(), 2, "this session and the other's");
        self.shows("account-two-sessions");
    }

    fn looks_around(&self) {
        self.goes_to("/admin/audit?user=alice&action=lockout");
        let events = self.browser.find_all(".events tbody tr");
        assert_eq!(events.len(), 1, "{}", self.browser.text());
        self.shows("audit");
        self.goes_to("/step-up?next=/admin");
        self.shows("step-up");
        self.goes_to("/password");
        self.shows("password");
    }

    fn draws_new_recovery_codes(&self, phone: &mut Authenticator, old: &[String]) {
        self.goes_to("/account");
        self.browser.fill("code", "000000");
        self.browser.press("New recovery codes");
        self.shows("account-wrong-code");
        self.browser.fill("code", &phone.next_code());
        self.browser.press("New recovery codes");
        let codes = self.recovery_codes();
        assert!(codes.iter().all(|code| !old.contains(code)));
        self.shows("new-recovery-codes");
    }

    fn logs_out_everywhere(&self) {
        self.goes_to("/account");
        self.browser.press("Log out everywhere");
        self.is_at("/sign-in");
        self.is_out();
    }

    /// The page's token was made for the cookie that was there.
    fn is_refused_without_its_cookie(&self) {
        self.goes_to("/sign-in");
        self.browser.delete_cookies();
        self.browser.fill("username", "alice");
        self.browser.fill("password", PASSWORD);
        self.browser.press("Sign in");
        self.shows("refused");
        self.is_out();
    }
}

/// Makes a user over JSON, as the administrator.
fn make_alice(client: Client, phone: &mut Authenticator) {
    let challenged = client.login("admin", ADMIN_PASSWORD).expect(401);
    let admin = client.answer(&challenged, &phone.next_code()).expect(200);
    let admin = admin.text("access_token");
    client.make_user(&admin, "alice", PASSWORD);
    client
        .post("/v1/logout", Some(&admin), &json!({}))
        .expect(204);
}

/// A phone with the secret of a picture; oathtool computes.
struct Authenticator {
    secret: String,
    used: u64,
}

impl Authenticator {
    fn scanning(uri: &str) -> Self {
        assert!(uri.starts_with("otpauth://totp/portcullis:admin?"), "{uri}");
        let (_, secret) = uri.split_once("secret=").unwrap();
        Self {
            secret: secret.split('&').next().unwrap().to_owned(),
            used: 0,
        }
    }

    /// A code that was not used: each is good for one step before and after its own, so three in a
    /// row need no wait.
    fn next_code(&mut self) -> String {
        let now = SystemClock.now().as_unix_secs();
        let step = (self.used + 1).max(now / STEP_SECS - 1);
        if let Some(early) = ((step - 1) * STEP_SECS)
            .checked_sub(now)
            .filter(|early| *early > 0)
        {
            println!("waiting {early} s for a code that was not used");
            thread::sleep(Duration::from_secs(early));
        }
        self.used = step;
        self.used_code()
    }

    fn used_code(&self) -> String {
        oath_code(&self.secret, self.used * STEP_SECS)
    }
}

const STEP_SECS: u64 = 30;
