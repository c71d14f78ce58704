//! Where a page goes on to, when that comes from the address of the request.

/// The address, if it is one of this site's pages; the account's if not. What leads anywhere else
/// would make this site's name a recommendation of another's (CWE-601).
pub(crate) fn page_of_ours(next: &str) -> &str {
    if is_ours(next) { next } else { "/account" }
}

/// A known path, with or without a query. A list and no rule: whatever a browser makes of `//`, `/\`, a
/// tab or a dot, it is none of these.
fn is_ours(next: &str) -> bool {
    let path = next.split_once('?').map_or(next, |(path, _)| path);
    PAGES.contains(&path)
        && next.len() <= MAX_BYTES
        && next.bytes().all(|byte| byte.is_ascii_graphic())
}

const PAGES: &[&str] = &[
    "/account",
    "/account/enrol",
    "/admin",
    "/admin/audit",
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
        ] {
            assert_eq!(page_of_ours(next), next);
        }
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
            &long,
        ] {
            assert_eq!(page_of_ours(next), "/account", "{next:?}");
        }
    }
}
