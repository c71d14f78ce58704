//! What a run of the benches printed, read back word by word.

use std::collections::HashSet;

/// The benches' families: a report without one of them is none.
pub const FAMILIES: &[&str] = &[
    "jwt",
    "rate_limit",
    "hmac_signing",
    "totp_mfa",
    "audit",
    "stores",
    "gateway",
    "api_key",
    "session",
    "sign_in",
    "lockout",
    "ip_list",
];

/// Why there is no report.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A line that begins like one of ours has no form.
    #[error("line {number} has no form: {line}")]
    Malformed {
        /// Counted from 1.
        number: usize,
        /// The line.
        line: String,
    },
    /// A bench that no section is for.
    #[error("line {number}: no family is called {bench}")]
    UnknownFamily {
        /// Counted from 1.
        number: usize,
        /// The name.
        bench: String,
    },
    /// One thing was measured twice, and nothing says which figure counts.
    #[error("line {number} was said before: {line}")]
    Repeated {
        /// Counted from 1.
        number: usize,
        /// The line.
        line: String,
    },
    /// The run did not end, or a bench failed.
    #[error("the run did not end well: a bench failed, or the output is cut off")]
    Unfinished,
    /// What the run should have said of itself.
    #[error("the run does not say its {0}")]
    FactMissing(&'static str),
    /// A family printed no ratio.
    #[error("no ratio of the family {0}")]
    FamilyMissing(&'static str),
    /// Nothing was counted.
    #[error("no allocations were counted")]
    AllocationsMissing,
}

/// A number as it was printed: it is shown so, and compared by its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// As printed.
    pub text: String,
    /// Its value: finite, not below zero.
    pub number: f64,
}

impl Figure {
    fn parse(text: &str) -> Option<Self> {
        // No sign, no exponent, no infinity.
        let plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
        let number: f64 = plain.then(|| text.parse().ok()).flatten()?;
        number.is_finite().then(|| Self {
            text: text.to_owned(),
            number,
        })
    }
}

/// `RATIO <bench> <case> <peer> <value>` or `ALLOCS <bench> <case> <who> <count>`.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The family.
    pub bench: String,
    /// What was done.
    pub case: String,
    /// The peer; of allocations whoever made them.
    pub who: String,
    /// The peer's cost ÷ ours; of allocations how many a call makes.
    pub value: Figure,
}

/// `# <bench> <case>: ours <ns> ns, <peer> <ns> ns`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Our nanoseconds, as printed.
    pub ours: String,
    /// The peer's nanoseconds, as printed.
    pub theirs: String,
    key: [String; 3],
}

/// All that a run printed and a report shows.
#[derive(Debug, Default)]
pub struct Output {
    /// The ratios, in their order.
    pub ratios: Vec<Entry>,
    /// The counts, in their order.
    pub allocations: Vec<Entry>,
    costs: Vec<Cost>,
    remarks: Vec<(String, String)>,
    facts: Vec<(String, String)>,
    ended: bool,
}

impl Output {
    /// Reads what a run printed. What is not a line of ours, such as criterion's, is passed over; one of
    /// ours without its form is an error.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::UnknownFamily`], [`Refusal::Repeated`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let (mut output, mut said) = (Self::default(), HashSet::new());
        for (at, line) in text.lines().enumerate() {
            let number = at.saturating_add(1);
            let line = line.trim_end();
            let malformed = || Refusal::Malformed {
                number,
                line: line.to_owned(),
            };
            let Some((kind, rest)) = kind(line) else {
                // Glued to another line it would be lost.
                if ["RATIO ", "ALLOCS "].iter().any(|kind| line.contains(kind)) {
                    return Err(malformed());
                }
                continue;
            };
            match kind {
                Kind::Ended if rest == "success" => output.ended = true,
                Kind::Ended => return Err(Refusal::Unfinished),
                Kind::Fact => {
                    let (name, fact) = rest.split_once(' ').ok_or_else(malformed)?;
                    output.facts.push((name.to_owned(), fact.to_owned()));
                }
                Kind::Remark => output.remark(rest),
                Kind::Ratio | Kind::Allocations => {
                    let entry = entry(rest).ok_or_else(malformed)?;
                    if !FAMILIES.contains(&entry.bench.as_str()) {
                        let bench = entry.bench;
                        return Err(Refusal::UnknownFamily { number, bench });
                    }
                    let words = line.rsplit_once(' ').map_or(line, |(words, _)| words);
                    if !said.insert(words.to_owned()) {
                        let line = line.to_owned();
                        return Err(Refusal::Repeated { number, line });
                    }
                    if matches!(kind, Kind::Ratio) {
                        output.ratios.push(entry);
                    } else {
                        output.allocations.push(entry);
                    }
                }
            }
        }
        Ok(output)
    }

    /// Refuses what is not the whole of a run that went well.
    ///
    /// # Errors
    /// [`Refusal::Unfinished`], [`Refusal::FamilyMissing`], [`Refusal::AllocationsMissing`].
    pub fn complete(self) -> Result<Self, Refusal> {
        if !self.ended {
            return Err(Refusal::Unfinished);
        }
        let missing = |family: &&&str| !self.ratios.iter().any(|entry| entry.bench == ***family);
        if let Some(family) = FAMILIES.iter().find(missing) {
            return Err(Refusal::FamilyMissing(family));
        }
        if self.allocations.is_empty() {
            return Err(Refusal::AllocationsMissing);
        }
        Ok(self)
    }

    /// What the run said of itself under `name`.
    ///
    /// # Errors
    /// [`Refusal::FactMissing`].
    pub fn fact(&self, name: &'static str) -> Result<&str, Refusal> {
        self.facts(name).next().ok_or(Refusal::FactMissing(name))
    }

    /// All that the run said of itself under `name`.
    pub fn facts(&self, name: &str) -> impl Iterator<Item = &str> {
        let of_name = move |(named, _): &&(String, String)| named == name;
        self.facts.iter().filter(of_name).map(|(_, fact)| &**fact)
    }

    /// What both sides of a ratio took, if it was printed.
    #[must_use]
    pub fn cost(&self, ratio: &Entry) -> Option<&Cost> {
        let key = [&ratio.bench, &ratio.case, &ratio.who];
        self.costs.iter().find(|cost| cost.key.each_ref() == key)
    }

    /// What else a family printed, line by line.
    pub fn remarks(&self, family: &str) -> impl Iterator<Item = &str> {
        let of_family = move |(bench, _): &&(String, String)| bench == family;
        let remarks = self.remarks.iter().filter(of_family);
        remarks.map(|(_, remark)| &**remark)
    }

    fn remark(&mut self, rest: &str) {
        if let Some(cost) = cost(rest) {
            self.costs.push(cost);
        } else if let Some((bench, remark)) = rest.split_once(' ') {
            self.remarks.push((bench.to_owned(), remark.to_owned()));
        }
    }
}

enum Kind {
    Ratio,
    Allocations,
    Fact,
    Ended,
    Remark,
}

fn kind(line: &str) -> Option<(Kind, &str)> {
    let kinds = [
        ("RATIO", Kind::Ratio),
        ("ALLOCS", Kind::Allocations),
        ("# run ended:", Kind::Ended),
        ("# run", Kind::Fact),
        ("#", Kind::Remark),
    ];
    kinds.into_iter().find_map(|(head, kind)| {
        let rest = line.strip_prefix(head)?;
        let whole = rest.is_empty() || rest.starts_with(' ');
        whole.then(|| (kind, rest.strip_prefix(' ').unwrap_or(rest)))
    })
}

fn entry(rest: &str) -> Option<Entry> {
    let mut words = rest.split(' ');
    let mut word = || words.next().filter(|word| !word.is_empty());
    let entry = Entry {
        bench: word()?.to_owned(),
        case: word()?.to_owned(),
        who: word()?.to_owned(),
        value: Figure::parse(word()?)?,
    };
    words.next().is_none().then_some(entry)
}

fn cost(rest: &str) -> Option<Cost> {
    let (bench, rest) = rest.split_once(' ')?;
    let (case, rest) = rest.split_once(": ours ")?;
    let (ours, rest) = rest.split_once(" ns, ")?;
    let (peer, theirs) = rest.strip_suffix(" ns")?.split_once(' ')?;
    Some(Cost {
        ours: Figure::parse(ours)?.text,
        theirs: Figure::parse(theirs)?.text,
        key: [bench, case, peer].map(str::to_owned),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run that printed one ratio of each family, these lines, and its end.
    pub(crate) fn whole(lines: &str) -> String {
        let each = FAMILIES.iter();
        let each: String = each
            .map(|family| format!("RATIO {family} some-case floor 0.50\n"))
            .collect();
        format!(
            "# run date 2026-01-01T00:00:00.000Z\n# run command cargo bench\n# run machine 2 cores\n\
             # run rustc 1.95.0\n# run profile lto\n# run peer ring 0.17.14\n\
             {each}ALLOCS jwt verify ours 3\n{lines}# run ended: success\n"
        )
    }

    #[test]
    fn a_line_of_ours_without_its_form_is_an_error_and_not_passed_over() {
        for line in [
            "RATIO",
            "RATIO ",
            "RATIO jwt",
            "RATIO jwt verify floor",
            "RATIO jwt verify floor fast",
            "RATIO jwt verify floor NaN",
            "RATIO jwt verify floor inf",
            "RATIO jwt verify floor -1.0",
            "RATIO jwt verify floor 1e3",
            "RATIO jwt verify floor .",
            "RATIO jwt  verify floor 1.0",
            "RATIO jwt verify an assertion floor 1.0",
            "RATIO jwt verify floor 1.0 x",
            "ALLOCS jwt verify ours",
            "ALLOCS jwt verify ours none",
            "Benchmarking jwt/verify RATIO jwt verify floor 1.0",
            "x ALLOCS jwt verify ours 1",
            "# run",
            "# run date",
        ] {
            let text = format!("some words\n{line}\n");
            let refused = Output::parse(&text).unwrap_err();
            assert!(
                matches!(refused, Refusal::Malformed { number: 2, .. }),
                "{line}: {refused}"
            );
        }
    }

    #[test]
    fn what_others_print_is_passed_over() {
        let text = "jwt/verify   time:   [1.0 ns 1.1 ns 1.2 ns]\n\nRATIOS are fun\n#!x\n#\n";
        let output = Output::parse(text).unwrap();
        assert!(output.ratios.is_empty() && output.allocations.is_empty());
    }

    #[test]
    fn an_unknown_family_is_refused_and_so_is_what_was_said_twice() {
        let refused = Output::parse("RATIO jtw verify floor 1.0").unwrap_err();
        let bench = String::from("jtw");
        assert_eq!(refused, Refusal::UnknownFamily { number: 1, bench });
        let text = "RATIO jwt verify floor 1.0\nRATIO jwt verify floor 2.0";
        let refused = Output::parse(text).unwrap_err();
        assert!(matches!(refused, Refusal::Repeated { number: 2, .. }));
        let text = "RATIO jwt verify floor 1.0\nALLOCS jwt verify floor 1\nRATIO jwt verify x 1.0";
        assert_eq!(Output::parse(text).unwrap().ratios.len(), 2);
    }

    #[test]
    fn a_run_that_failed_or_was_cut_off_is_refused() {
        let whole = whole("");
        assert!(Output::parse(&whole).unwrap().complete().is_ok());
        let cut = whole.replace("# run ended: success\n", "");
        let refused = Output::parse(&cut).unwrap().complete().unwrap_err();
        assert_eq!(refused, Refusal::Unfinished);
        let failed = whole.replace("ended: success", "ended: exit status: 101");
        assert_eq!(Output::parse(&failed).unwrap_err(), Refusal::Unfinished);
    }

    #[test]
    fn a_run_without_one_of_the_families_is_refused_by_name() {
        for family in FAMILIES {
            let text = whole("").replace(&format!("RATIO {family} some-case floor 0.50\n"), "");
            let refused = Output::parse(&text).unwrap().complete().unwrap_err();
            assert_eq!(refused, Refusal::FamilyMissing(family));
        }
        let text = whole("").replace("ALLOCS jwt verify ours 3\n", "");
        let refused = Output::parse(&text).unwrap().complete().unwrap_err();
        assert_eq!(refused, Refusal::AllocationsMissing);
    }

    #[test]
    fn a_cost_belongs_to_its_ratio_and_another_remark_to_its_family() {
        let text = "RATIO jwt verify floor 2.0\nRATIO jwt verify ring 3.0\n\
            # jwt verify: ours 10.0 ns, floor 20.0 ns\n# jwt verify: ours 10.5 ns, ring 31.5 ns\n\
            # rate_limit bytes/key ours 24, governor 56\n";
        let output = Output::parse(text).unwrap();
        let cost = output.cost(&output.ratios[1]).unwrap();
        assert_eq!((&*cost.ours, &*cost.theirs), ("10.5", "31.5"));
        assert_eq!(output.remarks("jwt").count(), 0);
        let remarks: Vec<&str> = output.remarks("rate_limit").collect();
        assert_eq!(remarks, ["bytes/key ours 24, governor 56"]);
    }

    #[test]
    fn every_bench_has_its_family() {
        let manifest = include_str!("../Cargo.toml");
        let benches = manifest.split("[[bench]]").skip(1);
        let names = benches.filter_map(|bench| bench.split('"').nth(1));
        for name in names.filter(|name| *name != "allocations") {
            assert!(FAMILIES.contains(&name), "{name}");
        }
    }
}
