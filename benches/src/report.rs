//! The report: what a run printed, put in order.

use std::fmt::Write;

use crate::bars::{Verdict, bars};
use crate::lines::{Entry, FAMILIES, Output, Refusal};

/// The report of a whole run as Markdown, with `notes` at its end. No figure is reckoned here: each stands
/// as it was printed.
///
/// # Errors
/// [`Refusal`] when the run is not whole.
pub fn report(printed: &str, notes: &str) -> Result<String, Refusal> {
    let output = Output::parse(printed)?.complete()?;
    let mut text = String::from(HEAD);
    run(&output, &mut text)?;
    judged(&output, &mut text);
    losses(&output, &mut text);
    for family in FAMILIES {
        section(&output, family, &mut text);
    }
    allocations(&output, &mut text);
    line(&mut text, format_args!("\n{}", notes.trim()));
    Ok(text)
}

fn run(output: &Output, text: &mut String) -> Result<(), Refusal> {
    line(text, format_args!("\n## The run\n"));
    for name in ["date", "command", "machine", "rustc", "profile"] {
        let fact = output.fact(name)?;
        line(text, format_args!("- {name}: {fact}"));
    }
    output.fact("peer")?;
    let peers: Vec<&str> = output.facts("peer").collect();
    line(text, format_args!("- versions: {}", peers.join(", ")));
    Ok(())
}

fn judged(output: &Output, text: &mut String) {
    line(text, format_args!("\n## What is to be reached\n"));
    line(
        text,
        format_args!("| Wanted | Verdict | Figures |\n|---|---|---|"),
    );
    for bar in bars(output) {
        let verdict = match bar.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "**missed**",
            Verdict::NotMeasured => "**not measured**",
        };
        let figures = bar.figures.join("; ");
        line(
            text,
            format_args!("| {} | {verdict} | {figures} |", bar.wanted),
        );
    }
}

/// Losses come first and together: a reader need not search for them.
fn losses(output: &Output, text: &mut String) {
    line(text, format_args!("\n## Where we are slower\n"));
    let lost: Vec<&Entry> = output
        .ratios
        .iter()
        .filter(|entry| is_loss(entry))
        .collect();
    let to_floor = lost.iter().filter(|entry| entry.who == FLOOR).count();
    line(
        text,
        format_args!(
            "{} of {} rows, {to_floor} of them against the same work by hand (`floor`). Against others:\n",
            lost.len(),
            output.ratios.len(),
        ),
    );
    for entry in lost.iter().filter(|entry| entry.who != FLOOR) {
        let Entry {
            bench,
            case,
            who,
            value,
        } = entry;
        line(
            text,
            format_args!(
                "- {bench} `{case}`: {who} takes {} of our time.",
                value.text
            ),
        );
    }
}

fn section(output: &Output, family: &str, text: &mut String) {
    line(text, format_args!("\n## {family}\n"));
    line(
        text,
        format_args!(
            "| Case | Peer | Peer ÷ ours | Ours, ns | Peer, ns | |\n|---|---|--:|--:|--:|---|"
        ),
    );
    for entry in output.ratios.iter().filter(|entry| entry.bench == family) {
        let cost = output.cost(entry);
        let (ours, theirs) = cost.map_or(("", ""), |cost| (&cost.ours, &cost.theirs));
        let remark = if is_share(entry) {
            "ours ÷ bare"
        } else if is_loss(entry) {
            "**slower**"
        } else {
            ""
        };
        let Entry {
            case, who, value, ..
        } = entry;
        line(
            text,
            format_args!(
                "| `{case}` | {who} | {} | {ours} | {theirs} | {remark} |",
                value.text
            ),
        );
    }
    for (at, remark) in output.remarks(family).enumerate() {
        let before = if at == 0 { "\n" } else { "" };
        line(text, format_args!("{before}- {remark}"));
    }
}

fn allocations(output: &Output, text: &mut String) {
    line(text, format_args!("\n## Allocations a call\n"));
    line(
        text,
        format_args!("| Bench | Case | Who | Allocations |\n|---|---|---|--:|"),
    );
    for entry in &output.allocations {
        let Entry {
            bench,
            case,
            who,
            value,
        } = entry;
        line(
            text,
            format_args!("| {bench} | `{case}` | {who} | {} |", value.text),
        );
    }
}

fn is_loss(entry: &Entry) -> bool {
    !is_share(entry) && entry.value.number < 1.0
}

/// The one row that says how many times the bare handler's cost ours is.
fn is_share(entry: &Entry) -> bool {
    entry.bench == "gateway" && entry.case.starts_with("share") && entry.who == "bare"
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // A string takes whatever is written to it.
    let _ = writeln!(text, "{line}");
}

const FLOOR: &str = "floor";
const HEAD: &str = "# Results of the benches

Written by `cargo bench-report` from what one run printed; no figure is edited. Peer ÷ ours: above 1 we are
faster, below 1 slower. `floor` is the same work written by hand for the one case, without what makes it
safe elsewhere: to lose to it is the price of that.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::whole;

    #[test]
    fn each_figure_stands_as_it_was_printed_and_a_loss_is_marked() {
        let printed = whole(
            "RATIO jwt verify ring 0.990\n# jwt verify: ours 100.0 ns, ring 99.0 ns\n\
             RATIO jwt verify other 1.000\nRATIO gateway share/1 bare 0.9\n# audit a remark\n",
        );
        let text = report(&printed, "# Notes\nwhy\n").unwrap();
        for row in [
            "| `verify` | ring | 0.990 | 100.0 | 99.0 | **slower** |",
            "| `verify` | other | 1.000 |  |  |  |",
            "| `share/1` | bare | 0.9 |  |  | ours ÷ bare |",
            "- jwt `verify`: ring takes 0.990 of our time.",
            "13 of 15 rows, 12 of them against",
            "| jwt | `verify` | ours | 3 |",
            "- a remark",
            "- machine: 2 cores",
            "- versions: ring 0.17.14",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
        assert!(text.ends_with("# Notes\nwhy\n"));
        assert_eq!(text.matches("**not measured**").count(), 4);
    }

    #[test]
    fn a_run_that_does_not_say_what_it_ran_on_is_refused() {
        for name in ["date", "command", "machine", "rustc", "profile", "peer"] {
            let printed = whole("").replace(&format!("# run {name} "), "# other ");
            assert_eq!(report(&printed, ""), Err(Refusal::FactMissing(name)));
        }
    }

    #[test]
    fn a_run_that_is_not_whole_is_refused() {
        let printed = whole("RATIO jwt verify ring fast\n");
        assert!(matches!(
            report(&printed, ""),
            Err(Refusal::Malformed { .. })
        ));
        let printed = whole("").replace("# run ended: success", "");
        assert_eq!(report(&printed, ""), Err(Refusal::Unfinished));
    }
}
