//! GSIs that are created after the items: those that some items do not fit, and those that an existing table lacks.
//!
//! DynamoDB refuses an item whose value for a key attribute of an index has another type, is empty or is too long. If the index is
//! created later, such an item stays in the table and is not in the index
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.ViolationDetection.html>).

use super::actions::update_table;
use super::spec::{Progress, SettingActions, SettingCall, SettingSpec, SettingTarget, When};
use crate::error::Result;
use crate::schema::description::GlobalIndex;
use crate::schema::document::known_fields::element_name;
use crate::schema::document::raw::{Fields, elements_of, raw};
use crate::schema::document::views::SectionView;
use crate::schema::{TableSchema, unreadable};

pub(crate) static SPEC: SettingSpec = SettingSpec {
    is_choice: false,
    when: When::Indexing,
    // The request states a capacity exactly if the table is provisioned.
    comes_after: &["billing"],
    // `schema::diff` compares indexes of all kinds.
    differences: Some(|_, _| Vec::new()),
    is_shown: |table, call| index_of(table, call).is_some(),
    progress: Some(progress),
    ..SettingSpec::new("indexes", "indexes", |_| SectionView::Absent, actions)
};

/// One call per index: DynamoDB creates them one at a time.
fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let mut actions = SettingActions::default();
    let indexes = schema.description.global_secondary_indexes.iter();
    // An index that is being deleted does not count as present in an existing table.
    let lacking =
        indexes.filter(|index| !index.is_being_deleted() && target.lacks_index(&index.index_name));
    for index in lacking {
        let name = &index.index_name;
        let what = format!("GSI {name}");
        match schema.index_creation(target.table, index, target.choice, target.same_table) {
            Ok(body) => {
                let call = update_table(&SPEC, what, &body).adding(name);
                actions.calls.push(call);
            }
            Err(error) => actions.not_applied.push((what, error.to_string())),
        }
    }

    actions
}

/// The index that the call creates.
fn index_of<'a>(table: &'a TableSchema, call: &SettingCall) -> Option<&'a GlobalIndex> {
    let mut indexes = table.description.global_secondary_indexes.iter();
    indexes.find(|index| Some(&index.index_name) == call.adds.as_ref())
}

fn progress(table: &TableSchema, call: &SettingCall) -> Progress {
    let Some(index) = index_of(table, call) else {
        return Progress::Settled;
    };

    if index.is_being_deleted() {
        Progress::Failed(format!("index {} is being deleted", index.index_name))
    } else {
        // A table is ready only if all of its indexes are.
        Progress::Settled
    }
}

impl TableSchema {
    /// This table with those GSIs of `other` that it lacks.
    ///
    /// # Errors
    ///
    /// As for [`parse`](Self::parse).
    pub(crate) fn with_indexes_of(&self, other: &Self) -> Result<Self> {
        let mut table = Fields::to_edit(&self.table);
        let others = Fields::to_edit(&other.table);
        for field in ["GlobalSecondaryIndexes", "AttributeDefinitions"] {
            let own = table.get(field).and_then(elements_of).unwrap_or_default();
            let is_missing = |name: &Option<String>| {
                name.is_some() && !own.iter().any(|own| element_name(own) == *name)
            };

            let elements = others.get(field).and_then(elements_of).unwrap_or_default();
            let missing = elements
                .into_iter()
                .filter(|element| is_missing(&element_name(element)));
            let all: Vec<_> = own
                .iter()
                .copied()
                .chain(missing)
                .map(ToOwned::to_owned)
                .collect();
            if !all.is_empty() {
                table.set(field, &all);
            }
        }

        let table = raw(&table);
        let description = serde_json::from_str(table.get()).map_err(|cause| unreadable(&cause))?;

        Ok(Self {
            table,
            sections: self.sections.clone(),
            description,
        })
    }
}
