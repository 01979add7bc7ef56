//! Items from the source to the table: reading starts before the table is changed, and writing when it is ready.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::RestorePlan;
use super::checkpoint::{Checkpoint, Lanes, is_scan};
use super::checkpoint_writer::Saver;
use super::empty::nothing_to_write;
use super::items::{Items, Way};
use super::ledger::Counts;
use super::marker::Marker;
use super::plan::TableAction;
use super::rejects::{RejectPlaces, Rejects};
use super::writing::{How, Moved, Writing};
use crate::backup::{KeyCollisions, Source};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::invalid_item::InvalidItem;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::run_blocking;
use crate::store::WriteStore;

/// A command whose dump fails writes nothing, and a shell says so only where it is asked to.
const EMPTY_STREAM: &str = "standard input held no items: where another command was to write them, see whether it failed \
                            (`set -o pipefail` stops a script then)";

/// Items on their way into the table.
pub(crate) struct Moving<S> {
    writing: Writing<S>,
    items: Items,
    pub(crate) key: KeySchema,
    way: Way,
}

impl<S: WriteStore + Clone + 'static> Moving<S> {
    /// Starts to read the source, and waits for the first item that can be written. `None` where no item is to be written.
    ///
    /// # Errors
    /// The source cannot be read; there is no such item, and the table would be created or replaced; the first item was rejected
    /// and the run was to stop there; interrupted.
    pub(crate) async fn start(
        store: &S,
        plan: &mut RestorePlan,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>> {
        let is_wanted =
            plan.action != TableAction::Keep && plan.parts.request.content.includes_items();
        let Some(key) = plan.parts.bound.key.clone().filter(|_| is_wanted) else {
            return Ok(None);
        };

        let mut checkpoint = begin(plan, &key)?;
        let rejects = rejects(plan, &key, &mut checkpoint).await?;
        let way = way(plan, &key, reporter);
        let items = Items::start(&plan.parts.source, &checkpoint.lanes, way.clone(), cancel)?;

        let request = &plan.parts.request;
        let how = How {
            table: plan.target.table.clone(),
            key: key.clone(),
            batch_size: request.batch_size,
            on_conflict: request.on_conflict,
            strict: request.strict,
        };

        let (reporter, cancel) = (Arc::clone(reporter), cancel.clone());
        let writing = Writing::new(
            store.clone(),
            how,
            rejects,
            Saver::new(checkpoint),
            reporter,
            cancel,
        )?;

        Self {
            writing,
            items,
            key,
            way,
        }
        .with_first(plan)
        .await
        .map(Some)
    }

    /// Waits for the first item that can be written.
    async fn with_first(mut self, plan: &RestorePlan) -> Result<Self> {
        let (key, checks_size) = (&self.key, plan.action.creates());
        let misfit = |item: &[u8]| match InvalidItem::check(item, key)? {
            InvalidItem::TooLarge(_) if !checks_size => None,
            misfit => Some(misfit.message()),
        };
        let found = self.writing.first(&mut self.items, misfit).await;
        match found {
            Ok(true) => Ok(self),
            Ok(false) if !plan.needs_item() => Ok(self),
            Ok(false) => {
                let (moved, _) = self.writing.end()?;
                Err(nothing_to_write(
                    &plan.parts.source,
                    &plan.target.table,
                    Some(&moved),
                ))
            }
            Err(error) => Err(self.writing.end()?.0.stopped(error)),
        }
    }

    /// Moves the items; returns what was done, and how that ended.
    pub(crate) async fn all(
        self,
        plan: &RestorePlan,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(Moved, Result<()>)> {
        let Self {
            mut writing,
            items,
            way,
            ..
        } = self;

        let marker = plan
            .parts
            .marker
            .as_ref()
            .filter(|_| plan.parts.identity.is_some());

        writing.keep_at(
            marker.map(Marker::checkpoint),
            plan.parts.own.table_id.clone(),
        );
        let counts = writing.counts();
        reporter.report(Event::Phase {
            phase: Phase::Writing,
            items: plan
                .source
                .items
                .map(|items| (items + plan.unreadable()).saturating_sub(counts.read)),
            bytes: plan
                .source
                .bytes
                .map(|all| all.saturating_sub(counts.bytes)),
        });

        let done = writing.all(items).await;
        let (moved, acknowledged) = writing.end()?;
        let repeated = run_blocking("counting the items", move || acknowledged.repeated()).await?;
        let counts = moved.counts.without_repeated(repeated);
        let collisions = if done.is_ok() {
            collisions(&plan.parts.source, way, counts).await?
        } else {
            KeyCollisions::default()
        };

        let moved = Moved {
            counts,
            collisions,
            ..moved
        };

        if done.is_ok() && moved.counts.read == 0 && plan.parts.source.is_stream() {
            reporter.report(Event::Warning(EMPTY_STREAM.to_owned()));
        }

        let warnings = plan.parts.request.transform.warnings();
        warnings
            .into_iter()
            .filter(|_| done.is_ok())
            .for_each(|warning| reporter.report(Event::Warning(warning)));

        Ok((moved, done))
    }
}

/// The files of rejected items and conflicts, continued where a checkpoint says so.
async fn rejects(
    plan: &RestorePlan,
    key: &KeySchema,
    checkpoint: &mut Checkpoint,
) -> Result<Rejects> {
    let source = &plan.parts.source;
    let left = (checkpoint.rejects.as_ref(), checkpoint.conflicts.as_ref());
    let naming = ItemFormatter::new(
        plan.parts.request.transform.clone(),
        plan.parts.bound.source_key.as_ref().unwrap_or(key).clone(),
    );
    let state_dir = plan.parts.request.state_dir.as_deref();
    let rejects = Rejects::open(
        RejectPlaces::of(source.path(), state_dir, &plan.target),
        left,
        naming,
    )?;

    if plan.resumes.is_some() {
        return Ok(rejects);
    }

    let (rejects, pieces) = list_unreadable(Arc::clone(source), rejects).await?;
    checkpoint.counts.add_unreadable(pieces);

    Ok(rejects)
}

/// How items change.
fn way(plan: &RestorePlan, key: &KeySchema, reporter: &Arc<dyn Reporter>) -> Way {
    Way {
        transform: plan.parts.request.transform.clone(),
        from: plan
            .parts
            .bound
            .source_key
            .clone()
            .unwrap_or_else(|| key.clone()),
        to: key.clone(),
        is_scan: is_scan(&plan.parts.source),
        reporter: Arc::clone(reporter),
        collisions: Arc::<OnceLock<KeyCollisions>>::default(),
    }
}

/// Different items with the same key. If neither items nor key change, a Scan has none, unless someone edited the dump: then it is read
/// again to name them.
async fn collisions(source: &Arc<Source>, way: Way, counts: Counts) -> Result<KeyCollisions> {
    if way.is_scan && !way.may_collide() && counts.superseded > 0 {
        let source = Arc::clone(source);
        return run_blocking("reading the dump", move || way.collisions_in(&source)).await;
    }

    Ok(way.collisions.get().cloned().unwrap_or_default())
}

/// Keeps what of a damaged dump is no item with the rejects; how many pieces that was.
async fn list_unreadable(source: Arc<Source>, mut rejects: Rejects) -> Result<(Rejects, u64)> {
    run_blocking("reading the dump", move || {
        let mut pieces = 0;
        source.unreadable(|piece| {
            pieces += 1;
            rejects.keep_unreadable(&piece)
        })?;
        Ok((rejects, pieces))
    })
    .await
}

/// Where the run begins: at the checkpoint that it continues from, or at the beginning of the dump.
fn begin(plan: &mut RestorePlan, key: &KeySchema) -> Result<Checkpoint> {
    if let Some(checkpoint) = plan.parts.checkpoint.take() {
        return Ok(checkpoint);
    }

    let lanes = Lanes::of(
        &plan.parts.source,
        key,
        plan.parts.request.transform.changes_items(),
    )?;

    Ok(match plan.parts.identity.clone() {
        Some(identity) => Checkpoint::begin(identity, lanes),
        None => Checkpoint::unkept(lanes),
    })
}
