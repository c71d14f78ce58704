//! A client application and its keys, as an administrator makes and ends them in a real browser that
//! runs no script.
use serde_json::json;

use crate::browser::{self, Browser};
use crate::element::Element;
use crate::looks::{Album, DESK};
use crate::support::{ADMIN_PASSWORD, Client, Factor, Service, data, raw, unlimited};

#[test]
fn a_client_and_its_keys_come_and_go_without_script() {
    if !browser::present() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let flags = unlimited(&["--standard-per-second=1000", "--premium-per-second=1000"]);
    let service = Service::start(&data(&folder), &flags);
    let client = Client(service.address);
    let admin = client.take_over("admin", &service.one_time_password(), ADMIN_PASSWORD);
    let factor = client.enrol(&admin.text("access_token"));

    let album = Album::new();
    let visitor = Visitor::new(&service, &album);
    visitor.signs_in_by_recovery_code(&factor);
    visitor.is_asked_for_a_code_and_comes_back(&factor);
    visitor.registers_a_client();
    let first = visitor.makes_an_api_key();
    visitor.loads_the_secret_again(&first);
    visitor.makes_a_signing_secret();
    visitor.registers_a_public_key();
    let second = visitor.rotates(&first);
    visitor.looks_at_it_all();
    visitor.ends_the_grace(&first, &second);
    visitor.revokes(&second);
    visitor.edits_the_networks();
    visitor.disables_and_enables();
    visitor.looks_for_unused_keys();
    visitor.finds_no_other_client();
}

/// An administrator before a browser.
struct Visitor<'story> {
    browser: Browser,
    album: &'story Album,
    service: &'story Service,
}

impl<'story> Visitor<'story> {
    fn new(service: &'story Service, album: &'story Album) -> Self {
        let browser = Browser::open();
        browser.set_window(DESK.0, DESK.1);
        Self {
            browser,
            album,
            service,
        }
    }

    fn goes_to(&self, path: &str) {
        let address = self.service.address;
        self.browser.goto(&format!("http://{address}{path}"));
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

    fn section(&self, heading: &str) -> Element<'_> {
        let css = format!("section[aria-labelledby='{heading}-heading']");
        self.browser.find(&css)
    }

    /// The row of the key of that label.
    fn key(&self, label: &str) -> Element<'_> {
        let rows = self.browser.find_all(".keys tbody tr");
        let row = rows.into_iter().find(|row| row.text().contains(label));
        row.unwrap_or_else(|| panic!("no `{label}`: {}", self.browser.text()))
    }

    /// Follows a link in the row of that key.
    fn asks(&self, label: &str, what: &str) {
        let row = self.key(label);
        self.browser.turn_page(|| row.by_text("a", what).click());
    }

    /// What stands in a field now.
    fn value(&self, css: &str) -> String {
        let field = self.browser.find(css);
        let value = self.browser.get(&field.at("/property/value"));
        value.as_str().unwrap().to_owned()
    }

    /// What the service says to that API key.
    fn token(&self, key: &str) -> u16 {
        let address = self.service.address;
        let request = format!(
            "POST /v1/token HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {key}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n"
        );
        raw(address, request.as_bytes()).unwrap().status
    }

    fn signs_in_by_recovery_code(&self, factor: &Factor) {
        self.goes_to("/sign-in");
        self.browser.fill("username", "admin");
        self.browser.fill("password", ADMIN_PASSWORD);
        self.browser.press("Sign in");
        self.browser.press("Use a recovery code");
        self.browser.fill("code", &factor.recovery_codes[0]);
        self.browser.press("Continue");
        self.is_at("/account");
    }

    /// What was sent before the code is not done; the page says so.
    fn is_asked_for_a_code_and_comes_back(&self, factor: &Factor) {
        self.browser.follow("Clients");
        self.is_at("/admin/clients");
        self.reads("None is registered.");
        self.shows("clients-code-due");
        self.browser.fill("name", "billing");
        self.browser.press("Register");
        self.is_at("/step-up");
        self.browser.fill("code", &factor.code(0));
        self.browser.press("Continue");
        self.is_at("/admin/clients");
        self.reads("send the form once more");
        self.reads("None is registered.");
    }

    fn registers_a_client(&self) {
        let typed = "203.0.113.0/24\n10.0.0.1/8";
        self.browser.fill("name", "billing");
        self.browser.fill("networks", typed);
        self.browser.press("Register");
        let fault = self.browser.find("#networks-fault").text();
        assert!(fault.starts_with("Network 2: "), "{fault}");
        assert_eq!(self.value("#name"), "billing");
        assert_eq!(self.value("#networks").replace('\r', ""), typed);
        self.shows("clients-network-refused");
        self.browser.fill("networks", "203.0.113.0/24\n127.0.0.0/8");
        self.browser.press("Register");
        self.is_at("/admin/clients/billing");
        self.reads("The client is registered.");
    }

    fn makes_an_api_key(&self) -> String {
        let form = self.section("api-key");
        form.fill("label", "order import");
        form.fill("scopes", "echo sc\u{f6}pe");
        form.press("Make an API key");
        assert!(!self.browser.find("#scopes-fault").text().is_empty());
        assert_eq!(self.value("#api-label"), "order import");
        self.shows("client-scope-refused");
        let form = self.section("api-key");
        form.fill("scopes", "echo orders:read");
        form.press("Make an API key");
        self.shows("api-key-made");
        let secret = self.value("#secret");
        assert!(secret.starts_with("portcullis_live_"));
        assert_eq!(self.token(&secret), 200);
        secret
    }

    /// The browser sends the form again: no second key, and the secret of the first is gone.
    fn loads_the_secret_again(&self, secret: &str) {
        self.browser
            .turn_page(|| drop(self.browser.post("/refresh", &json!({}))));
        self.reads("This form was sent before");
        let hidden = || !self.browser.source().contains(secret);
        assert!(hidden(), "shown twice");
        assert_eq!(self.browser.find_all(".keys tbody tr").len(), 1);
        self.goes_to("/admin/clients/billing");
        assert!(hidden(), "shown on the client's page");
        self.goes_to("/admin/clients");
        assert!(hidden(), "shown in the list");
        self.shows("clients");
        self.browser.follow("billing");
    }

    fn makes_a_signing_secret(&self) {
        let form = self.section("signing");
        form.fill("label", "nightly reports");
        form.press("Make a signing secret");
        self.shows("signing-secret-made");
        let (id, secret) = (self.value("#key-id"), self.value("#secret"));
        self.browser.press("I have kept it");
        self.is_at("/admin/clients/billing");
        self.reads(&id);
        assert!(!self.browser.source().contains(&secret), "shown twice");
        self.key("Whole request (portcullis v1)");
    }

    /// The private key, pasted by mistake, is told from the public one and comes back in no page.
    fn registers_a_public_key(&self) {
        let fill = |pem: &str| {
            let form = self.section("public");
            form.fill("label", "ledger");
            form.fill("issuer", "ledger@billing.example.org");
            form.fill("pem", pem);
            form.press("Register the public key");
        };
        fill(PRIVATE_KEY);
        let fault = self.browser.find("#pem-fault").text();
        assert!(fault.contains("private key"), "{fault}");
        assert_eq!(self.value("#issuer"), "ledger@billing.example.org");
        assert!(!self.browser.source().contains("PRIVATE"), "shown again");
        fill(PUBLIC_KEY);
        self.reads("The public key is registered.");
        self.asks("ledger", "Rotate");
        self.shows("public-key-rotate");
        self.browser.fill("pem", PUBLIC_KEY);
        self.browser.press("Rotate");
        self.reads("That key is or was registered");
        self.browser.follow("Back to billing");
    }

    fn rotates(&self, first: &str) -> String {
        self.asks("order import", "Rotate");
        self.reads("counts for another 24 hours");
        self.shows("api-key-rotate");
        self.browser.press("Rotate");
        self.reads("The one before counts until");
        let second = self.value("#secret");
        assert_ne!(second, first);
        assert_eq!((self.token(first), self.token(&second)), (200, 200));
        self.browser.press("I have kept it");
        self.is_at("/admin/clients/billing");
        second
    }

    fn looks_at_it_all(&self) {
        let row = self.key("order import").text();
        assert!(row.contains("The one before counts until"), "{row}");
        self.shows("client");
    }

    fn ends_the_grace(&self, first: &str, second: &str) {
        self.asks("order import", "End grace");
        self.browser.press("End grace");
        self.reads("The one before is refused from now on.");
        assert_eq!((self.token(first), self.token(second)), (401, 200));
    }

    /// The first click asks, and revokes nothing.
    fn revokes(&self, key: &str) {
        self.asks("order import", "Revoke");
        self.shows("api-key-revoke");
        assert_eq!(self.token(key), 200);
        self.browser.follow("Back to billing");
        assert_eq!(self.token(key), 200);
        self.asks("order import", "Revoke");
        self.browser.press("Revoke");
        self.reads("The key is revoked.");
        assert_eq!(self.token(key), 401);
        let row = self.key("order import");
        assert!(row.text().contains("Revoked"), "{}", row.text());
        let left: Vec<String> = row.find_all("a").iter().map(Element::text).collect();
        assert_eq!(left, ["Forget"], "nothing else can be done");
        self.shows("client-key-revoked");
        self.asks("order import", "Forget");
        self.shows("api-key-forget");
        self.browser.press("Forget");
        self.reads("The key is off the list.");
    }

    fn edits_the_networks(&self) {
        self.browser.fill("networks", "everywhere");
        self.browser.press("Save the networks");
        let fault = self.browser.find("#networks-fault").text();
        assert!(fault.starts_with("Network 1: "), "{fault}");
        assert_eq!(self.value("#networks"), "everywhere");
        self.browser.fill("networks", "2001:db8::/32");
        self.browser.press("Save the networks");
        self.reads("The networks are saved");
        assert_eq!(self.value("#networks"), "2001:db8::/32");
    }

    fn disables_and_enables(&self) {
        self.browser.press("Disable");
        self.reads("The client is disabled.");
        self.browser.press("Enable");
        self.reads("The client may call again.");
    }

    fn looks_for_unused_keys(&self) {
        self.browser.press("Look for them");
        self.is_at("/admin/clients/billing/revoke-unused");
        self.reads("No API key of this client went without use for 90 days.");
        assert!(self.browser.find_all("main button").is_empty());
        self.shows("unused-none");
    }

    fn finds_no_other_client(&self) {
        self.goes_to("/admin/clients/nobody");
        self.reads("There is no such client.");
        self.shows("client-unknown");
    }
}

const PRIVATE_KEY: &str = include_str!("../../../../crates/jwt/tests/keys/alice.pkcs8.pem");
const PUBLIC_KEY: &str = include_str!("../../../../crates/jwt/tests/keys/alice.spki.pem");
