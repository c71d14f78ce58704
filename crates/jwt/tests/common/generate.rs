//! Headers and payloads that are right for the most part, and changes to the finished token.

use proptest::prelude::*;

/// JSON texts for a member, right ones first and often.
pub fn value(right: Vec<String>) -> impl Strategy<Value = String> + Clone {
    let wrong = prop::sample::select(
        [
            "null",
            "true",
            "0",
            "-1",
            "1.5",
            "1e3",
            "1e308",
            "18446744073709551615",
            "18446744073709551616",
            r#""""#,
            r#""orders""#,
            r#"["orders"]"#,
            r#"["https://login.example"]"#,
            r#""\u006frders""#,
            "[]",
            "{}",
            r#"{"a":{"b":[1,"2",null]}}"#,
            r#""\ud83d\ude00""#,
            "-0.0",
            "123456789012345678901234567890.5",
        ]
        .as_slice(),
    );
    prop_oneof![
        40 => prop::sample::select(right),
        1 => wrong.prop_map(str::to_owned),
    ]
}

pub fn dates(now_secs: u64, around: &[i64]) -> Vec<String> {
    let mut texts = Vec::new();
    for offset in around {
        let secs = now_secs.saturating_add_signed(*offset);
        texts.push(secs.to_string());
        texts.push(format!("{secs}.4"));
        texts.push(format!("{secs}.6"));
    }
    texts
}

/// A member, or nothing, or twice.
pub fn member(name: &'static str, right: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let one = value(right).prop_map(move |value| format!("\"{name}\":{value}"));
    prop_oneof![
        40 => one.clone().prop_map(|one| vec![one]),
        1 => Just(Vec::new()),
        1 => (one.clone(), one).prop_map(|(one, two)| vec![one, two]),
    ]
}

pub fn extra() -> impl Strategy<Value = Vec<String>> {
    let names = [
        "nbf",
        "x",
        "crit",
        "kid",
        "x5t",
        "url",
        "nonce",
        "cty",
        "zip",
        "jku",
        "sid",
        "client_id",
        "n\\u0062f",
    ];
    let one = (
        prop::sample::select(names.to_vec()),
        value(vec!["1".into(), "\"a\"".into(), "[1]".into()]),
    )
        .prop_map(|(name, value)| format!("\"{name}\":{value}"));
    prop_oneof![2 => Just(Vec::new()), 1 => proptest::collection::vec(one, 1..3)]
}

pub fn object<const N: usize>(members: [Vec<String>; N]) -> impl Strategy<Value = String> {
    let space = prop::sample::select(["", " ", "\r\n\t"].as_slice());
    (
        Just(members.into_iter().flatten().collect::<Vec<_>>()).prop_shuffle(),
        space,
    )
        .prop_map(|(members, space)| {
            format!(
                "{{{space}{}{space}}}",
                members.join(&format!("{space},{space}"))
            )
        })
}

/// Changes to the finished token, most often none.
pub fn mutation() -> impl Strategy<Value = Option<(prop::sample::Index, u8, String)>> {
    let change = (
        any::<prop::sample::Index>(),
        0_u8..3,
        "[A-Za-z0-9_.=\\-+ ]{1,3}",
    );
    prop_oneof![6 => Just(None), 1 => change.prop_map(Some)]
}

/// The token with that change.
pub fn change(token: &mut String, mutation: Option<(prop::sample::Index, u8, String)>) {
    if let Some((at, kind, text)) = mutation {
        let at = at.index(token.len());
        match kind {
            0 => token.insert_str(at, &text),
            1 => token.truncate(at),
            _ => token.replace_range(at..=at, &text),
        }
    }
}
