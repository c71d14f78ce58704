//! As much of Markdown as the documents here use.
#![allow(dead_code, reason = "each test uses a part of this")]

/// The fenced blocks of a text: what is said of their language, and their lines.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    let mut lines = text.lines();
    std::iter::from_fn(move || {
        let opened = lines.by_ref().find(|line| is_fence(line))?;
        let inside = lines.by_ref().take_while(|line| !is_fence(line));
        Some((opened.trim().trim_start_matches('`'), inside.collect()))
    })
}

/// A list's blocks are set in.
fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

/// The lines outside the fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    text.lines().filter(move |line| {
        let fence = is_fence(line);
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The commands of a text's `sh` blocks: one a line, lines that end in a backslash joined to the next, comments
/// taken off.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, lines) in blocks(text).filter(|(language, _)| *language == "sh") {
        let mut whole = String::new();
        for line in lines {
            let line = line.trim();
            if let Some(begun) = line.strip_suffix('\\') {
                whole.push_str(begun.trim_end());
                whole.push(' ');
                continue;
            }
            whole.push_str(line);
            let command = std::mem::take(&mut whole);
            let command = command.split("  #").next().unwrap_or_default().trim();
            if !command.is_empty() && !command.starts_with('#') {
                found.push(command.to_owned());
            }
        }
    }
    found
}

/// The cargo commands that stand in a text's sentences.
pub(crate) fn said_commands(text: &str) -> Vec<String> {
    let spans = prose(text).flat_map(|line| line.split('`').skip(1).step_by(2));
    let cargo = spans.filter(|span| span.starts_with("cargo "));
    cargo.map(str::to_owned).collect()
}

/// Where the links and pictures of a text lead.
pub(crate) fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(text) {
        for (opens, closes) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            for rest in line.split(opens).skip(1) {
                found.extend(rest.split(closes).next());
            }
        }
    }
    found
}

/// What a link can name in a text: each heading, in small letters, blanks as hyphens.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
            kept.map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
        .collect()
}

/// The tests that a text names in backticks, each with the file that stands before it in its paragraph or row.
/// What reads as a test's name has three underscores or more.
pub(crate) fn named_tests(text: &str) -> Vec<(Option<&str>, &str)> {
    let mut found = Vec::new();
    let mut file = None;
    for line in prose(text) {
        if line.is_empty() || line.starts_with('|') {
            file = None;
        }
        for word in line.split('`').skip(1).step_by(2) {
            if word.ends_with(".rs") && word.contains('/') {
                file = Some(word);
            } else if is_test_name(word) {
                found.push((file, word));
            }
        }
    }
    found
}

fn is_test_name(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    word.bytes().all(plain) && word.bytes().filter(|byte| *byte == b'_').count() >= 3
}
