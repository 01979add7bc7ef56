//! Opens the source and checks it before anything is written.

use std::sync::Arc;

use super::empty::{needs_item, nothing_to_write};
use super::{RestoreRequest, TableAction};
use crate::backup::{self, CheckSummary, Source};
use crate::error::{ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::Expiry;
use crate::ops::run_blocking;

/// Opens the source. With `--salvage`, a damaged dump is opened to read what is readable.
pub(crate) async fn open_source(
    request: &RestoreRequest,
    reporter: &Arc<dyn Reporter>,
) -> Result<Source> {
    let source = Source::open(&request.source);
    if !request.salvage {
        return source;
    }

    // The damage may be in the metadata or in the data, so the whole dump is checked first.
    let checked = match source {
        Ok(source) => check(source, CheckDepth::Items, None, Arc::clone(reporter))
            .await
            .map(|(source, _)| source),
        Err(error) => Err(error),
    };

    match checked {
        Err(failure) if failure.kind() == ErrorKind::Damaged => {
            Source::salvage(&request.source, &failure)
        }
        checked => checked,
    }
}

/// Checks the source if its items will be written, and counts those that have expired by the TTL of the table.
///
/// # Errors
/// It is damaged; it is incomplete and that was not accepted; it has no items and the table would be created. None of this is known of
/// standard input before its end.
pub(crate) async fn check_before_writing(
    source: Source,
    request: &RestoreRequest,
    action: &TableAction,
    table: &str,
    expiry: Option<Expiry>,
    reporter: Arc<dyn Reporter>,
) -> Result<(Source, Option<CheckSummary>)> {
    if action.keeps() || !request.content.includes_items() {
        return Ok((source, None));
    }

    // Before a table is deleted, every item is parsed.
    let depth = match action {
        TableAction::Replace { .. } => CheckDepth::Items,
        _ => CheckDepth::Files,
    };
    let (source, mut checked) = check(source, depth, expiry, reporter).await?;

    let warning = source.accept_incomplete(request.accept_incomplete)?;
    if let Some(checked) = &mut checked {
        checked.warnings.extend(warning);
    }

    if needs_item(request, action, &source)
        && checked.as_ref().is_some_and(|checked| checked.items == 0)
    {
        return Err(nothing_to_write(&source, table, None));
    }

    Ok((source, checked))
}

/// How thoroughly the source is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckDepth {
    /// Checksums and counts. Items of a dump with matching checksums are not parsed; that happens when they are sent.
    Files,
    /// Every item is parsed as well.
    Items,
}

/// Reads the whole source once. Standard input cannot be read twice and is not checked.
async fn check(
    source: Source,
    depth: CheckDepth,
    expiry: Option<Expiry>,
    reporter: Arc<dyn Reporter>,
) -> Result<(Source, Option<CheckSummary>)> {
    if source.is_stream() {
        return Ok((source, None));
    }

    let (items, bytes) = source.metadata().map_or((None, None), |metadata| {
        (Some(metadata.items), Some(metadata.data_bytes))
    });
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items,
        bytes,
    });

    run_blocking("the check", move || {
        let mut progress = |items, bytes| reporter.report(Event::Progress { items, bytes });
        let check = match depth {
            CheckDepth::Items => backup::check,
            CheckDepth::Files => backup::check_files,
        };

        let checked = check(&source, expiry.as_ref(), &mut progress)?;
        Ok((source, Some(checked)))
    })
    .await
}
