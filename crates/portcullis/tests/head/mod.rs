//! The form that the head of every `lib.rs` has.

/// What the head of a `lib.rs` lacks of its form: a sentence, an example that runs, a table, what the crate
/// does not do, in 60 lines.
pub(crate) fn missing_in_head(lib: &str) -> Vec<&'static str> {
    let head: Vec<&str> = lib
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    let first = head.iter().take_while(|line| !line.is_empty());
    let first = first.copied().collect::<Vec<_>>().join(" ");
    let mut fences = head.iter().filter_map(|line| line.strip_prefix("```"));
    let mut parts = head.rsplit(|line| line.starts_with('|'));
    let after_table = parts.next().unwrap_or_default();
    let checks = [
        (
            first.ends_with('.') && !first.contains(". "),
            "does not open with one sentence",
        ),
        (
            fences.next() == Some(""),
            "has no example first that runs as it stands",
        ),
        (
            head.iter().any(|line| line.starts_with('|')),
            "has no table",
        ),
        (
            says_what_not(after_table),
            "does not say what it does not do",
        ),
        (head.len() <= 60, "has a head of more than 60 lines"),
    ];
    let missing = checks.into_iter().filter(|(there, _)| !there);
    missing.map(|(_, missing)| missing).collect()
}

/// Whether a sentence about the crate says no to something, or a part of the head is about that.
fn says_what_not(lines: &[&str]) -> bool {
    let text = lines.join(" ");
    let no = [" no ", " not ", " nothing", " nobody", " never"];
    let mut sentences = text.split(". ").map(str::trim_start);
    lines.contains(&"# What it does not do")
        || sentences.any(|sentence| {
            sentence.starts_with("It ") && no.iter().any(|word| sentence.contains(word))
        })
}
