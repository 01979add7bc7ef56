//! The settled state of a sink: the positions of all lanes, and the data it needs to continue from there.

use chrono::Utc;

use super::job::Job;
use super::restore_job::RestoreProgress;
use crate::backup::{DataFileState, DumpProgress, ScanProgress, SegmentProgress};
use crate::error::Result;
use crate::ops::sink::table::{RejectFileSize, RestoreCounts, WriteCosts};
use crate::ops::source::lanes::LanePositions;

/// A snapshot of what a sink has settled.
pub(crate) struct Settled<P> {
    /// For each lane, the position before which everything is settled.
    pub(crate) positions: Vec<P>,
    pub(crate) state: SinkState,
}

/// The data a sink needs to continue.
pub(crate) enum SinkState {
    Dump(Box<SettledDump>),
    Table(Box<SettledTable>),
}

/// The state of a dump.
pub(crate) struct SettledDump {
    /// The progress of the Scan; its segments are the positions.
    pub(crate) scan: ScanProgress,
    pub(crate) counted: DataFileState,
    pub(crate) tail: String,
}

/// The state of a table.
pub(crate) struct SettledTable {
    pub(crate) counts: RestoreCounts,
    pub(crate) costs: WriteCosts,
    pub(crate) rejects: Option<RejectFileSize>,
    pub(crate) conflicts: Option<RejectFileSize>,
}

/// Waits until what was settled is on disk, and returns it. Blocks. `None` if there is nothing from which a later run could continue.
pub(crate) type Settling<P> = Box<dyn FnOnce() -> Result<Option<Settled<P>>> + Send>;

/// A position in a source, which its journal records.
pub(crate) trait Position: Sized + Send + 'static {
    /// Records what is settled.
    fn record(settled: Settled<Self>, job: &mut Job);
}

/// The position in a segment of a Scan.
impl Position for SegmentProgress {
    fn record(settled: Settled<Self>, job: &mut Job) {
        match (job, settled.state) {
            (Job::Dump(job), SinkState::Dump(state)) => {
                job.progress = Some(DumpProgress {
                    made_at: Utc::now(),
                    scan: ScanProgress {
                        segments: settled.positions,
                        ..state.scan
                    },
                    counted: state.counted,
                    tail: state.tail,
                });
            }
            (Job::Restore(job), SinkState::Table(state)) => {
                if let Some(progress) = &mut job.progress {
                    progress.lanes = LanePositions::Segments(settled.positions);
                    state.record(progress);
                }
            }
            _ => {}
        }
    }
}

/// The offset in a file.
impl Position for u64 {
    fn record(settled: Settled<Self>, job: &mut Job) {
        let (Job::Restore(job), SinkState::Table(state)) = (job, settled.state) else {
            return;
        };

        if let Some(progress) = &mut job.progress {
            progress.lanes.set_marks(settled.positions.into_iter());
            state.record(progress);
        }
    }
}

impl SettledTable {
    /// Records everything but the positions.
    fn record(self, progress: &mut RestoreProgress) {
        progress.counts = self.counts;
        progress.costs = self.costs;
        progress.rejects = self.rejects;
        progress.conflicts = self.conflicts;
        progress.saved_at = Utc::now();
    }
}
