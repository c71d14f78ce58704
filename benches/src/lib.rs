//! What every bench shares: one way to measure, the lines it prints, and the report made from them.
//!
//! - `RATIO <bench> <case> <peer> <value>`: value = the peer's cost ÷ ours, above 1 is better for us. A
//!   peer called `floor` is the same work written by hand for the one case. The one exception is
//!   `RATIO gateway share… bare <value>`: how many times the bare handler's cost ours is.
//! - `ALLOCS <bench> <case> <who> <count>`: how many allocations a call makes.
//! - `# <bench> <case>: ours <ns> ns, <peer> <ns> ns`: the two costs of a ratio.
//! - `# <bench> …`: a remark, shown as it is.
//!
//! `cargo bench-report` runs all benches and writes the report; it changes no figure.
#![forbid(unsafe_code)]

mod bars;
mod lines;
mod measure;
mod report;

pub use bars::{Bar, Verdict, bars};
pub use lines::{Cost, Entry, FAMILIES, Figure, Output, Refusal};
pub use measure::{pair, ratio};
pub use report::report;
