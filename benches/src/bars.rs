//! What is to be reached, judged from the lines.

use crate::lines::{Entry, Output};

/// What is to be reached, and whether it was.
#[derive(Debug)]
pub struct Bar {
    /// In words.
    pub wanted: &'static str,
    /// Met, missed or not measured.
    pub verdict: Verdict,
    /// The figures that decided, as printed.
    pub figures: Vec<String>,
}

/// How a bar was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every line that counts reaches it.
    Met,
    /// One does not.
    Missed,
    /// No line says.
    NotMeasured,
}

/// What is to be reached, judged from these lines alone.
#[must_use]
pub fn bars(output: &Output) -> [Bar; 4] {
    [
        jwt(output),
        rate_limit(
            output,
            "governor",
            "a rate limit no slower than governor in every row where now is given, and twice as fast at a million keys",
        ),
        rate_limit(
            output,
            "governor-foldhash",
            "the same with both sides under another hasher, foldhash",
        ),
        gateway(output),
    ]
}

fn jwt(output: &Output) -> Bar {
    let mut judged = Judged::default();
    for backend in BACKENDS {
        let mut entries = output.ratios.iter();
        let found = entries.find(|entry| {
            entry.bench == "jwt" && entry.case == "verify-borrowed" && entry.who == backend
        });
        match found {
            Some(entry) => judged.at_least(2.0, entry),
            None => judged.unmeasured = true,
        }
    }
    // Fast, with how many allocations is not known, is not enough.
    let counted = output.allocations.iter().find(|entry| {
        entry.bench == "jwt" && entry.case == "verify-borrowed" && entry.who == "ours"
    });
    match counted {
        Some(entry) => judged.count(
            entry.value.number == 0.0,
            format!("{} allocations", entry.value.text),
        ),
        None => judged.unmeasured = true,
    }
    judged.bar("HS256 verify-borrowed at least twice as fast as jsonwebtoken, by each of its backends, without an allocation")
}

/// Rows of calls that are refused count as those do that are admitted.
fn rate_limit(output: &Output, peer: &str, wanted: &'static str) -> Bar {
    let mut judged = Judged::default();
    let (mut small, mut million) = (false, false);
    for entry in &output.ratios {
        let mut parts = entry.case.split('/');
        let keys = parts.next().unwrap_or_default();
        if entry.bench == "rate_limit" && entry.who == peer && parts.any(|it| it == "now-given") {
            let large = keys.strip_suffix("-refused").unwrap_or(keys) == "1000000";
            judged.at_least(if large { 2.0 } else { 1.0 }, entry);
            (small, million) = (small || !large, million || large);
        }
    }
    judged.unmeasured |= !small || !million;
    judged.bar(wanted)
}

fn gateway(output: &Output) -> Bar {
    let mut judged = Judged::default();
    for entry in &output.ratios {
        let buffered = entry.case.split('/').any(|part| part == "buffered");
        if entry.bench == "gateway" && buffered && entry.who == "usual" {
            judged.at_least(1.3, entry);
        }
    }
    judged
        .bar("the gateway with buffered audit at least 1.3 times as fast as the usual composition")
}

/// Each is measured in a run of its own: one that is missing is not met by the other.
const BACKENDS: [&str; 2] = ["jsonwebtoken-aws-lc", "jsonwebtoken-rust-crypto"];

#[derive(Default)]
struct Judged {
    missed: bool,
    unmeasured: bool,
    figures: Vec<String>,
}

impl Judged {
    fn at_least(&mut self, least: f64, entry: &Entry) {
        let Entry {
            case, who, value, ..
        } = entry;
        let figure = format!("{case} {who} {} of {least}", value.text);
        self.count(value.number >= least, figure);
    }

    fn count(&mut self, reached: bool, figure: String) {
        self.missed |= !reached;
        self.figures.push(figure);
    }

    fn bar(self, wanted: &'static str) -> Bar {
        let verdict = if self.missed {
            Verdict::Missed
        } else if self.unmeasured || self.figures.is_empty() {
            Verdict::NotMeasured
        } else {
            Verdict::Met
        };
        Bar {
            wanted,
            verdict,
            figures: self.figures,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(lines: &str) -> [Verdict; 4] {
        bars(&Output::parse(lines).unwrap()).map(|bar| bar.verdict)
    }

    const ALL_MET: &str = "RATIO jwt verify-borrowed jsonwebtoken-aws-lc 2.00\n\
        RATIO jwt verify-borrowed jsonwebtoken-rust-crypto 9.00\n\
        ALLOCS jwt verify-borrowed ours 0\n\
        RATIO rate_limit hot/1t/now-given governor 1.00\n\
        RATIO rate_limit 1000000/2t/now-given governor 2.00\n\
        RATIO rate_limit hot/1t/now-given governor-foldhash 1.01\n\
        RATIO rate_limit 1000000-refused/2t/now-given governor-foldhash 2.01\n\
        RATIO gateway buffered/1 usual 1.30\n";

    #[test]
    fn all_bars_are_met_by_figures_that_just_reach_them() {
        assert_eq!(verdicts(ALL_MET), [Verdict::Met; 4]);
    }

    #[test]
    fn one_figure_below_its_bar_misses_it() {
        for (from, to, bar) in [
            ("aws-lc 2.00", "aws-lc 1.99", 0),
            ("rust-crypto 9.00", "rust-crypto 1.00", 0),
            ("ours 0", "ours 1", 0),
            ("ours 0", "ours 0.01", 0),
            ("governor 1.00", "governor 0.99", 1),
            ("governor 2.00", "governor 1.99", 1),
            ("foldhash 1.01", "foldhash 0.99", 2),
            ("foldhash 2.01", "foldhash 1.99", 2),
            ("usual 1.30", "usual 1.29", 3),
        ] {
            let mut wanted = [Verdict::Met; 4];
            wanted[bar] = Verdict::Missed;
            assert_eq!(verdicts(&ALL_MET.replace(from, to)), wanted, "{to}");
        }
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        assert_eq!(verdicts(""), [Verdict::NotMeasured; 4]);
        for (line, bar) in [0, 0, 0, 1, 1, 2, 2, 3].into_iter().enumerate() {
            let lines = ALL_MET.lines().enumerate();
            let lines = lines.filter(|(at, _)| *at != line);
            let lines: String = lines.map(|(_, text)| format!("{text}\n")).collect();
            let mut wanted = [Verdict::Met; 4];
            wanted[bar] = Verdict::NotMeasured;
            assert_eq!(verdicts(&lines), wanted, "without line {line}");
        }
    }

    #[test]
    fn rows_of_another_peer_or_clock_decide_nothing() {
        let others = "RATIO rate_limit hot/1t/clock-read governor 0.10\n\
            RATIO rate_limit hot/1t/now-given floor 0.10\nRATIO gateway durable/1 usual 0.10\n\
            RATIO jwt verify jsonwebtoken-aws-lc 0.10\nRATIO jwt verify-borrowed floor 0.10\n";
        assert_eq!(verdicts(&format!("{ALL_MET}{others}")), [Verdict::Met; 4]);
    }
}
