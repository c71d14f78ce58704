//! Where a page goes on to, when that comes from the address of the request.

use percent_encoding::percent_decode_str;

use crate::clients::client_name;

/// The address, if it is one of this site's pages; the account's if not. What leads anywhere else
/// would make this site's name a recommendation of another's (CWE-601).
pub(crate) fn page_of_ours(next: &str) -> &str {
    if is_ours(next) { next } else { "/account" }
}

/// A known path, with or without a query. A list and no rule: whatever a browser makes of `//`, `/\`, a
/// tab or a dot, it is none of these.
fn is_ours(next: &str) -> bool {
    let path = next.split_once('?').map_or(next, |(path, _)| path);
    (PAGES.contains(&path) || is_of_a_client(path))
        && next.len() <= MAX_BYTES
        && next.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A client's page, or a question about its keys.
fn is_of_a_client(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/admin/clients/") else {
        return false;
    };
    let (client, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let known = match rest.split('/').collect::<Vec<_>>().as_slice() {
        [""] | ["revoke-unused"] => true,
        ["keys", key, "rotate" | "end-grace" | "revoke" | "forget"] => is_a_key(key),
        _ => false,
    };
    known && client_name(client).is_ok()
}

/// As this site writes one into an address. A segment of dots would lead up, `%2e` as well.
fn is_a_key(segment: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@%".contains(&byte);
    segment.bytes().all(plain) && percent_decode_str(segment).any(|byte| byte != b'.')
}

/// The page on which the form stands that is sent to `path`. It is told that the form was not taken.
pub(crate) fn page_of_form(path: &str) -> String {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "admin", "clients", _, "keys", _, _] | ["", "admin", "clients"] => {
            format!("{path}?again")
        }
        ["", "admin", "clients", client, ..] => format!("/admin/clients/{client}?again"),
        ["", "admin", ..] => "/admin".to_owned(),
        _ => String::new(),
    }
}

const PAGES: &[&str] = &[
    "/account",
    "/account/enrol",
    "/admin",
    "/admin/audit",
    "/admin/clients",
    "/password",
];
/// More than a filter of the audit log takes.
const MAX_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_ours_are_kept_with_their_query() {
        for next in [
            "/admin",
            "/admin/audit?user=a%20b&action=login",
            "/password",
            "/account/enrol",
            "/admin/clients?again",
            "/admin/clients/billing",
            "/admin/clients/billing-2?again",
            "/admin/clients/billing/revoke-unused?days=90",
            "/admin/clients/billing/keys/sk-abc/rotate",
            "/admin/clients/billing/keys/a.b%2Bc@example.org/revoke?again",
            "/admin/clients/billing/keys/aeaqcaibaeaqcaib/end-grace",
        ] {
            assert_eq!(page_of_ours(next), next);
        }
    }

    #[test]
    fn a_form_leads_back_to_its_page_which_is_one_of_ours() {
        let cases = [
            ("/admin/unlock", "/admin"),
            ("/admin/clients", "/admin/clients?again"),
            ("/admin/clients/a/keys", "/admin/clients/a?again"),
            ("/admin/clients/a/networks", "/admin/clients/a?again"),
            ("/admin/clients/a/revoke-unused", "/admin/clients/a?again"),
            (
                "/admin/clients/a/keys/b@c/revoke",
                "/admin/clients/a/keys/b@c/revoke?again",
            ),
        ];
        for (form, page) in cases {
            assert_eq!(page_of_form(form), page);
            assert_eq!(page_of_ours(page), page);
        }
        assert_eq!(page_of_form("/password"), "");
    }

    #[test]
    fn nothing_leads_to_another_site_or_to_no_page() {
        let long = format!("/admin?{}", "a".repeat(MAX_BYTES));
        for next in [
            "",
            "/",
            "admin",
            "//evil.example",
            "//evil.example/admin",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/admin\r\nset-cookie: a=b",
            "/admin?\u{0}",
            "https://evil.example/admin",
            "https:evil.example",
            "javascript:alert(1)",
            "/admin/../..//evil.example",
            "/admin/",
            "/admin#x",
            "/admin@evil.example",
            "/sign-out",
            "/v1/me",
            " /admin",
            "/admin?a b",
            "/ADMIN",
            "/%61dmin",
            "/admin/clients/",
            "/admin/clients/Billing",
            "/admin/clients/..",
            "/admin/clients/%2e%2e",
            "/admin/clients//evil.example",
            "/admin/clients/a/disable",
            "/admin/clients/a/keys",
            "/admin/clients/a/keys/b",
            "/admin/clients/a/keys/b/c",
            "/admin/clients/a/keys/b/revoke/c",
            "/admin/clients/a/keys/../revoke",
            "/admin/clients/a/keys/%2E./revoke",
            "/admin/clients/a/keys//revoke",
            "/admin/clients/a/keys/\\evil/revoke",
            "/admin/clients/a\\..\\..",
            &long,
        ] {
            assert_eq!(page_of_ours(next), "/account", "{next:?}");
        }
    }
}
