//! Tests that documents name.

/// Whether the text has a test of that name: a function right under its attributes.
pub(crate) fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains(&function));
    let before = at.and_then(|at| lines.get(..at)).into_iter().flatten();
    let marks = before.rev().map(|line| line.trim());
    let mut marks = marks.take_while(|line| !line.is_empty() && *line != "}");
    marks.any(|line| line == "#[test]" || line.starts_with("#[tokio::test"))
}
