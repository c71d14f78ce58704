use super::names::NAMES_INLINE;
use super::*;
use proptest::prelude::*;
use serde_json::Value;

const LIMITS: Limits = Limits {
    depth: 4,
    members: 16,
};

fn read(text: &str) -> Result<(), JsonFault> {
    members(text, LIMITS, &mut |_, _| {})
}

#[test]
fn refuses_a_member_that_appears_twice_at_any_depth_and_in_any_spelling() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"c":3,"a":4}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":[{"b":1},{"c":1,"c":2}]}"#,
        r#"{"a":{"b":{"c":1,"c":1}}}"#,
        r#"{"sub":1,"s\u0075b":2}"#,
        r#"{"\ud83d\ude00":1,"😀":2}"#,
        r#"{"":1,"":2}"#,
    ] {
        assert_eq!(read(text), Err(JsonFault::DuplicateMember), "{text}");
    }
}

#[test]
fn admits_one_name_in_several_objects() {
    for text in [
        r#"{"a":{"a":{"a":1}}}"#,
        r#"{"a":[{"b":1},{"b":2}],"b":3}"#,
        // The last two share length, first and last byte: a name of a closed object must be gone.
        r#"{"a":{"bxb":1},"byb":2,"bxb":3}"#,
        r#"{"a":1,"A":2}"#,
        " { } ",
    ] {
        assert_eq!(read(text), Ok(()), "{text}");
    }
}

#[test]
fn refuses_what_is_not_an_object() {
    for text in ["[]", "[{}]", "null", "true", "1", r#""{}""#, " [1, 2] "] {
        assert_eq!(read(text), Err(JsonFault::NotObject), "{text}");
    }
}

#[test]
fn refuses_what_breaks_the_grammar() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "{}{}",
        "{} x",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        r#"{"a" 1}"#,
        r#"{a:1}"#,
        r#"{'a':1}"#,
        r#"{"a":01}"#,
        r#"{"a":+1}"#,
        r#"{"a":-}"#,
        r#"{"a":1.}"#,
        r#"{"a":.5}"#,
        r#"{"a":1e}"#,
        r#"{"a":1e309}"#,
        r#"{"a":0x10}"#,
        r#"{"a":NaN}"#,
        r#"{"a":tru}"#,
        r#"{"a":nulls}"#,
        r#"{"a":[1,]}"#,
        r#"{"a":[1 2]}"#,
        r#"{"a":[}"#,
        r#"{"a":"\x41"}"#,
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\ud800\u0041"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\u12g4"}"#,
        r#"{"a":"\u1"}"#,
        "{\"a\":\"\n\"}",
        "{\"a\":\"",
        "{\"a\":1}\0",
        "\u{feff}{}",
        "{/**/}",
    ] {
        assert_eq!(read(text), Err(JsonFault::NotJson), "{text}");
    }
}

#[test]
fn refuses_depth_and_members_beyond_the_limits_and_admits_the_limits() {
    assert_eq!(read(r#"{"a":[[[1]]]}"#), Ok(()));
    assert_eq!(read(r#"{"a":[[[[1]]]]}"#), Err(JsonFault::TooDeep));
    assert_eq!(
        read(r#"{"a":{"a":{"a":{"a":{}}}}}"#),
        Err(JsonFault::TooDeep)
    );
    assert_eq!(read(&"[".repeat(100_000)), Err(JsonFault::TooDeep));
    let wide = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
        format!("{{{}}}", names.join(","))
    };
    assert_eq!(read(&wide(16)), Ok(()));
    assert_eq!(read(&wide(17)), Err(JsonFault::TooManyMembers));
}

#[test]
fn finds_the_end_of_a_string_at_every_offset_and_after_every_byte() {
    for byte in ' '..='\u{ff}' {
        for before in 0..20 {
            let plain = match byte {
                '"' | '\\' => String::new(),
                byte => byte.to_string(),
            };
            let filler = "x".repeat(before);
            let text = format!(r#"{{"{filler}{plain}":"{filler}{plain}","longer{filler}":1}}"#);
            assert_eq!(read(&text), Ok(()), "{text}");
            for control in ["\0", "\u{1}", "\u{1f}", "\n"] {
                let text = format!(r#"{{"a":"{filler}{plain}{control}yyyyyyyy"}}"#);
                assert_eq!(read(&text), Err(JsonFault::NotJson), "{text}");
            }
        }
    }
}

#[test]
fn hands_over_each_member_of_the_outermost_object_alone() {
    let mut seen = Vec::new();
    let text = r#"{"s":"a\u0062","n":-1.5e2,"l":["x","y"],"o":{"inner":1},"z":null}"#;
    members(text, LIMITS, &mut |name, value| {
        seen.push((name.to_owned(), value));
    })
    .unwrap();
    let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["s", "n", "l", "o", "z"]);
    assert_eq!(seen[0].1.string().as_deref(), Some("ab"));
    assert_eq!(seen[0].1.number(), None);
    assert_eq!(seen[1].1.number(), Some("-1.5e2"));
    assert_eq!(seen[2].1.holds("y"), Some(true));
    assert_eq!(seen[2].1.holds("z"), Some(false));
    assert!(seen[3].1.holds("inner").is_none() && seen[3].1.string().is_none());
    assert!(seen[4].1.is_null());
}

#[test]
fn an_array_holds_a_string_only_among_strings() {
    for (array, holds) in [
        (r#"["x"]"#, Some(true)),
        (r#"[ "w" , "\u0078" ]"#, Some(true)),
        ("[]", Some(false)),
        (r#"["xx","X",""]"#, Some(false)),
        (r#"["x",1]"#, None),
        (r#"[null,"x"]"#, None),
        (r#"["x",["x"]]"#, None),
        (r#"[["x"]]"#, None),
        (r#"["x",{"x":"x"}]"#, None),
        (r#""x""#, None),
        (r#"{"x":"x"}"#, None),
    ] {
        let text = format!(r#"{{"a":{array}}}"#);
        let mut seen = Vec::new();
        members(&text, LIMITS, &mut |_, value| seen.push(value.holds("x"))).unwrap();
        assert_eq!(seen, [holds], "{array}");
    }
}

#[test]
fn refuses_a_name_that_appears_again_after_more_names_than_are_kept_in_place() {
    let limits = Limits {
        depth: 4,
        members: 1000,
    };
    for count in [1, NAMES_INLINE - 1, NAMES_INLINE, NAMES_INLINE + 1, 200] {
        let names: Vec<_> = (0..count).map(|at| format!(r#""n{at}":1"#)).collect();
        let (names, last) = (names.join(","), count - 1);
        let inner = format!(r#""z":{{"n":1,"n{last}":1}}"#);
        let reads = |text: String| members(&text, limits, &mut |_, _| {});
        assert_eq!(reads(format!("{{{names},{inner}}}")), Ok(()), "{count}");
        for again in [0, last] {
            for name in [format!("n{again}"), format!("\\u006e{again}")] {
                let text = format!(r#"{{{names},{},"{name}":2}}"#, r#""z":{"a":1}"#);
                assert_eq!(
                    reads(text),
                    Err(JsonFault::DuplicateMember),
                    "{count} {name}"
                );
            }
        }
    }
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn accepts_whatever_serde_writes(value in json(), pretty in any::<bool>()) {
        let limits = Limits { depth: 16, members: 1000 };
        let value = Value::Object([("v".to_owned(), value)].into_iter().collect());
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        prop_assert_eq!(members(&text.unwrap(), limits, &mut |_, _| {}), Ok(()));
    }

    #[test]
    fn what_it_accepts_serde_accepts(value in json(), cut in any::<prop::sample::Index>(), with in "[\\[\\]{}\":,0-9eE.+\\\\ua-f\\-]{0,3}") {
        let limits = Limits { depth: 16, members: 1000 };
        let text = serde_json::to_string(&serde_json::json!({ "v": value, "w": 1 })).unwrap();
        let mut at = cut.index(text.len());
        while !text.is_char_boundary(at) { at = at.saturating_sub(1); }
        let end = (at.saturating_add(1)..=text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(at);
        for mutated in [
            format!("{}{with}{}", &text[..at], &text[at..]),
            format!("{}{with}{}", &text[..at], &text[end..]),
        ] {
            if members(&mutated, limits, &mut |_, _| {}).is_ok() {
                prop_assert!(serde_json::from_str::<serde_json::Map<String, Value>>(&mutated).is_ok(), "{}", mutated);
            }
        }
    }
}
