//! Who comes to the pages about client applications, and what they say of a form.

use http::Request;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE};
use portcullis::audit::Action;
use portcullis::core::{Clock, SystemClock};

use super::{Browser, Enrolled, PASSWORD, Page};
use crate::users::Role;

/// An administrator who showed a code just now, and a client of that name.
pub(super) async fn with_client(name: &str) -> (Browser, Page) {
    let mut browser = Browser::open().await;
    browser.user("chief", Role::Admin).await;
    browser.enrolled("chief").await;
    let list = browser.get("/admin/clients").await;
    let fields = [
        ("name", name),
        ("tier", "standard"),
        ("networks", "10.0.0.0/8\r\n"),
    ];
    let made = browser.post(&list, "/admin/clients", &fields).await;
    let path = format!("/admin/clients/{name}");
    assert_eq!(made.to(), Some(&*format!("{path}?registered")));
    let page = browser.get(&path).await;
    assert_eq!(page.status, 200);
    (browser, page)
}

/// A form's address, what it is filled with, and the page it leads back to.
type Form = (&'static str, Fields, &'static str);
type Fields = &'static [(&'static str, &'static str)];

/// Every one of them.
const FORMS: &[Form] = &[
    (
        "/admin/clients",
        &[("name", "other"), ("tier", "premium")],
        "/admin/clients?again",
    ),
    (
        "/admin/clients/billing/networks",
        &[("networks", "::/0")],
        BILLING,
    ),
    (
        "/admin/clients/billing/tier",
        &[("tier", "premium")],
        BILLING,
    ),
    ("/admin/clients/billing/disable", &[], BILLING),
    ("/admin/clients/billing/enable", &[], BILLING),
    (
        "/admin/clients/billing/keys",
        &[
            ("kind", "api_key"),
            ("label", "a"),
            ("once", "00000000000000000000000000000000"),
        ],
        BILLING,
    ),
    (
        "/admin/clients/billing/revoke-unused",
        &[("days", "1")],
        BILLING,
    ),
    (
        "/admin/clients/billing/keys/sk-a/rotate",
        &[("once", "00000000000000000000000000000000")],
        "/admin/clients/billing/keys/sk-a/rotate?again",
    ),
    (
        "/admin/clients/billing/keys/a%2Bb@c/end-grace",
        &[],
        "/admin/clients/billing/keys/a%2Bb@c/end-grace?again",
    ),
    (
        "/admin/clients/billing/keys/sk-a/revoke",
        &[],
        "/admin/clients/billing/keys/sk-a/revoke?again",
    ),
];
const BILLING: &str = "/admin/clients/billing?again";
const QUESTIONS: &[&str] = &[
    "/admin/clients/billing/keys/sk-a/rotate",
    "/admin/clients/billing/keys/sk-a/end-grace",
    "/admin/clients/billing/keys/sk-a/revoke",
    "/admin/clients/billing/revoke-unused?days=9",
];

/// Nothing of what the forms ask for was done, nor begun.
async fn nothing_was_done(browser: &Browser) {
    let now = SystemClock.now();
    let machines = &browser.app.machines;
    let client = machines.client("billing", now).await.unwrap();
    assert!(client.enabled && client.tier.as_str() == "standard");
    assert_eq!(client.networks, ["10.0.0.0/8"]);
    assert!(machines.keys("billing", now).await.unwrap().is_empty());
    assert!(machines.clients.get("other", now).await.unwrap().is_none());
    for action in [
        Action::ClientChanged,
        Action::AddressListChanged,
        Action::KeyCreated,
        Action::KeyRotated,
        Action::KeyRevoked,
    ] {
        assert_eq!(browser.recorded(action), 0, "{action:?}");
    }
}

#[tokio::test]
async fn every_change_and_every_question_asks_for_a_code_and_leads_back() {
    let (mut browser, page) = with_client("billing").await;
    let Enrolled { recovery, .. } = {
        // Another administrator, who signs in by a recovery code: that opens what is read alone.
        browser.user("second", Role::Admin).await;
        let out = browser.post(&page, "/sign-out", &[]).await;
        assert_eq!(out.to(), Some("/sign-in?out"));
        browser.enrolled("second").await
    };
    let asked = browser.sign_in("second", PASSWORD).await;
    let challenge = asked.field("challenge");
    let fields = [
        ("challenge", &*challenge),
        ("code", &*recovery[0]),
        ("by", "recovery"),
    ];
    browser.post(&asked, "/sign-in/code", &fields).await;

    let page = browser.get("/admin/clients/billing").await;
    assert!(page.status == 200 && page.text.contains("Enter a code first"));
    for (form, fields, back) in FORMS {
        let sent = browser.post(&page, form, fields).await;
        let way = browser.get(sent.to().unwrap_or_default()).await;
        assert_eq!(way.field("next"), *back, "{form}");
    }
    for question in QUESTIONS {
        let sent = browser.get(question).await;
        let way = browser.get(sent.to().unwrap_or_default()).await;
        assert_eq!(way.field("next"), *question);
    }
    nothing_was_done(&browser).await;
    let told = browser.get(BILLING).await;
    assert!(told.text.contains("Nothing was changed before it"));
}

#[tokio::test]
async fn a_user_sees_no_client_and_changes_none() {
    let (mut browser, page) = with_client("billing").await;
    browser.user("alice", Role::User).await;
    browser.post(&page, "/sign-out", &[]).await;
    browser.enrolled("alice").await;
    let account = browser.get("/account").await;
    assert!(!account.text.contains("/admin"), "no way there is shown");
    for path in ["/admin/clients", "/admin/clients/billing"]
        .iter()
        .chain(QUESTIONS)
    {
        let refused = browser.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(!refused.text.contains("billing"), "{path}");
    }
    for (form, fields, _) in FORMS {
        let refused = browser.post(&account, form, fields).await;
        assert_eq!(refused.status, 403, "{form}");
    }
    nothing_was_done(&browser).await;
}

#[tokio::test]
async fn who_is_not_signed_in_sees_no_client_and_changes_none() {
    let (mut browser, page) = with_client("billing").await;
    browser.post(&page, "/sign-out", &[]).await;
    let form = browser.get("/sign-in").await;
    for path in ["/admin/clients", "/admin/clients/billing"]
        .iter()
        .chain(QUESTIONS)
    {
        assert_eq!(browser.get(path).await.to(), Some("/sign-in"), "{path}");
    }
    for (path, fields, _) in FORMS {
        let sent = browser.post(&form, path, fields).await;
        assert_eq!(sent.to(), Some("/sign-in"), "{path}");
    }
    nothing_was_done(&browser).await;
}

#[tokio::test]
async fn another_sites_form_changes_nothing() {
    let (mut browser, page) = with_client("billing").await;
    let cookie = browser.cookie.clone().unwrap();
    for (path, fields, _) in FORMS {
        let token = page.field("csrf_token");
        let mut body = format!("csrf_token={token}");
        for (name, value) in *fields {
            body += &format!("&{name}={value}");
        }
        let request = Request::post(*path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, &cookie)
            .header("origin", "https://evil.example")
            .header("sec-fetch-site", "cross-site");
        let refused = browser.send(request.body(body.into()).unwrap()).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.text.contains("out of date"), "{path}");
    }
    let mut guessed = browser.get("/admin/clients/billing").await;
    guessed.text = "name=\"csrf_token\" value=\"guessed\"".into();
    for (path, fields, _) in FORMS {
        let refused = browser.post(&guessed, path, fields).await;
        assert_eq!(refused.status, 403, "{path}");
    }
    nothing_was_done(&browser).await;
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field_and_what_was_typed_stays() {
    let (mut browser, page) = with_client("billing").await;
    let cases = [
        ("Billing", "", "name-fault"),
        ("a/../b", "", "name-fault"),
        ("other", "10.0.0.1/8", "networks-fault"),
        ("other", "10.0.0.0/8\r\n\r\nall", "networks-fault"),
        ("<script>", "</textarea><script>", "name-fault"),
    ];
    for (name, networks, fault) in cases {
        let fields = [("name", name), ("tier", "premium"), ("networks", networks)];
        let again = browser.post(&page, "/admin/clients", &fields).await;
        assert_eq!(again.status, 400);
        assert!(
            again.text.contains(&format!("id=\"{fault}\"")),
            "{name} {networks}"
        );
        assert!(again.text.contains("value=\"premium\" selected"));
        assert!(!again.text.contains("<script"));
    }
    let fields = [
        ("name", "other"),
        ("tier", "standard"),
        ("networks", "10.0.0.1/8"),
    ];
    let again = browser.post(&page, "/admin/clients", &fields).await;
    assert!(again.text.contains("Network 1: "), "{}", again.text);
    assert_eq!(again.field("name"), "other");
    assert!(again.text.contains("\n10.0.0.1/8</textarea>"));
    let taken = [
        ("name", "billing"),
        ("tier", "standard"),
        ("networks", "::/0"),
    ];
    let taken = browser.post(&page, "/admin/clients", &taken).await;
    assert_eq!(taken.status, 409);
    assert!(
        taken
            .text
            .contains("role=\"alert\" id=\"alert\">The name is taken.")
    );
    assert!(taken.text.contains("\n::/0</textarea>"));

    let fields = [("networks", "::/0\r\nnowhere")];
    let path = "/admin/clients/billing/networks";
    let again = browser.post(&page, path, &fields).await;
    assert!(again.status == 400 && again.text.contains("Network 2: "));
    assert!(again.text.contains("\n::/0\r\nnowhere</textarea>"));
    nothing_was_done(&browser).await;
}

#[tokio::test]
async fn a_client_is_changed_and_its_page_says_so() {
    let (mut browser, page) = with_client("billing").await;
    let changes = [
        (
            "networks",
            vec![("networks", " ::1/128 \r\n\r\n")],
            "networks",
        ),
        ("tier", vec![("tier", "premium")], "tier"),
        ("disable", vec![], "disabled"),
    ];
    for (path, fields, done) in changes {
        let path = format!("/admin/clients/billing/{path}");
        let changed = browser.post(&page, &path, &fields).await;
        let to = format!("/admin/clients/billing?{done}");
        assert_eq!(changed.to(), Some(&*to));
        assert!(browser.get(&to).await.text.contains("role=\"status\""));
        let asked = browser.get(&path).await;
        assert_eq!(
            asked.to(),
            Some("/admin/clients/billing"),
            "the form's address"
        );
    }
    let now = SystemClock.now();
    let client = browser.app.machines.client("billing", now).await.unwrap();
    assert!(!client.enabled && client.tier.as_str() == "premium");
    assert_eq!(client.networks, ["::1/128"]);
    let shown = browser.get("/admin/clients").await;
    assert!(shown.text.contains("Disabled") && shown.text.contains("::1/128"));
    assert_eq!(shown.headers[CACHE_CONTROL], "no-store");
    browser
        .post(&page, "/admin/clients/billing/enable", &[])
        .await;
    let shown = browser.get("/admin/clients/billing").await;
    assert!(
        shown
            .text
            .contains("<span class=\"tag good\">May call</span>")
    );
    let none = browser
        .post(&page, "/admin/clients/billing/networks", &[])
        .await;
    assert_eq!(none.to(), Some("/admin/clients/billing?networks"));
    assert!(browser.get("/admin/clients").await.text.contains("Nowhere"));
}

#[tokio::test]
async fn no_such_client_is_a_page_that_says_so() {
    let (mut browser, page) = with_client("billing").await;
    for path in [
        "/admin/clients/nobody",
        "/admin/clients/%FF",
        "/admin/clients/..%2Fbilling",
        "/admin/clients/nobody/keys/sk-a/revoke",
        "/admin/clients/billing/keys/sk-a/revoke",
        "/admin/clients/billing/keys/sk-a/burn",
        "/admin/clients/nobody/revoke-unused?days=3",
    ] {
        let none = browser.get(path).await;
        assert_eq!(none.status, 404, "{path}");
        assert!(none.text.contains("<h1>Not Found</h1>"), "{path}");
        assert_eq!(none.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    }
    for (form, fields, _) in FORMS.iter().skip(1) {
        let form = form.replace("/billing", "/nobody");
        let none = browser.post(&page, &form, fields).await;
        assert_eq!(none.status, 404, "{form}");
    }
    nothing_was_done(&browser).await;
}
