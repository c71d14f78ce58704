//! The bodies of the fuzz targets, by name.
//!
//! Each target under `fuzz_targets/` hands the fuzzer's bytes to the body of its name; the test
//! `replay` hands the same bodies every file of `corpus/<name>/` and bytes made from them. A body
//! returns, or panics: what decodes encodes to the same bytes, and nothing panics.
#![forbid(unsafe_code)]

/// A fuzz target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target there is.
pub const TARGETS: &[Target] = &[
    (
        "account_name",
        portcullis_lockout::testing::fuzz_account_name,
    ),
    ("api_key_row", portcullis_api_key::testing::fuzz_api_key_row),
    (
        "api_key_text",
        portcullis_api_key::testing::fuzz_api_key_text,
    ),
    (
        "audit_checkpoint",
        portcullis_audit::testing::fuzz_audit_checkpoint,
    ),
    ("audit_record", portcullis_audit::testing::fuzz_audit_record),
    (
        "audit_segment",
        portcullis_audit::testing::fuzz_audit_segment,
    ),
    (
        "challenge_token",
        portcullis_sign_in::testing::fuzz_challenge_token,
    ),
    ("cidr", portcullis_ip_list::testing::fuzz_cidr),
    (
        "client_assertion",
        portcullis_jwt::testing::fuzz_client_assertion,
    ),
    ("cookie_value", portcullis_tower::testing::fuzz_cookie_value),
    ("csrf_form", portcullis_tower::testing::fuzz_csrf_form),
    (
        "forwarded_header",
        portcullis_ip_list::testing::fuzz_forwarded_header,
    ),
    ("index_page", portcullis_core::testing::fuzz_index_page),
    ("jwt_claims", portcullis_jwt::testing::fuzz_jwt_claims),
    ("jwt_header", portcullis_jwt::testing::fuzz_jwt_header),
    ("jwt_token", portcullis_jwt::testing::fuzz_jwt_token),
    (
        "lockout_acts",
        portcullis_lockout::testing::fuzz_lockout_acts,
    ),
    (
        "lockout_state",
        portcullis_lockout::testing::fuzz_lockout_state,
    ),
    (
        "rate_limit_acts",
        portcullis_rate_limit::testing::fuzz_rate_limit_acts,
    ),
    (
        "rate_limit_state",
        portcullis_rate_limit::testing::fuzz_rate_limit_state,
    ),
    (
        "refresh_token",
        portcullis_session::testing::fuzz_refresh_token,
    ),
    (
        "rsa_private_key_pem",
        portcullis_jwt::testing::fuzz_rsa_private_key_pem,
    ),
    (
        "rsa_public_key_pem",
        portcullis_jwt::testing::fuzz_rsa_public_key_pem,
    ),
    (
        "sealed_secret",
        portcullis_core::testing::fuzz_sealed_secret,
    ),
    (
        "second_factor_code",
        portcullis_totp_mfa::testing::fuzz_second_factor_code,
    ),
    (
        "session_acts",
        portcullis_session::testing::fuzz_session_acts,
    ),
    ("session_id", portcullis_session::testing::fuzz_session_id),
    ("session_row", portcullis_session::testing::fuzz_session_row),
    (
        "sign_in_attempt",
        portcullis_sign_in::testing::fuzz_sign_in_attempt,
    ),
    (
        "signed_request_acts",
        portcullis_hmac_signing::testing::fuzz_signed_request_acts,
    ),
    (
        "signed_request_head",
        portcullis_hmac_signing::testing::fuzz_signed_request_head,
    ),
    (
        "signed_request_row",
        portcullis_hmac_signing::testing::fuzz_signed_request_row,
    ),
    ("totp_acts", portcullis_totp_mfa::testing::fuzz_totp_acts),
    ("totp_row", portcullis_totp_mfa::testing::fuzz_totp_row),
    (
        "v1_fields",
        portcullis_hmac_signing::testing::fuzz_v1_fields,
    ),
    (
        "waiting_sign_in",
        portcullis_sign_in::testing::fuzz_waiting_sign_in,
    ),
];

/// Runs the body called `name` on `data`.
///
/// # Panics
/// When there is no such target, or the body finds a defect.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    #[expect(
        clippy::panic,
        reason = "a target without a body must not look like a clean run"
    )]
    let (_, body) = target.unwrap_or_else(|| panic!("no fuzz target is called {name}"));
    body(data);
}
