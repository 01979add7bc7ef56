//! Opens the source and checks it before anything is written.

use std::sync::Arc;

use crate::backup::{self, CheckSummary, ItemCounter, Source, SourceSpec};
use crate::error::{ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::restore::{RestoreRequest, TableAction};
use crate::ops::run_blocking;
use crate::ops::source::ItemSource;

/// Opens a dump. With `salvage`, a damaged dump is opened to read what is readable.
pub(crate) async fn open_dump(
    dump: &SourceSpec,
    salvage: bool,
    reporter: &Arc<dyn Reporter>,
) -> Result<Arc<Source>> {
    let source = Source::open(dump);
    if !salvage {
        return source.map(Arc::new);
    }

    // The damage may be in the metadata or in the data, so the whole dump is checked first.
    let source = source.map(Arc::new);
    let failure = match &source {
        Ok(source) if source.is_stream() => None,
        Ok(source) => {
            let counter = ItemCounter::default();
            check(source, CheckDepth::Items, counter, Arc::clone(reporter))
                .await
                .err()
        }
        Err(_) => None,
    };

    match (source, failure) {
        (Err(failure), _) | (Ok(_), Some(failure)) if failure.kind() == ErrorKind::Damaged => {
            Source::salvage(dump, &failure).map(Arc::new)
        }
        (Ok(_), Some(failure)) => Err(failure),
        (source, _) => source,
    }
}

/// How much of the dump's data a plan reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataCheck {
    /// All, as a restore requires.
    Whole,
    /// None: the plan is not for a restore.
    None,
}

impl DataCheck {
    /// Checks the data before the items are written by this action.
    pub(crate) async fn run(
        self,
        source: &ItemSource,
        (request, action): (&RestoreRequest, &TableAction),
        counter: ItemCounter,
        reporter: Arc<dyn Reporter>,
    ) -> Result<Option<CheckSummary>> {
        match self {
            Self::Whole => check_before_writing(source, request, action, counter, reporter).await,
            Self::None => Ok(None),
        }
    }
}

/// Checks the source if its items will be written, and passes them to `counter`.
///
/// # Errors
/// It is damaged; it is incomplete and that was not accepted. Neither is known of standard input before its end.
async fn check_before_writing(
    source: &ItemSource,
    request: &RestoreRequest,
    action: &TableAction,
    counter: ItemCounter,
    reporter: Arc<dyn Reporter>,
) -> Result<Option<CheckSummary>> {
    if action.keeps() || !request.content.includes_items() {
        return Ok(None);
    }

    // Before a table is deleted, every item is parsed.
    let depth = match action {
        TableAction::Replace { .. } => CheckDepth::Items,
        _ => CheckDepth::Files,
    };
    let mut checked = match source {
        ItemSource::Dump(dump) if !dump.is_stream() => {
            Some(check(dump, depth, counter, reporter).await?)
        }
        // Standard input cannot be read twice, and a table need not be.
        ItemSource::Dump(_) | ItemSource::Table(_) | ItemSource::Backup(_) => None,
    };

    let warning = source.accept_incomplete(request.accept_incomplete)?;
    if let Some(checked) = &mut checked {
        checked.warnings.extend(warning);
    }

    Ok(checked)
}

/// How thoroughly the source is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckDepth {
    /// Checksums and counts. Items of a dump with matching checksums are not parsed; that happens when they are sent.
    Files,
    /// Every item is parsed as well.
    Items,
}

/// Reads the whole source once.
async fn check(
    source: &Arc<Source>,
    depth: CheckDepth,
    counter: ItemCounter,
    reporter: Arc<dyn Reporter>,
) -> Result<CheckSummary> {
    let (items, bytes) = source.metadata().map_or((None, None), |metadata| {
        (Some(metadata.items), Some(metadata.data_bytes))
    });
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items,
        bytes,
    });

    let source = Arc::clone(source);
    run_blocking("the check", move || {
        let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
        let check = match depth {
            CheckDepth::Items => backup::check,
            CheckDepth::Files => backup::check_files,
        };

        check(&source, counter, &mut progress)
    })
    .await
}
