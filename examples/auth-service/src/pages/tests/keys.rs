//! Keys of client applications on the pages: shown once, and ended on purpose alone.

use http::header::CACHE_CONTROL;
use portcullis::api_key::ApiKey;
use portcullis::audit::Action;
use portcullis::core::{Clock, SystemClock};

use super::clients::with_client;
use super::{Browser, Page, between};
use crate::clients::key::{ListedKey, State};

const KEYS: &str = "/admin/clients/billing/keys";

async fn keys(browser: &Browser) -> Vec<ListedKey> {
    let keys = browser
        .app
        .machines
        .keys("billing", SystemClock.now())
        .await;
    keys.unwrap()
}

/// Fills one of the forms of a client's page.
async fn make(browser: &mut Browser, fields: &[(&str, &str)]) -> Page {
    let page = browser.get("/admin/clients/billing").await;
    let once = page.field("once");
    let fields: Vec<_> = fields.iter().copied().chain([("once", &*once)]).collect();
    browser.post(&page, KEYS, &fields).await
}

async fn make_api_key(browser: &mut Browser, label: &str) -> (ListedKey, String) {
    let fields = [("kind", "api_key"), ("label", label), ("scopes", "echo")];
    let made = make(browser, &fields).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let secret = secret(&made);
    let made = keys(browser)
        .await
        .into_iter()
        .find(|key| key.label == label);
    (made.unwrap(), secret)
}

/// Answers the question about a key.
async fn answer(browser: &mut Browser, key: &str, act: &str, fields: &[(&str, &str)]) -> Page {
    let path = format!("{KEYS}/{key}/{act}");
    let question = browser.get(&path).await;
    assert_eq!(question.status, 200, "{}", question.text);
    browser.post(&question, &path, fields).await
}

fn secret(page: &Page) -> String {
    let field = between(&page.text, "id=\"secret\"", "</textarea>");
    field.split(">\n").nth(1).unwrap().to_owned()
}

async fn counts(browser: &Browser, key: &str) -> bool {
    let key = ApiKey::parse(key).unwrap();
    let machines = &browser.app.machines;
    machines
        .api_keys
        .verify(&key, SystemClock.now())
        .await
        .is_ok()
}

#[tokio::test]
async fn a_secret_is_shown_once_and_its_form_sent_again_makes_no_second_key() {
    let (mut browser, _) = with_client("billing").await;
    for (kind, more) in [
        ("api_key", ("scopes", "echo")),
        ("signing_secret", ("form", "v1")),
    ] {
        let page = browser.get("/admin/clients/billing").await;
        let once = page.field("once");
        let fields = [("kind", kind), ("label", kind), ("once", &*once), more];
        let made = browser.post(&page, KEYS, &fields).await;
        assert_eq!((made.status.as_u16(), made.to()), (200, None));
        assert_eq!(made.headers[CACHE_CONTROL], "no-store");
        let secret = secret(&made);
        assert!(secret.len() >= 43);
        let before = keys(&browser).await.len();
        let again = browser.post(&page, KEYS, &fields).await;
        assert_eq!(again.status, 409);
        assert!(again.text.contains("This form was sent before"));
        assert_ne!(again.field("once"), once, "the next sending is another");
        assert!(
            again.text.contains(&format!("value=\"{kind}\"")),
            "what was typed"
        );
        let shown = browser.get("/admin/clients/billing").await;
        let list = browser.get("/admin/clients").await;
        for page in [again, shown, list] {
            assert!(!page.text.contains(&secret), "{}", page.text);
        }
        assert_eq!(keys(&browser).await.len(), before);
    }
    assert_eq!(browser.recorded(Action::KeyCreated), 2);
}

#[tokio::test]
async fn a_rotation_sent_again_rotates_nothing_more() {
    let (mut browser, _) = with_client("billing").await;
    let (key, first) = make_api_key(&mut browser, "import").await;
    let path = format!("{KEYS}/{}/rotate", key.id);
    let question = browser.get(&path).await;
    let once = question.field("once");
    let fields = [("once", &*once)];
    let rotated = browser.post(&question, &path, &fields).await;
    let second = secret(&rotated);
    assert!(rotated.text.contains("The one before counts until"));
    let again = browser.post(&question, &path, &fields).await;
    assert!(again.status == 409 && !again.text.contains(&second));
    assert!(again.text.contains("This form was sent before"));
    assert!(counts(&browser, &first).await && counts(&browser, &second).await);

    // Another form for it: the grace is under way.
    let fresh = browser.get(&path).await.field("once");
    let fields = [("once", &*fresh)];
    let refused = browser.post(&question, &path, &fields).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text.contains("id=\"alert\""), "{}", refused.text);
    let ended = answer(&mut browser, &key.id, "end-grace", &[]).await;
    assert_eq!(ended.to(), Some("/admin/clients/billing?ended"));
    assert!(!counts(&browser, &first).await && counts(&browser, &second).await);
    assert_eq!(browser.recorded(Action::KeyRotated), 2);
}

#[tokio::test]
async fn a_form_without_its_number_or_with_another_kind_of_one_makes_nothing() {
    let (mut browser, page) = with_client("billing").await;
    for once in [
        "",
        "0",
        "../../../../../../../../../../..",
        &"f".repeat(33),
        "é",
    ] {
        let fields = [("kind", "api_key"), ("label", "a"), ("once", once)];
        let refused = browser.post(&page, KEYS, &fields).await;
        assert_eq!(refused.status, 400, "{once}");
    }
    let fields = [("kind", "api_key"), ("label", "a")];
    assert_eq!(browser.post(&page, KEYS, &fields).await.status, 400);
    let fields = [("kind", "password"), ("label", "a"), ("once", "0")];
    assert_eq!(browser.post(&page, KEYS, &fields).await.status, 400);
    assert!(keys(&browser).await.is_empty());
}

#[tokio::test]
async fn a_question_revokes_nothing_and_its_answer_does() {
    let (mut browser, _) = with_client("billing").await;
    let (key, secret) = make_api_key(&mut browser, "import").await;
    let path = format!("{KEYS}/{}/revoke", key.id);
    let question = browser.get(&path).await;
    assert!(question.text.contains("Revoke this key?") && question.text.contains(&key.id));
    assert!(counts(&browser, &secret).await);
    assert_eq!(browser.recorded(Action::KeyRevoked), 0);
    let revoked = browser.post(&question, &path, &[]).await;
    assert_eq!(revoked.to(), Some("/admin/clients/billing?revoked"));
    assert!(!counts(&browser, &secret).await);
    let page = browser.get("/admin/clients/billing?revoked").await;
    assert!(page.text.contains("Revoked") && !page.text.contains(&path));
    let list = browser.get("/admin/clients").await;
    assert!(list.text.contains("<span class=\"tags\">0</span>"));
    assert_eq!(browser.recorded(Action::KeyRevoked), 1);
}

#[tokio::test]
async fn a_key_that_counts_is_not_forgotten_and_a_revoked_one_leaves_the_list() {
    let (mut browser, page) = with_client("billing").await;
    let (key, secret) = make_api_key(&mut browser, "import").await;
    let path = format!("{KEYS}/{}/forget", key.id);
    assert!(browser.get(&path).await.text.contains("It still counts"));
    assert_eq!(browser.post(&page, &path, &[]).await.status, 409);
    assert!(counts(&browser, &secret).await);
    let revoke = format!("{KEYS}/{}/revoke", key.id);
    browser.post(&page, &revoke, &[]).await;
    let question = browser.get(&path).await;
    let forgotten = browser.post(&question, &path, &[]).await;
    assert_eq!(forgotten.to(), Some("/admin/clients/billing?forgotten"));
    let page = browser.get("/admin/clients/billing").await;
    assert!(!page.text.contains(&key.id));
}

#[tokio::test]
async fn a_key_is_changed_on_its_own_clients_page_alone() {
    let (mut browser, page) = with_client("billing").await;
    let (key, secret) = make_api_key(&mut browser, "import").await;
    let fields = [("name", "other"), ("tier", "standard")];
    browser.post(&page, "/admin/clients", &fields).await;
    for act in ["rotate", "end-grace", "revoke", "forget"] {
        let path = format!("/admin/clients/other/keys/{}/{act}", key.id);
        assert_eq!(browser.get(&path).await.status, 404, "{act}");
        let number = page.field("once");
        let refused = browser.post(&page, &path, &[("once", &number)]).await;
        assert_eq!(refused.status, 404, "{act}");
    }
    assert!(counts(&browser, &secret).await);
}

#[tokio::test]
async fn hostile_labels_and_issuers_are_shown_as_text() {
    let (mut browser, _) = with_client("billing").await;
    let hostile = "<script>alert('1')</script>\"><b>";
    let made = make(&mut browser, &[("kind", "api_key"), ("label", hostile)]).await;
    assert_eq!(made.status, 200);
    let issuer = "alice@evil.example";
    let fields = [
        ("kind", "public_key"),
        ("label", hostile),
        ("issuer", issuer),
        ("pem", ALICE),
    ];
    let registered = make(&mut browser, &fields).await;
    assert_eq!(registered.to(), Some("/admin/clients/billing?made"));
    let scopes = [
        ("kind", "api_key"),
        ("label", "a\u{202e}b"),
        ("scopes", "\"><script>\u{e9}"),
    ];
    let refused = make(&mut browser, &scopes).await;
    assert_eq!(refused.status, 400);
    let page = browser.get("/admin/clients/billing").await;
    let ways = page.text.split("href=\"").skip(1);
    let ways: Vec<String> = ways
        .map(|way| way.split('"').next().unwrap().into())
        .collect();
    let ways = ways.iter().filter(|way| way.starts_with(KEYS));
    let mut pages = vec![made, refused, page];
    for way in ways {
        let question = browser.get(way).await;
        assert_eq!(question.status, 200, "{way}");
        assert!(question.text.contains("&#60;script&#62;"), "{way}");
        pages.push(question);
    }
    assert_eq!(pages.len(), 7);
    for page in pages {
        assert!(!page.text.contains("<script") && !page.text.contains("<b>"));
    }
}

#[tokio::test]
async fn a_private_key_pasted_by_mistake_is_in_no_page() {
    let (mut browser, _) = with_client("billing").await;
    let middle = PRIVATE.lines().nth(3).unwrap();
    let bare: String = PRIVATE
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    for pem in [PRIVATE, &bare] {
        let fields = [
            ("kind", "public_key"),
            ("label", "ledger"),
            ("issuer", "a@example.org"),
            ("pem", pem),
        ];
        let refused = make(&mut browser, &fields).await;
        assert!(refused.status == 400 && refused.text.contains("id=\"pem-fault\""));
        assert!(refused.text.contains("value=\"a@example.org\""));
        assert!(!refused.text.contains(middle));
    }
    let fields = [
        ("kind", "public_key"),
        ("label", ""),
        ("issuer", "nobody"),
        ("pem", ALICE),
    ];
    let refused = make(&mut browser, &fields).await;
    let kept = refused.text.contains(ALICE.lines().nth(3).unwrap());
    assert!(refused.status == 400 && kept, "a public key is no secret");
    assert!(refused.text.contains("id=\"issuer-fault\""));
    assert!(refused.text.contains("id=\"public-label-fault\""));
    assert!(keys(&browser).await.is_empty());
}

#[tokio::test]
async fn a_public_key_is_rotated_by_another_one() {
    let (mut browser, _) = with_client("billing").await;
    let fields = [
        ("kind", "public_key"),
        ("label", "ledger"),
        ("issuer", "a+b@example.org"),
        ("pem", ALICE),
    ];
    let made = make(&mut browser, &fields).await;
    assert_eq!(made.to(), Some("/admin/clients/billing?made"));
    let path = "a%2Bb@example.org";
    for (pem, status) in [("", 400), ("-----BEGIN", 400), (ALICE, 409)] {
        let refused = answer(&mut browser, path, "rotate", &[("pem", pem)]).await;
        assert_eq!(refused.status, status, "{pem}");
    }
    let rotated = answer(&mut browser, path, "rotate", &[("pem", MALLORY)]).await;
    assert_eq!(rotated.to(), Some("/admin/clients/billing?rotated"));
    let key = keys(&browser).await.remove(0);
    assert!(key.previous_until.is_some() && key.state == State::Active);
}

#[tokio::test]
async fn no_days_at_all_revoke_nothing() {
    let (mut browser, page) = with_client("billing").await;
    let (_, secret) = make_api_key(&mut browser, "import").await;
    for days in ["0", "", "-1", "10000", "1e3", "4294967297"] {
        let asked = browser
            .get(&format!("/admin/clients/billing/revoke-unused?days={days}"))
            .await;
        assert!(
            asked.status == 400 && asked.text.contains("id=\"days-fault\""),
            "{days}"
        );
        let path = "/admin/clients/billing/revoke-unused";
        let refused = browser.post(&page, path, &[("days", days)]).await;
        assert_eq!(refused.status, 400, "{days}");
    }
    let asked = browser
        .get("/admin/clients/billing/revoke-unused?days=1")
        .await;
    assert!(
        asked
            .text
            .contains("No API key of this client went without use for 1 day.")
    );
    assert!(counts(&browser, &secret).await);
}

/// Made by openssl for tests.
const ALICE: &str = include_str!("../../../../../crates/jwt/tests/keys/alice.spki.pem");
const MALLORY: &str = include_str!("../../../../../crates/jwt/tests/keys/mallory.spki.pem");
const PRIVATE: &str = include_str!("../../../../../crates/jwt/tests/keys/alice.pkcs8.pem");
