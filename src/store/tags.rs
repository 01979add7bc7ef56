//! The tags of a table.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::client::Client;
use super::json::json_string;
use super::pagination::CycleDetector;
use super::recovery::CallTarget;
use crate::aws::ApiOperation;
use crate::aws::error::{ErrorClass, RequestError};
use crate::error::Result;
use crate::schema::TableSchema;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListTagsResponse {
    #[serde(default)]
    tags: Vec<Tag>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

impl Client {
    /// The tags of a described table; none if it was deleted meanwhile.
    pub(crate) async fn tags(
        &self,
        table: &str,
        schema: &TableSchema,
    ) -> Result<BTreeMap<String, String>> {
        match self.list_tags(table, schema).await {
            Err(error) if error.class == ErrorClass::NotFound => Ok(BTreeMap::new()),
            tags => tags.map_err(|error| self.operation_error(error, table)),
        }
    }

    async fn list_tags(
        &self,
        table: &str,
        schema: &TableSchema,
    ) -> Result<BTreeMap<String, String>, RequestError> {
        let arn = schema.description().table_arn.as_deref();
        let arn = json_string(arn.ok_or_else(|| {
            RequestError::invalid_request("the endpoint returns no ARN for the table")
        })?);

        let mut tags = BTreeMap::new();
        let mut body = Bytes::from(format!(r#"{{"ResourceArn":{arn}}}"#));
        let mut cycle = CycleDetector::default();
        loop {
            let attempt =
                || self.send_about_table(ApiOperation::LIST_TAGS_OF_RESOURCE, table, body.clone());
            let answer = self.with_retries(CallTarget::Table(table), attempt).await?;
            let page: ListTagsResponse = serde_json::from_slice(&answer.text).map_err(|error| {
                RequestError::unreadable_response(error).in_context(&answer.context)
            })?;
            tags.extend(page.tags.into_iter().map(|tag| (tag.key, tag.value)));

            match page.next_token.filter(|token| !token.is_empty()) {
                Some(token) => {
                    cycle
                        .advance(&token)
                        .map_err(|error| error.in_context(&answer.context))?;
                    let token = json_string(&token);
                    body = Bytes::from(format!(r#"{{"ResourceArn":{arn},"NextToken":{token}}}"#));
                }
                None => return Ok(tags),
            }
        }
    }
}
