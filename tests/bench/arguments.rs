//! What can be chosen on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures the queue over HTTPS beside plain Postgres on the same cluster, and holds both against the goals.
///
/// Everything is started here and removed at the end: Postgres, a server process, simulated agents with client
/// certificates. Both sides take turns in every round; the table shows medians.
#[derive(Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Arguments {
    /// Simulated agents, each with a kept connection.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(16..=5_000))]
    pub(crate) agents: u32,
    /// Rounds; each runs all cases.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// Seconds that each timed case runs in each round.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// Two rounds of one second, fewer held polls: whether everything works, not how fast it is.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Idle agents whose polls are held at the end, to see what they cost.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(16..=9_000))]
    pub(crate) held: u32,
    /// Rows of job history that lists are read from at the end; certificates a tenth of them, stores a hundredth,
    /// agents a five-hundredth.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u32).range(10_000..=100_000_000))]
    pub(crate) list_rows: u32,
    /// Only these groups of cases, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<Group>,
    /// Steps that each report carries, as a real agent sends them; plain Postgres has none.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=64))]
    pub(crate) steps: u16,
    /// Inventories after an addition report a changed store; otherwise that nothing changed.
    #[arg(long)]
    pub(crate) changed_inventories: bool,
    /// After each case of ours, list its most expensive statements. Costs some speed; needs pg_stat_statements.
    #[arg(long)]
    pub(crate) statements: bool,
    /// Where the temporary directory is made: on the disk that is to be measured.
    #[arg(long)]
    pub(crate) directory: Option<PathBuf>,
}

/// A group of cases that are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// Goal 1.
    FanOut,
    /// Goal 2.
    Single,
    /// Goal 3.
    Cycle,
    /// Goal 4.
    Drain,
    /// Goal 5.
    Delay,
    /// Goal 6.
    Idle,
    /// Goal 7.
    Poll,
    /// Goal 8.
    Lists,
}

impl Arguments {
    /// What `--quick` means, spelled out.
    pub(crate) fn settled(self) -> Self {
        match self.quick {
            true => Self {
                rounds: 2,
                seconds: 1,
                held: self.held.min(200),
                list_rows: self.list_rows.min(100_000),
                ..self
            },
            false => self,
        }
    }

    /// Whether a group is wanted.
    pub(crate) fn wants(&self, group: Group) -> bool {
        self.only.is_empty() || self.only.contains(&group)
    }
}
