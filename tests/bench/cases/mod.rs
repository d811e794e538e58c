//! The cases: what is measured, on which side, in which order.

mod deliveries;
mod drain;
mod idle;
mod life_cycle;
mod lists;
mod pick_up;
mod polls;

use std::time::Duration;

use anyhow::Result;

use crate::arguments::{Arguments, Group};
use crate::figures::{Figures, Measured};
use crate::fleet::Fleet;
use crate::plain::Plain;
use crate::site::Site;

pub(crate) use idle::{Idle, idle};
use life_cycle::Inventories;
pub(crate) use lists::{Pages, lists};

/// A case. Those of the plain side are pgbench scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Case {
    PlainInsertHundred,
    FanOut,
    FanOutAlone,
    PlainInsertOne,
    SingleAdds,
    PlainCycleSingle,
    PlainCycleBatch,
    LifeCycle,
    LifeCycleBare,
    PlainDrain,
    Drain,
    DrainAdditions,
    PlainCommitAlone,
    PickUpIdle,
    PickUpIdleSent,
    PlainCommit,
    PickUpLoaded,
    PickUpLoadedSent,
    Hello,
    ShortPoll,
    AskingPoll,
}

impl Case {
    /// What it is called in the tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PlainInsertHundred => "plain insert of 100 jobs, 8 clients",
            Self::FanOut => "additions to 1,000 stores each, 8 connections",
            Self::FanOutAlone => "additions to 1,000 stores each, 1 connection",
            Self::PlainInsertOne => "plain insert of 1 job, 32 clients",
            Self::SingleAdds => "additions to 1 store each, 64 connections",
            Self::PlainCycleSingle => "plain cycle of 10 jobs, finished one by one, 8 clients",
            Self::PlainCycleBatch => "plain cycle of 10 jobs, finished together, 8 clients",
            Self::LifeCycle => "life cycle: add 10, claim 10, report each; inventories uploaded",
            Self::LifeCycleBare => "life cycle without uploads: inventories reported as failed",
            Self::PlainDrain => "plain drain by hundreds, 8 clients",
            Self::Drain => "drain by hundreds: inventories, reported as failed",
            Self::DrainAdditions => "drain by hundreds: additions, and their inventories uploaded",
            Self::PlainCommitAlone => "plain smallest commit, 1 client",
            Self::PickUpIdle => "pick-up, idle: answer of the addition to job in hand",
            Self::PickUpIdleSent => "pick-up, idle: addition sent to job in hand",
            Self::PlainCommit => "plain smallest commit, 8 clients",
            Self::PickUpLoaded => "pick-up, half load: answer of the addition to job in hand",
            Self::PickUpLoadedSent => "pick-up, half load: addition sent to job in hand",
            Self::Hello => "GET /healthz, 64 connections",
            Self::ShortPoll => "short poll of an idle agent, 64 connections",
            Self::AskingPoll => "GET /readyz (one SELECT 1), 64 connections",
        }
    }
}

impl Group {
    /// Its cases: plain ones and ours take turns.
    pub(crate) const fn cases(self) -> &'static [Case] {
        match self {
            Self::FanOut => &[Case::PlainInsertHundred, Case::FanOut, Case::FanOutAlone],
            Self::Single => &[Case::PlainInsertOne, Case::SingleAdds],
            Self::Cycle => {
                &[Case::PlainCycleSingle, Case::LifeCycle, Case::PlainCycleBatch, Case::LifeCycleBare]
            }
            Self::Drain => &[Case::PlainDrain, Case::Drain, Case::DrainAdditions],
            Self::Delay => &[Case::PlainCommitAlone, Case::PickUpIdle, Case::PlainCommit, Case::PickUpLoaded],
            Self::Idle | Self::Lists => &[],
            Self::Poll => &[Case::Hello, Case::ShortPoll, Case::AskingPoll],
        }
    }
}

/// What cases run on.
pub(crate) struct Bench {
    pub(crate) site: Site,
    pub(crate) fleet: Fleet,
    pub(crate) plain: Plain,
    pub(crate) arguments: Arguments,
}

impl Bench {
    fn time(&self) -> Duration {
        Duration::from_secs(self.arguments.seconds.into())
    }

    /// Runs a case once, on empty tables.
    pub(crate) async fn run(&self, case: Case, figures: &Figures) -> Result<Vec<(Case, Measured)>> {
        let one = |measured: Measured| vec![(case, measured)];
        if !self.is_ours(case) {
            return Ok(one(self.plain.run(case, self.arguments.seconds, &self.site.meter).await?));
        }
        self.site.clear().await?;
        Ok(match case {
            Case::FanOut => one(deliveries::fan_out(self, 8).await?),
            Case::FanOutAlone => one(deliveries::fan_out(self, 1).await?),
            Case::SingleAdds => one(deliveries::single(self).await?),
            Case::LifeCycle => one(life_cycle::run(self, Inventories::Uploaded).await?),
            Case::LifeCycleBare => one(life_cycle::run(self, Inventories::Failed).await?),
            Case::Drain => one(drain::inventories(self).await?),
            Case::DrainAdditions => one(drain::additions(self).await?),
            Case::PickUpIdle => {
                let (answered, sent) = pick_up::run(self).await?;
                vec![(Case::PickUpIdle, answered), (Case::PickUpIdleSent, sent)]
            }
            Case::PickUpLoaded => {
                let background = life_cycle::half_load(self, figures).await?;
                let (answered, sent) = pick_up::run(self).await?;
                background.stop().await?;
                vec![(Case::PickUpLoaded, answered), (Case::PickUpLoadedSent, sent)]
            }
            Case::Hello => one(polls::get(self, "/healthz").await?),
            Case::AskingPoll => one(polls::get(self, "/readyz").await?),
            _ => one(polls::short(self).await?),
        })
    }

    /// Whether a case is one of ours: its statements can be listed.
    pub(crate) const fn is_ours(&self, case: Case) -> bool {
        !matches!(
            case,
            Case::PlainInsertHundred
                | Case::PlainInsertOne
                | Case::PlainCycleSingle
                | Case::PlainCycleBatch
                | Case::PlainDrain
                | Case::PlainCommitAlone
                | Case::PlainCommit
        )
    }
}
