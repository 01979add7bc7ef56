//! Tables created and deleted, in a control plane where others are at work too: so many changes at once
//! (`LimitExceededException`), and one at a time on a table (`ResourceInUseException`).

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::client::Client;
use super::error::{Class, Fault};
use super::read::quoted;
use super::retry::Retry;
use crate::error::{Error, Result};
use crate::schema::{CreateTable, Setting};

/// What a refused `CreateTable` leads to.
enum Next {
    /// The table is there by an earlier call.
    Done,
    /// The same call again, later.
    Wait,
    /// The call again without a setting.
    Without(Setting, &'static str),
    /// No table.
    Fail(Error),
}

impl Client {
    /// Asks for a new table. Settings that an engine refuses are left out and handed back with its words.
    pub(crate) async fn create(
        &self,
        table: &str,
        request: &CreateTable,
    ) -> Result<Vec<(Setting, String)>> {
        let started = self.retry().now();
        let mut waits = Retry::waits();
        let mut request = request.clone();
        let mut refused = Vec::new();

        // An earlier call may have been heard although its answer was lost.
        let heard = AtomicBool::new(false);
        let mut is_told = false;
        loop {
            let Err(fault) = self.create_once(table, &request, &heard).await else {
                return Ok(refused);
            };

            let words = fault.words();
            match self
                .after_refusal(table, &request, fault, heard.load(Ordering::Relaxed))
                .await?
            {
                Next::Done => return Ok(refused),
                Next::Fail(error) => return Err(error),
                Next::Without(setting, field) => {
                    request = request.without(field);
                    request.optional.retain(|(_, other)| *other != field);
                    refused.push((setting, words));
                }
                Next::Wait if self.retry().since(started) > self.retry().give_up_after() => {
                    return Err(Error::failed(format!("CreateTable {table} failed: {words}"))
                        .with_hint("a table of that name is still there; run the same command again when it is gone"));
                }
                Next::Wait => {
                    if !std::mem::replace(&mut is_told, true) {
                        self.retry().inform(format!(
                            "a table {table} is still being deleted; waiting to create it"
                        ));
                    }

                    self.retry().rest("CreateTable", &words, &mut waits).await;
                }
            }
        }
    }

    async fn create_once(
        &self,
        table: &str,
        request: &CreateTable,
        heard: &AtomicBool,
    ) -> Result<Bytes, Fault> {
        let body = Bytes::copy_from_slice(&request.body);
        let attempt = || async {
            let answer = self.send_create_table(table, body.clone()).await;
            if answer
                .as_ref()
                .is_err_and(|fault| fault.class == Class::Transient)
            {
                heard.store(true, Ordering::Relaxed);
            }

            answer
        };

        self.run("CreateTable", attempt).await
    }

    async fn after_refusal(
        &self,
        table: &str,
        request: &CreateTable,
        fault: Fault,
        heard: bool,
    ) -> Result<Next> {
        if let Some((setting, field)) = self.refused_setting(request, &fault) {
            return Ok(Next::Without(setting, field));
        }

        if !matches!(fault.class, Class::InUse | Class::Transient) {
            return Ok(Next::Fail(self.tell(fault, "CreateTable", table)));
        }

        let found = match self.describe(table).await {
            // Nothing came of it, or nobody can say.
            Ok(None) | Err(_) if fault.class == Class::Transient => {
                return Ok(Next::Fail(self.tell(fault, "CreateTable", table)));
            }
            found => found?,
        };

        let status = found
            .as_ref()
            .and_then(|found| found.description().table_status.as_deref());
        Ok(match status {
            // Gone between the two calls, or not gone yet.
            None | Some("DELETING") => Next::Wait,
            Some(_) if heard => Next::Done,
            Some(_) => Next::Fail(
                Error::failed(format!("somebody else created table {table} just now"))
                    .with_hint("run the same command again to look at it first"),
            ),
        })
    }

    /// The setting that a refusal names, where the table may be created without it.
    fn refused_setting(
        &self,
        request: &CreateTable,
        fault: &Fault,
    ) -> Option<(Setting, &'static str)> {
        let words = fault.message.to_ascii_lowercase();
        let names = |setting: Setting, field: &str| {
            let known_as: &[&str] = match setting {
                Setting::Kms => &["sse", "kms", "encryption"],
                Setting::Class => &["table class"],
                Setting::WarmThroughput => &["warm throughput"],
                _ => &[],
            };

            words.contains(&field.to_ascii_lowercase())
                || known_as.iter().any(|name| words.contains(name))
        };

        let refuses = !matches!(fault.class, Class::InUse | Class::Denied);
        let may_lack = |setting| refuses && self.host.may_lack(setting);
        request
            .optional
            .iter()
            .copied()
            .find(|(setting, field)| may_lack(*setting) && names(*setting, field))
    }

    /// Asks for the deletion of a table, once it is not being changed.
    pub(crate) async fn delete(&self, table: &str) -> Result<()> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, quoted(table)));
        let mut calls = 0;
        let patience = self.retry().give_up_after();
        let answer = self.run_for("DeleteTable", patience, patience, || {
            calls += 1;
            self.send_delete_table(table, body.clone())
        });
        match answer.await {
            // An earlier call was heard, and its answer lost: the table is gone.
            Err(fault) if calls > 1 && fault.class == Class::NotFound => Ok(()),
            answer => answer
                .map(drop)
                .map_err(|fault| self.tell(fault, "DeleteTable", table)),
        }
    }
}
