//! What is done on the pages, and what they say of it.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use portcullis::audit::{Action, Event};
use portcullis::core::{Clock, Key, Next, Scope, Store, SystemClock, Timestamp, Value};
use portcullis::lockout::AccountName;

use super::{Browser, Enrolled, PASSWORD, Page, between};
use crate::pages::words;
use crate::users::Role;

#[tokio::test]
async fn the_picture_alone_is_allowed_in_its_page_and_shown_once() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    browser.sign_in("alice", PASSWORD).await;
    let account = browser.get("/account").await;
    let policy = |page: &Page| {
        page.headers[CONTENT_SECURITY_POLICY]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let shown = browser.post(&account, "/account/enrol", &[]).await;
    assert!(shown.text.contains("src=\"data:image/png;base64,"));
    assert!(shown.text.contains("href=\"otpauth://totp/"));
    assert_eq!(policy(&shown).replace(" data:", ""), policy(&account));
    assert_eq!(shown.headers[CACHE_CONTROL], "no-store");
    let wrong = browser
        .post(&shown, "/account/confirm", &[("code", "000000")])
        .await;
    assert_eq!(
        (wrong.status.as_u16(), policy(&wrong)),
        (401, policy(&account))
    );
    assert!(!wrong.text.contains("otpauth") && !wrong.text.contains("<img src=\"data:"));
}

#[tokio::test]
async fn a_role_that_is_missing_is_a_page_and_is_recorded() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    browser.sign_in("alice", PASSWORD).await;
    let refused = browser.get("/admin").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("<h1>Not with this account</h1>"));
    assert_eq!(refused.headers[CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(browser.recorded(Action::AccessDenied), 1);
}

#[tokio::test]
async fn a_form_without_its_token_is_refused_as_a_page_and_recorded() {
    let mut browser = Browser::open().await;
    let mut form = browser.get("/sign-in").await;
    form.text = "name=\"csrf_token\" value=\"guessed\"".into();
    let refused = browser
        .post(&form, "/sign-in", &[("username", "a"), ("password", "b")])
        .await;
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("<h1>This form is out of date</h1>"));
    assert_eq!(browser.recorded(Action::AccessDenied), 1);
    assert_eq!(browser.recorded(Action::FailedLogin), 0);
}

#[tokio::test]
async fn a_limit_says_in_words_how_long_to_wait() {
    let mut browser = Browser::with(&[], 1).await;
    let form = browser.get("/sign-in").await;
    assert_eq!(form.status, 200);
    let mut refused = browser.get("/sign-in").await;
    for _ in 0..100 {
        if refused.status == 429 {
            break;
        }
        refused = browser.get("/sign-in").await;
    }
    assert_eq!(refused.status, 429);
    let secs: u64 = refused.headers[RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let words = format!("Try again in {}.", words::wait(secs));
    assert!(refused.text.contains(&words), "{}", refused.text);
}

/// Of an administrator, where a user has locked herself out.
async fn with_alice_locked() -> Browser {
    let mut browser = Browser::open().await;
    browser.user("chief", Role::Admin).await;
    browser.user("alice", Role::User).await;
    for _ in 0..5 {
        browser.sign_in("alice", "not this one at all").await;
    }
    browser.enrolled("chief").await;
    browser
}

#[tokio::test]
async fn an_administrator_unlocks_and_reads_and_both_are_recorded() {
    let mut browser = with_alice_locked().await;
    let admin = browser.get("/admin").await;
    assert!(
        admin.text.contains("<p class=\"strong\">alice</p>"),
        "{}",
        admin.text
    );
    let unlocked = browser
        .post(&admin, "/admin/unlock", &[("name", "ALICE ")])
        .await;
    assert_eq!(unlocked.to(), Some("/admin?unlocked"));
    assert_eq!(browser.recorded(Action::Unlock), 1);
    let again = browser
        .post(&admin, "/admin/unlock", &[("name", "alice")])
        .await;
    assert!(again.status == 404 && again.text.contains("The account is not locked."));
    let admin = browser.get("/admin?unlocked").await;
    assert!(admin.text.contains("No account is locked."));

    let shown = browser
        .get("/admin/audit?user=Alice&action=failed_login")
        .await;
    assert_eq!(
        shown
            .text
            .matches("<th scope=\"row\">Failed login</th>")
            .count(),
        5
    );
    assert!(
        shown
            .text
            .contains("<option value=\"failed_login\" selected>")
    );
    let unknown = browser.get("/admin/audit?action=%3Cscript%3E").await;
    assert_eq!(unknown.status, 400);
    assert_eq!(browser.recorded(Action::AuditRead), 3);
}

#[tokio::test]
async fn hostile_names_and_agents_are_shown_as_text() {
    let mut browser = Browser::open().await;
    let hostile = "<script>alert('1')</script>\"><b>";
    browser.user("chief", Role::Admin).await;
    browser.user(hostile, Role::User).await;
    for _ in 0..5 {
        browser.sign_in(hostile, "not this one at all").await;
    }
    let event = Event::new(Action::FailedLogin, SystemClock.now())
        .user(hostile)
        .user_agent(hostile)
        .client_system(hostile)
        .target("\u{202e}\u{0}<script>");
    browser.app.record(event).await.unwrap();
    let mut other = Browser {
        _folder: tempfile::tempdir().unwrap(),
        app: Arc::clone(&browser.app),
        router: browser.router.clone(),
        cookie: None,
    };
    other.enrolled("chief").await;
    for path in [
        "/admin",
        "/admin/audit?user=%3Cscript%3E%22",
        "/step-up?next=%3Cscript%3E",
    ] {
        let page = other.get(path).await;
        assert_eq!(page.status, 200);
        assert!(
            !page.text.contains("<script") && !page.text.contains("<b>"),
            "{path}"
        );
        assert!(!page.text.contains('\u{202e}'));
    }
    let now = SystemClock.now();
    let name = AccountName::parse(hostile).unwrap();
    browser.app.lockout.unlock(&name, now).await.unwrap();
    browser.sign_in(hostile, PASSWORD).await;
    for path in ["/account", "/password"] {
        let page = browser.get(path).await;
        assert!(
            page.status == 200 && !page.text.contains("<script"),
            "{path}"
        );
        assert!(page.text.contains("&#60;script&#62;"), "{path}");
    }
}

/// What a damaged database has made of a lock.
#[tokio::test]
async fn a_lock_that_does_not_decode_is_lifted_by_its_button() {
    let mut browser = with_alice_locked().await;
    let damage = |_: Option<&[u8]>| {
        let value = Value::new(b"\xffdamaged");
        let expires_at = Timestamp::MAX;
        ((), Next::Put { value, expires_at })
    };
    let key = Key::new(Scope::new("lockout"), b"alice");
    let (store, now) = (browser.app.store.clone(), SystemClock.now());
    store.update(key, now, damage).await.unwrap();
    let admin = browser.get("/admin").await;
    let row = "<p class=\"strong\">alice</p>";
    assert!(admin.status == 200 && admin.text.contains(row));
    let fields = [("name", "alice")];
    let unlocked = browser.post(&admin, "/admin/unlock", &fields).await;
    assert_eq!(unlocked.to(), Some("/admin?unlocked"));
    assert!(!browser.get("/admin").await.text.contains(row));
    assert_eq!(
        browser.sign_in("alice", PASSWORD).await.to(),
        Some("/account")
    );
}

#[tokio::test]
async fn removing_asks_for_a_code_and_ends_every_session() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    let Enrolled { recovery: kept, .. } = browser.enrolled("alice").await;
    let account = browser.get("/account").await;
    for path in ["/account/remove", "/account/recovery-codes"] {
        let wrong = browser.post(&account, path, &[("code", "000000")]).await;
        assert!(wrong.status == 401 && wrong.text.contains("<h1>alice</h1>"));
    }
    let by_recovery = browser
        .post(&account, "/account/recovery-codes", &[("code", &kept[0])])
        .await;
    assert_eq!(by_recovery.status, 401);
    let removed = browser
        .post(&account, "/account/remove", &[("code", &kept[1])])
        .await;
    assert_eq!(removed.to(), Some("/sign-in?removed"));
    assert_eq!(
        browser.sign_in("alice", PASSWORD).await.to(),
        Some("/account")
    );
}

#[tokio::test]
async fn the_style_sheet_is_kept_by_its_version_and_no_page_has_script_or_style() {
    let mut browser = Browser::open().await;
    let page = browser.get("/sign-in").await;
    let address = between(&page.text, "rel=\"stylesheet\" href=\"", "\"");
    let style = browser.get(&address).await;
    assert_eq!(style.headers[CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(
        style.headers[CACHE_CONTROL]
            .to_str()
            .unwrap()
            .contains("immutable")
    );
    assert!(!style.headers.contains_key(SET_COOKIE));
    assert!(!style.text.contains("http") && !style.text.contains("url("));
    for inline in [
        "<script", "<style", " style=", " onclick", "http://", "https://",
    ] {
        assert!(!page.text.contains(inline), "{inline}");
    }
}
