//! The routes and their policies, for people.

use std::fmt;

/// One route of a [`RouteTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// Its methods, or `any`.
    pub methods: String,
    /// Its path; of a router whose routes nobody can list, where it was put.
    pub path: String,
    /// What it stands behind.
    pub policy: String,
}

/// Every route with the policy it stands behind; [`fmt::Display`] aligns them, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable {
    rows: Vec<Row>,
}

impl RouteTable {
    pub(super) const fn new(rows: Vec<Row>) -> Self {
        Self { rows }
    }

    /// The rows, in the order in which the routes were put; what answers elsewhere is the last.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }
}

impl fmt::Display for RouteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |of: fn(&Row) -> &str| {
            let lengths = self.rows.iter().map(|row| of(row).chars().count());
            lengths.max().unwrap_or(0)
        };
        let (methods, paths) = (widest(|row| &row.methods), widest(|row| &row.path));
        for (at, row) in self.rows.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            let Row {
                methods: method,
                path,
                policy,
            } = row;
            write!(f, "{method:<methods$}  {path:<paths$}  {policy}")?;
        }
        Ok(())
    }
}
