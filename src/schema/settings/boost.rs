//! A temporary boost of a table's write capacity during a restore, and its reversal.
//!
//! AWS limits how often both ends may happen: a table goes to on-demand four times in 24 hours (formerly once), and to
//! provisioned at any time; capacity is lowered four times a day (UTC) and then once an hour
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-switching-capacity-modes.html>,
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html>).

use super::values::{Billing, Capacity};
use crate::error::Result;
use crate::schema::overrides::parse::{BillingMode, Overrides};
use crate::schema::{TableSchema, wording};

/// Temporary capacity of a provisioned table while items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boost {
    /// Billed by request.
    OnDemand,
    /// At least this many WCU, for the table and for each of its GSIs.
    WriteCapacity(u64),
}

impl TableSchema {
    /// This table with `boost`; `None` if that changes nothing: it is on-demand, or has as much.
    ///
    /// # Errors
    ///
    /// As for [`overridden`](Self::overridden).
    pub fn boosted(&self, boost: Boost) -> Result<Option<Self>> {
        let Billing::Provisioned(of_table) = self.description.billing() else {
            return Ok(None);
        };

        let overrides = match boost {
            Boost::OnDemand => Overrides {
                billing_mode: Some(BillingMode::OnDemand),
                ..Overrides::default()
            },
            Boost::WriteCapacity(least) => self.with_capacities(
                |capacity| Capacity {
                    // Never below the present capacity: lowering it is limited per day.
                    write: capacity.write.max(least),
                    ..capacity
                },
                of_table,
            ),
        };

        let boosted = self.with_billing(&overrides)?;

        // If no call is needed, the table has as much already.
        Ok(boosted.billing_call("", self).is_some().then_some(boosted))
    }

    /// This table with the billing mode and the capacity of `other`, for itself and for the GSIs that both have.
    ///
    /// # Errors
    ///
    /// As for [`overridden`](Self::overridden).
    pub fn billed_as(&self, other: &Self) -> Result<Self> {
        let overrides = match other.description.billing() {
            Billing::OnDemand => Overrides {
                billing_mode: Some(BillingMode::OnDemand),
                ..Overrides::default()
            },
            Billing::Provisioned(of_table) => {
                // Indexes that `other` lacks keep their capacity.
                let mut overrides = self.with_capacities(|capacity| capacity, of_table);
                for index in &other.description.global_secondary_indexes {
                    if let Some(capacity) = other.description.index_capacity(index)
                        && self.has_index(&index.index_name)
                    {
                        overrides
                            .index_capacity
                            .insert(index.index_name.clone(), capacity);
                    }
                }

                overrides
            }
        };

        self.with_billing(&overrides)
    }

    /// Billing and capacity, described for people: `provisioned 5 RCU / 5 WCU`.
    #[must_use]
    pub fn billing_in_words(&self) -> String {
        wording::billing(&self.description)
    }

    /// Overrides with the capacity `of_table` for the table and the present capacity for each GSI, all converted by `change`.
    fn with_capacities(
        &self,
        change: impl Fn(Capacity) -> Capacity,
        of_table: Capacity,
    ) -> Overrides {
        let table = &self.description;
        let indexes = table.global_secondary_indexes.iter().map(|index| {
            (
                index.index_name.clone(),
                change(table.index_capacity(index).unwrap_or(of_table)),
            )
        });

        let index_capacity = indexes.collect();
        let Capacity { read, write } = change(of_table);
        Overrides {
            billing_mode: Some(BillingMode::Provisioned),
            read_capacity: Some(read),
            write_capacity: Some(write),
            index_capacity,
            ..Overrides::default()
        }
    }

    /// This schema with other billing, for a limited time; all other settings stay.
    fn with_billing(&self, overrides: &Overrides) -> Result<Self> {
        // Overrides of the capacity remove auto scaling; a temporary change must not.
        let schema = self.overridden(overrides)?.schema;
        Ok(Self {
            sections: self.sections.clone(),
            ..schema
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn table(billing: &Value, index: &Value) -> TableSchema {
        let mut table = json!({
            "TableName": "films",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"}, {"AttributeName": "genre", "AttributeType": "S"},
            ],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-genre",
                "KeySchema": [{"AttributeName": "genre", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": index,
            }],
        });

        table["ProvisionedThroughput"] = billing.clone();
        let document = json!({"Table": table, "AutoScaling": {"ScalableTargets": []}});

        TableSchema::parse(document.to_string().as_bytes()).unwrap()
    }

    fn units(read: u64, write: u64) -> Value {
        json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write})
    }

    fn change(from: &TableSchema, to: &TableSchema) -> Value {
        serde_json::from_str(&to.billing_call("films", from).expect("they differ").body).unwrap()
    }

    #[test]
    fn table_and_indexes_are_raised_and_none_is_lowered() {
        let films = table(&units(5, 7), &units(3, 900));
        let boosted = films.boosted(Boost::WriteCapacity(500)).unwrap().unwrap();
        assert_eq!(
            change(&films, &boosted),
            json!({"TableName": "films", "ProvisionedThroughput": units(5, 500)})
        );
        let all = films.boosted(Boost::WriteCapacity(1000)).unwrap().unwrap();
        let of_index =
            json!([{"Update": {"IndexName": "by-genre", "ProvisionedThroughput": units(3, 1000)}}]);
        assert_eq!(
            change(&films, &all)["GlobalSecondaryIndexUpdates"],
            of_index
        );
        assert!(all.has_auto_scaling(), "the schema keeps its sections");
    }

    #[test]
    fn what_has_nothing_to_gain_is_not_raised() {
        let films = table(&units(5, 7), &units(3, 900));
        assert!(films.boosted(Boost::WriteCapacity(7)).unwrap().is_none());
        assert!(films.boosted(Boost::WriteCapacity(8)).unwrap().is_some());
        let on_demand = table(&units(0, 0), &units(0, 0));
        assert!(
            on_demand
                .boosted(Boost::WriteCapacity(100))
                .unwrap()
                .is_none()
        );

        assert!(on_demand.boosted(Boost::OnDemand).unwrap().is_none());
    }

    #[test]
    fn a_boost_comes_off_as_it_came_on() {
        let films = table(&units(5, 7), &units(3, 9));
        for boost in [Boost::OnDemand, Boost::WriteCapacity(50)] {
            let boosted = films.boosted(boost).unwrap().unwrap();
            let again = boosted.billed_as(&films).unwrap();
            assert!(films.billing_call("films", &again).is_none(), "{boost:?}");
            assert!(films.billing_call("films", &boosted).is_some(), "{boost:?}");
        }

        let boosted = films.boosted(Boost::OnDemand).unwrap().unwrap();
        assert_eq!(
            change(&boosted, &films)["ProvisionedThroughput"],
            units(5, 7)
        );
        assert_eq!(
            change(&films, &boosted),
            json!({"TableName": "films", "BillingMode": "PAY_PER_REQUEST"})
        );
    }
}
