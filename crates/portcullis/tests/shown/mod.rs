//! The commands that the documents show, and what runs each.

/// A command that a document shows, the file that runs it, and the words there that do: a line of a script, or
/// the name of a test.
pub(crate) const COMMANDS: &[(&str, &str, &str)] = &[
    (
        "cargo test --workspace",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo run -p auth-service",
        SUPPORT,
        "the_walkthrough_ends_in_success",
    ),
    (
        "cargo run -p auth-service -- --help",
        SETTINGS,
        "the_flags_are_consistent",
    ),
    (
        "examples/auth-service/walkthrough.sh http://127.0.0.1:8080 the-one-time-password",
        SUPPORT,
        "the_walkthrough_ends_in_success",
    ),
    (
        "openssl req -x509 -nodes -days 30 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=localhost \
         -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem",
        TLS,
        "a_key_of_each_kind_that_openssl_writes_is_taken",
    ),
    (
        "cargo run -p auth-service -- --tls-cert cert.pem --tls-key key.pem",
        TLS,
        "tls_1_2_and_1_3_are_spoken_and_nothing_but_http_1_within",
    ),
    (
        "curl --cacert cert.pem https://localhost:8080/healthz",
        TLS,
        "tls_1_2_and_1_3_are_spoken_and_nothing_but_http_1_within",
    ),
    (
        "openssl dgst -sha256 -mac HMAC -macopt hexkey:0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20 file",
        DOCUMENTS,
        "openssl_makes_the_mac_that_the_page_on_signing_shows",
    ),
    (
        "cargo test -p portcullis --test pains",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo test -p portcullis-benches --features peers --test naive",
        ".ci/deep",
        "cargo test -p portcullis-benches --features peers --test naive",
    ),
    (".ci/fuzz 60", ".ci/deep", ".ci/fuzz"),
    (
        "cargo bench-report",
        ".ci/deep",
        "cargo bench-report --quick",
    ),
    (
        "cargo doc -p portcullis --features full --open",
        ".ci/run",
        "cargo doc --workspace --all-features",
    ),
    (
        "cargo test -p portcullis --test attacks",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo test -p portcullis --test documents",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo test -p portcullis --test shape",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo test -p portcullis-examples --doc",
        ".ci/run",
        "cargo test --workspace --locked",
    ),
    (
        "cargo tree -p portcullis-core -e normal --prefix none --no-dedupe | sort -u",
        DOCUMENTS,
        "the_weight_of_each_crate_is_what_cargo_counts",
    ),
    (
        "cargo run -p portcullis-examples --example jwt",
        ".ci/run",
        "cargo build -q --workspace --examples --locked",
    ),
    ("cargo new shop", SHOP, NEW_APP),
    ("curl -i http://127.0.0.1:3000/orders", SHOP, NEW_APP),
    (
        "token=$(curl -s -d name=alice -d password=wonderland http://127.0.0.1:3000/login)",
        SHOP,
        NEW_APP,
    ),
    (
        "curl -H \"Authorization: Bearer $token\" http://127.0.0.1:3000/orders",
        SHOP,
        NEW_APP,
    ),
    (
        "for guess in 1 2 3 4 5 6 7 8 9 10; do \
         curl -i -d name=alice -d password=$guess http://127.0.0.1:3000/login; done",
        SHOP,
        NEW_APP,
    ),
    (ROTATE, RUNBOOKS, CALLS),
    (END_GRACE, RUNBOOKS, CALLS),
    (
        "curl -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/audit?target=$KEY&limit=1000\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/audit?user=$NAME&limit=1000\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/audit/verify\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -X DELETE -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/clients/$CLIENT/keys/$KEY\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -X POST -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/clients/$CLIENT/disable\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -X POST -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/users/$NAME/second-factor/reset\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "curl -X POST -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/users/$NAME/reset\"",
        RUNBOOKS,
        CALLS,
    ),
    (
        "(umask 077; openssl rand -hex 32 > data.key)",
        RUNBOOKS,
        ROOT_KEY,
    ),
    ("mv data/audit audit.before", RUNBOOKS, ROOT_KEY),
    (
        "cargo run -p auth-service -- --accept-audit-loss --reset-second-factor",
        RUNBOOKS,
        ROOT_KEY,
    ),
    (
        "cargo run -p auth-service -- --reset-admin --reset-second-factor",
        "examples/auth-service/tests/service.rs",
        "a_lost_administrators_password_is_replaced_by_whoever_runs_the_service",
    ),
    ("mv data/audit audit.damaged", RUNBOOKS, DAMAGED),
    (
        "cargo run -p auth-service -- --clock-was-ahead",
        RUNBOOKS,
        "a_database_made_under_a_clock_that_ran_ahead_is_refused_until_somebody_looked_at_the_clock",
    ),
    (
        "cargo run -p auth-service -- --database-restored",
        RUNBOOKS,
        "what_was_taken_since_the_backup_is_not_taken_again_by_a_start_that_was_told_of_it",
    ),
    (
        "cargo run -p auth-service -- --accept-audit-loss",
        RUNBOOKS,
        DAMAGED,
    ),
    (
        "sqlite3 data/portcullis.db \".backup portcullis.backup.db\"",
        RUNBOOKS,
        "a_backup_brings_back_what_was_revoked_since_and_ends_the_sessions_that_went_on",
    ),
];

/// Commands that nothing runs, for they are what runs everything else.
pub(crate) const NOT_RUN: &[&str] = &[".ci/run", ".ci/deep"];

const DOCUMENTS: &str = "crates/portcullis/tests/documents.rs";
const SHOP: &str = "crates/portcullis/tests/new_app.rs";
const NEW_APP: &str = "a_new_app_made_by_the_readme_alone_refuses_as_it_says";
const SUPPORT: &str = "examples/auth-service/tests/support/walkthrough.rs";
const SETTINGS: &str = "examples/auth-service/src/settings.rs";
const TLS: &str = "examples/auth-service/tests/tls.rs";
const RUNBOOKS: &str = "examples/auth-service/tests/runbooks.rs";
const CALLS: &str = "every_call_of_the_runbooks_is_answered_and_does_what_is_said";
const ROOT_KEY: &str = "a_leaked_root_key_is_replaced_and_what_was_under_it_is_made_anew";
const DAMAGED: &str = "a_damaged_log_is_named_put_aside_and_begun_anew";
const ROTATE: &str = "curl -X POST -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/clients/$CLIENT/keys/$KEY/rotate\" -H 'Content-Type: application/json' -d '{}'";
const END_GRACE: &str = "curl -X POST -H \"Authorization: Bearer $TOKEN\" \"$URL/v1/clients/$CLIENT/keys/$KEY/end-grace\"";
