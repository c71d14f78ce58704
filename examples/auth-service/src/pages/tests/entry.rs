//! In, by which pages, and out again.

use std::time::Duration;

use portcullis::audit::Action;
use portcullis::core::{Clock, SystemClock};
use portcullis_totp_mfa::testing::codes;

use super::{Browser, Enrolled, PASSWORD, Page};
use crate::users::Role;

#[tokio::test]
async fn every_refusal_of_a_password_is_the_same_page() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    browser.user("closed", Role::User).await;
    let now = SystemClock.now();
    browser
        .app
        .users
        .set_enabled("closed", false, now)
        .await
        .unwrap();
    let wrong = browser.sign_in("alice", "not this one at all").await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("After several failures, wait."));
    let same = |page: &Page| {
        let mut headers = page.headers.clone();
        headers.remove("x-request-id");
        (page.status, headers, page.without_token())
    };
    for (name, password) in [
        ("nobody", PASSWORD),
        ("closed", PASSWORD),
        ("", ""),
        ("<script>", "\0"),
    ] {
        let other = browser.sign_in(name, password).await;
        assert_eq!(same(&other), same(&wrong), "{name}");
    }
    for _ in 0..4 {
        browser.sign_in("alice", "not this one at all").await;
    }
    let locked = browser.sign_in("alice", PASSWORD).await;
    assert_eq!(same(&locked), same(&wrong));
    assert_eq!(browser.recorded(Action::Login), 0);
}

#[tokio::test]
async fn every_refusal_of_a_code_is_the_same_page() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    let Enrolled { used, .. } = browser.enrolled("alice").await;
    let asked = browser.sign_in("alice", PASSWORD).await;
    assert_eq!((asked.status.as_u16(), asked.to()), (200, None));
    let challenge = asked.field("challenge");
    let fields = [("challenge", &*challenge), ("code", &used)];
    let replayed = browser.post(&asked, "/sign-in/code", &fields).await;
    assert_eq!(replayed.status, 401);
    for code in [
        "",
        "000000 000000",
        "abcdef",
        "<script>",
        "0000-0000-0000-0000-0000-0000",
    ] {
        let fields = [("challenge", &*challenge), ("code", code)];
        let other = browser.post(&asked, "/sign-in/code", &fields).await;
        assert_eq!(other.status, 401, "{code}");
        assert_eq!(other.without_token(), replayed.without_token(), "{code}");
    }
    let fields = [("challenge", "pch1_nobody"), ("code", "000000")];
    let nobodys = browser.post(&asked, "/sign-in/code", &fields).await;
    let nobodys = nobodys.without_token().replace("pch1_nobody", &challenge);
    assert_eq!(nobodys, replayed.without_token());
    assert_eq!(browser.recorded(Action::Login), 1);
}

#[tokio::test]
async fn a_recovery_code_signs_in_from_the_other_form_and_steps_nothing_up() {
    let mut browser = Browser::open().await;
    browser.user("chief", Role::Admin).await;
    let Enrolled {
        secret,
        recovery: kept,
        ..
    } = browser.enrolled("chief").await;
    assert_eq!(kept.len(), 10);
    let asked = browser.sign_in("chief", PASSWORD).await;
    let challenge = asked.field("challenge");
    let fields = [("challenge", &*challenge), ("code", "12")];
    let other = browser.post(&asked, "/sign-in/recovery", &fields).await;
    assert_eq!(
        (other.status.as_u16(), other.field("challenge")),
        (200, challenge.clone())
    );
    assert!(other.text.contains("autocomplete=\"off\"") && !other.text.contains("pattern="));
    let wrong = [
        ("challenge", &*challenge),
        ("code", "1"),
        ("by", "recovery"),
    ];
    let wrong = browser.post(&other, "/sign-in/code", &wrong).await;
    assert!(wrong.status == 401 && wrong.text.contains("<h1>Use a recovery code</h1>"));
    let fields = [
        ("challenge", &*challenge),
        ("code", &kept[0]),
        ("by", "recovery"),
    ];
    let signed_in = browser.post(&wrong, "/sign-in/code", &fields).await;
    assert_eq!(signed_in.to(), Some("/account"));

    // It opens what is read, and no act.
    let admin = browser.get("/admin").await;
    assert_eq!(admin.status, 200);
    let due = browser
        .post(&admin, "/admin/unlock", &[("name", "a")])
        .await;
    assert_eq!(due.to(), Some("/step-up?next=%2Fadmin"));
    let form = browser.get(due.to().unwrap()).await;
    assert_eq!(form.field("next"), "/admin");
    let used = browser.post(&form, "/step-up", &[("code", &kept[1])]).await;
    assert!(used.status == 403 && used.text.contains("A recovery code does not do this"));
    let account = browser.get("/account").await;
    assert!(
        account.text.contains("9 of 10"),
        "the second one is not used up"
    );
    // The step after the one that enrolled: a window of one step admits it.
    let soon = SystemClock.now().saturating_add(Duration::from_secs(30));
    let fields = [
        ("code", &*codes::at(&secret, soon)),
        ("next", "/admin/audit?user=a"),
    ];
    let stepped_up = browser.post(&form, "/step-up", &fields).await;
    assert_eq!(stepped_up.to(), Some("/admin/audit?user=a"));
    assert_eq!(browser.get("/admin/audit?user=a").await.status, 200);
    let account = browser.get("/account").await;
    let fields = [("code", "000000"), ("next", "//evil.example")];
    let refused = browser.post(&account, "/step-up", &fields).await;
    assert_eq!(
        (refused.status.as_u16(), &*refused.field("next")),
        (401, "/account")
    );
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_sign_in_and_no_act_is_done() {
    let mut browser = Browser::open().await;
    for path in [
        "/account",
        "/account/enrol",
        "/password",
        "/step-up",
        "/admin",
        "/admin/audit",
    ] {
        let sent = browser.get(path).await;
        assert_eq!((sent.to(), &*sent.text), (Some("/sign-in"), ""), "{path}");
        assert!(!sent.headers.contains_key("www-authenticate"));
    }
    let form = browser.get("/sign-in").await;
    for path in [
        "/password",
        "/account/enrol",
        "/account/confirm",
        "/account/recovery-codes",
        "/account/remove",
        "/sign-out",
        "/sign-out-everywhere",
        "/step-up",
        "/admin/unlock",
    ] {
        let sent = browser
            .post(&form, path, &[("name", "admin"), ("code", "1")])
            .await;
        assert_eq!(sent.to(), Some("/sign-in"), "{path}");
    }
}

#[tokio::test]
async fn an_administrator_is_led_from_password_to_factor_and_to_nothing_else_before() {
    let mut browser = Browser::open().await;
    let chief = browser.user("chief", Role::Admin).await;
    let (_, once) = browser.app.reset(&chief, SystemClock.now()).await.unwrap();
    let once = String::from_utf8(once.expose().to_vec()).unwrap();
    assert_eq!(
        browser.sign_in("chief", &once).await.to(),
        Some("/password")
    );
    for path in ["/account", "/account/enrol", "/admin"] {
        assert_eq!(browser.get(path).await.to(), Some("/password"), "{path}");
    }
    let form = browser.get("/password").await;
    assert!(form.text.contains("must be changed") && !form.text.contains("href=\"/admin\""));
    let short = [("current_password", &*once), ("new_password", "short")];
    let short = browser.post(&form, "/password", &short).await;
    assert_eq!(short.status, 400);
    let described = "aria-describedby=\"new-hint new-fault\" aria-invalid=\"true\"";
    assert!(short.text.contains(described), "{}", short.text);
    assert!(
        short
            .text
            .contains("A password has at least 12 characters.")
    );
    let wrong = [("current_password", "wrong"), ("new_password", PASSWORD)];
    assert_eq!(browser.post(&form, "/password", &wrong).await.status, 403);
    let right = [("current_password", &*once), ("new_password", PASSWORD)];
    let changed = browser.post(&form, "/password", &right).await;
    assert_eq!(changed.to(), Some("/sign-in?changed"));

    assert_eq!(
        browser.sign_in("chief", PASSWORD).await.to(),
        Some("/account/enrol")
    );
    for path in ["/account", "/admin"] {
        assert_eq!(
            browser.get(path).await.to(),
            Some("/account/enrol"),
            "{path}"
        );
    }
    browser.enrolled("chief").await;
    assert_eq!(browser.get("/admin").await.status, 200);
    assert_eq!(browser.get("/account/enrol").await.to(), Some("/step-up"));
}

#[tokio::test]
async fn out_is_out_in_every_browser() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    browser.sign_in("alice", PASSWORD).await;
    let first = browser.cookie.take();
    browser.sign_in("alice", PASSWORD).await;
    let account = browser.get("/account").await;
    assert_eq!(account.text.matches("last used").count(), 2);
    assert_eq!(account.text.matches("This session").count(), 1);
    let out = browser.post(&account, "/sign-out-everywhere", &[]).await;
    assert_eq!(out.to(), Some("/sign-in?everywhere"));
    assert_eq!(browser.get("/account").await.to(), Some("/sign-in"));
    browser.cookie = first;
    assert_eq!(browser.get("/account").await.to(), Some("/sign-in"));
    browser.sign_in("alice", PASSWORD).await;
    let account = browser.get("/account").await;
    let kept = browser.cookie.clone();
    let out = browser.post(&account, "/sign-out", &[]).await;
    assert_eq!(out.to(), Some("/sign-in?out"));
    browser.cookie = kept;
    assert_eq!(browser.get("/account").await.to(), Some("/sign-in"));
    assert_eq!(browser.recorded(Action::Logout), 2);
}

#[tokio::test]
async fn a_right_code_leads_to_no_other_site() {
    let mut browser = Browser::open().await;
    browser.user("alice", Role::User).await;
    let Enrolled { secret, .. } = browser.enrolled("alice").await;
    let form = browser.get("/step-up?next=//evil.example").await;
    assert_eq!(form.field("next"), "/account");
    let soon = SystemClock.now().saturating_add(Duration::from_secs(30));
    let code = codes::at(&secret, soon);
    let fields = [("code", &*code), ("next", "//evil.example/admin")];
    let stepped_up = browser.post(&form, "/step-up", &fields).await;
    assert_eq!(stepped_up.to(), Some("/account"));
    assert_eq!(browser.recorded(Action::StepUp), 1);
}
