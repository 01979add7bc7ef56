//! Transform: the steps that items go through, in order.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use sha2::{Digest, Sha256};

use super::command::{CommandSpec, TransformCommand};
use super::function::FunctionStep;
use super::item_step::ItemStep;
use super::jq::{Condition, ConditionStep, Filter};
use super::mask::Masks;
use super::outcome::Outcome;
use super::pipeline::{self, ItemChunk, TransformedChunk};
use super::python::{PythonFunction, PythonSpec};
use super::sampling::SampleStep;
use super::step::TransformStep;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::field::Field;
use crate::item::{KeyAttribute, KeySchema, Sample};

/// A sequence of steps: the sample first, then filters, conditions and commands in the order in
/// which they were added, masks last. Cheap to clone.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// use dynadump::event::{Reporter, SilentReporter};
/// use dynadump::transform::{ItemChunk, Outcome, Transform};
/// use futures_util::stream::{self, StreamExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> dynadump::error::Result<()> {
/// let transform = Transform::new().filter("--transform", r#".sk = S("film#\(.year | str)") | drop("year")"#)?;
/// let reporter: Arc<dyn Reporter> = Arc::new(SilentReporter);
/// let items = vec![r#"{"id":{"S":"a"},"year":{"N":"1927"}}"#.into()];
/// let chunks = stream::iter([Ok(ItemChunk { tag: (), items })]);
/// let mut results = transform.apply(chunks, NonZeroUsize::MIN, &reporter)?;
/// while let Some(chunk) = results.next().await {
///     assert_eq!(chunk?.outcomes, [Outcome::Changed(r#"{"id":{"S":"a"},"sk":{"S":"film#1927"}}"#.into())]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Transform {
    sample: Option<Sample>,
    key: Option<KeySchema>,
    steps: Vec<TransformStep>,
    masks: Option<Arc<Masks>>,
    /// All options in the order in which they were added. They identify the transform.
    options: Vec<TransformOption>,
}

/// An option that added a step.
#[derive(Debug, Clone)]
struct TransformOption {
    /// The field of a request; `None` for a Rust function.
    field: Option<Field>,
    /// Its value; the name of a function; for masks, the SHA-256 of the rules and the fingerprint of the key.
    value: String,
}

impl TransformOption {
    /// Whether it only selects items.
    fn selects(&self) -> bool {
        matches!(self.field, Some(Field::Sample | Field::Where))
    }
}

impl Transform {
    /// Creates a transform without steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sample.is_none() && self.steps.is_empty() && self.masks.is_none()
    }

    /// Keeps a percentage of the partitions, chosen by the hash of the partition key. Two tables
    /// with the same partition keys keep the same ones, so samples of related tables fit together.
    /// An item without a usable key is rejected.
    ///
    /// Requires [`for_table`](Self::for_table) or [`between_tables`](Self::between_tables).
    #[must_use]
    pub fn sample(mut self, sample: Sample) -> Self {
        self.sample = Some(sample);
        self.with_option(Field::Sample, format!("{}%", sample.percent()))
    }

    /// Whether only a sample of the items is kept.
    pub(crate) fn is_sampled(&self) -> bool {
        self.sample.is_some()
    }

    /// Sets the key schema of the table that items are read from and written to, and the key
    /// attributes of its indexes.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): a mask rule would remove a key.
    pub fn for_table(self, key: &KeySchema, index_keys: &[KeyAttribute]) -> Result<Self> {
        self.between_tables(key, key, index_keys)
    }

    /// Like [`for_table`](Self::for_table), for a target table with its own key schema and index
    /// keys.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): a mask rule would remove a key of the target
    /// table.
    pub fn between_tables(
        mut self,
        source: &KeySchema,
        target: &KeySchema,
        index_keys: &[KeyAttribute],
    ) -> Result<Self> {
        if let Some(masks) = &self.masks {
            masks.rules().check_keys(target, index_keys)?;
        }

        self.key = Some(source.clone());
        Ok(self)
    }

    /// Keeps items for which the first output of a jq filter is neither `false` nor `null`. Errors
    /// call the filter `name`.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the filter has a syntax error; the error shows
    /// where.
    pub fn condition(self, name: &str, code: &str) -> Result<Self> {
        let condition = Condition::compile(name, code)?;
        let step = ConditionStep(condition);

        Ok(self.with_option(Field::Where, code).step(step))
    }

    /// Runs a jq filter on each item. Errors call the filter `name`.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the filter has a syntax error; the error shows
    /// where.
    pub fn filter(self, name: &str, code: &str) -> Result<Self> {
        let filter = Filter::compile(name, code)?;
        Ok(self.with_option(Field::Filter, code).step(filter))
    }

    /// Sends each item through a program.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the program does not exist.
    pub fn command(mut self, spec: CommandSpec) -> Result<Self> {
        let line = spec.line.clone();
        let command = TransformCommand::new(spec)?;
        self.steps.push(TransformStep::Command(command));

        Ok(self.with_option(Field::Command, line))
    }

    /// Sends each item through a Python function.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the interpreter does not exist, or it cannot
    /// import the function.
    pub fn python(mut self, spec: PythonSpec) -> Result<Self> {
        let (name, jobs, timeout) = (spec.function.clone(), spec.jobs, spec.timeout);
        let function = Arc::new(PythonFunction::new(spec)?);
        let command = TransformCommand::of_program(function, jobs, timeout);
        self.steps.push(TransformStep::Command(command));

        Ok(self.with_option(Field::PythonFunction, name))
    }

    /// Applies a Rust function to each item in DynamoDB JSON, on several threads. An item that it makes and
    /// DynamoDB would refuse is rejected.
    ///
    /// The name identifies the function in plans and in [`identity`](Self::identity). The function
    /// must give the same result for the same item, because a verification calls it again.
    #[must_use]
    pub fn function(
        self,
        name: impl Into<String>,
        function: impl Fn(&Bytes) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.with_option(None, name).step(FunctionStep(function))
    }

    /// Masks items after all other steps, regardless of the order of calls.
    #[must_use]
    pub fn mask(mut self, masks: Masks) -> Self {
        let identity = format!(
            "{} {}",
            masks.rules().sha256(),
            masks.key_fingerprint().unwrap_or_default()
        );

        self.masks = Some(Arc::new(masks));
        self.with_option(Field::Mask, identity)
    }

    /// The masks, if any.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.masks.as_deref()
    }

    /// Whether a mask changes attributes of this key.
    pub(crate) fn masks_key(&self, key: &KeySchema) -> bool {
        let masks = self.masks();
        masks.is_some_and(|masks| masks.rules().change_key(key))
    }

    /// Hash of all options, mask rules and the mask key; `None` without steps. Two transforms with
    /// the same identity have the same effect, except for changes of a program or a Python function:
    /// only its command line or its name is hashed.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }

        let mut hash = Sha256::new();
        for option in &self.options {
            // The length separates the value from the next option.
            hash.update(option.field.map_or("function", Field::name));
            hash.update((option.value.len() as u64).to_le_bytes());
            hash.update(&option.value);
        }

        Some(hex::encode(&hash.finalize()[..16]))
    }

    /// Whether items may be changed, not only skipped.
    #[must_use]
    pub fn changes_items(&self) -> bool {
        self.options.iter().any(|option| !option.selects())
    }

    /// Whether filters, commands or functions may change items. Masks do not count.
    #[must_use]
    pub fn has_filters_or_commands(&self) -> bool {
        self.options.iter().any(|option| {
            matches!(
                option.field,
                None | Some(Field::Filter | Field::Command | Field::PythonFunction)
            )
        })
    }

    /// Whether there is a command or a Python function. The same item may then have another outcome
    /// the next time.
    #[must_use]
    pub fn has_commands(&self) -> bool {
        self.options
            .iter()
            .any(|option| matches!(option.field, Some(Field::Command | Field::PythonFunction)))
    }

    /// The options that only select items: the sample and the conditions, with their values.
    pub fn selections(&self) -> impl Iterator<Item = (Field, &str)> {
        self.options
            .iter()
            .filter(|option| option.selects())
            .filter_map(|option| Some((option.field?, option.value.as_str())))
    }

    /// One line per step, for plans: option and value.
    pub fn descriptions(&self) -> impl Iterator<Item = String> {
        let steps = self
            .options
            .iter()
            .map(|option| match (option.field, self.masks()) {
                (Some(Field::Mask), Some(masks)) => {
                    let rules = masks.rules();
                    format!(
                        "{} {} (SHA-256 {})",
                        Field::Mask,
                        rules.name(),
                        rules.sha256()
                    )
                }
                (Some(field), _) => format!("{field} {}", option.value),
                (None, _) => format!("function {}", option.value),
            });

        steps.chain(self.masks.iter().map(|_| Masks::EXEMPTION.to_owned()))
    }

    /// The key of an original item in DynamoDB JSON, for display. `None` if the item has no usable
    /// key or a mask hides it.
    #[must_use]
    pub fn displayable_key(&self, original: &[u8], key: &KeySchema) -> Option<String> {
        let text = key.extract(original).ok()?.to_json();
        let hides = |masks: &Arc<Masks>| {
            masks.rules().change_key(key) || masks.hides(original, text.as_bytes())
        };

        (!self.masks.as_ref().is_some_and(hides)).then_some(text)
    }

    /// An original item for display: masked values are replaced by a placeholder.
    #[must_use]
    pub fn displayable_item(&self, original: &Bytes) -> Bytes {
        self.masks.as_ref().map_or_else(
            || original.clone(),
            |masks| masks.displayable_item(original),
        )
    }

    /// Sends chunks of items through the steps, on `threads` threads. The results are in the order of
    /// the chunks, and an error is the last one: of the chunks themselves, or of a step. The
    /// reporter receives what commands print on standard error. Must be called in a Tokio runtime.
    ///
    /// Dropping the results ends the run.
    ///
    /// # Errors
    /// Threads or commands cannot be started, or there is a sample and the key is not known.
    pub fn apply<T: Send + 'static>(
        &self,
        chunks: impl Stream<Item = Result<ItemChunk<T>>> + Send + 'static,
        threads: NonZeroUsize,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<BoxStream<'static, Result<TransformedChunk<T>>>> {
        if self.sample.is_some() && self.key.is_none() {
            return Err(Error::failed(
                "sampling requires the table's key, which is not known",
            ));
        }

        let hides_values = self.masks.is_some();
        pipeline::connect(&self.steps(), hides_values, chunks, threads, reporter)
    }

    /// Warnings after the last item: floats that a Python function returned, and mask rules that
    /// matched no item.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let commands = self.steps.iter().flat_map(|step| match step {
            TransformStep::Command(command) => command.warnings(),
            TransformStep::PerItem(_) => Vec::new(),
        });
        let masks = self.masks.iter().flat_map(|masks| masks.warnings());

        commands.chain(masks).collect()
    }

    fn with_option(mut self, field: impl Into<Option<Field>>, value: impl Into<String>) -> Self {
        self.options.push(TransformOption {
            field: field.into(),
            value: value.into(),
        });

        self
    }

    /// Adds a step that processes each item on its own.
    pub(crate) fn step(mut self, step: impl ItemStep + 'static) -> Self {
        self.steps.push(TransformStep::PerItem(Arc::new(step)));
        self
    }

    /// All steps in the order of execution.
    pub(crate) fn steps(&self) -> Vec<TransformStep> {
        let sample = self.sample.zip(self.key.as_ref()).map(|(sample, key)| {
            let step = SampleStep::new(sample, key);
            TransformStep::PerItem(Arc::new(step))
        });

        // Key and masks may have been set after a command was added.
        let steps = self.steps.iter().map(|step| match step {
            TransformStep::Command(command) => TransformStep::Command(
                command
                    .with_key(self.key.as_ref())
                    .hiding_output(self.masks.is_some()),
            ),
            step @ TransformStep::PerItem(_) => step.clone(),
        });

        let masks = self
            .masks
            .iter()
            .map(|masks| TransformStep::PerItem(Arc::clone(masks) as Arc<dyn ItemStep>));

        sample.into_iter().chain(steps).chain(masks).collect()
    }
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transform")
            .field("sample", &self.sample)
            .field("steps", &self.steps.len())
            .field("masks", &self.masks)
            .finish_non_exhaustive()
    }
}
