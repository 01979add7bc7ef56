//! A transform: the steps that items go through, in order.

use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::command::{Command, CommandSpec};
use super::jq::{Condition, Filter, Where};
use super::mask::Masks;
use super::runner::{self, Feeder, Results};
use super::sampling::Sampling;
use super::stage::Stage;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{KeyAttribute, KeySchema, Sample};

/// One step.
#[derive(Clone)]
pub(crate) enum Step {
    /// Works on each item by itself, on any thread.
    Stage(Arc<dyn Stage>),
    /// A program of the user's.
    Command(Command),
}

/// What is to happen to items: the sample first, then steps in the order in which they are added, masks last. Cheap to clone.
///
/// ```
/// use std::num::NonZeroUsize;
/// use std::sync::Arc;
///
/// use dynadump::event::{Reporter, Silent};
/// use dynadump::transform::{Outcome, Transform};
///
/// # fn main() -> dynadump::error::Result<()> {
/// let transform = Transform::new().filter("--transform", r#".sk = S("film#\(.year | str)") | drop("year")"#)?;
/// let reporter: Arc<dyn Reporter> = Arc::new(Silent);
/// let (feeder, results) = transform.start(NonZeroUsize::MIN, &reporter)?;
/// feeder.push(vec![r#"{"id":{"S":"a"},"year":{"N":"1927"}}"#.into()], ())?;
/// feeder.end();
/// for chunk in results {
///     assert_eq!(chunk?.outcomes, [Outcome::Changed(r#"{"id":{"S":"a"},"sk":{"S":"film#1927"}}"#.into())]);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Transform {
    sample: Option<Sample>,
    key: Option<KeySchema>,
    steps: Vec<Step>,
    masks: Option<Arc<Masks>>,
    /// Every option and its text, in the order of the steps: what tells this transform from others.
    asked: Vec<(Asked, String)>,
}

/// What a step was asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Sample,
    Where,
    Filter,
    Command,
    Mask,
}

impl Asked {
    fn option(self) -> &'static str {
        match self {
            Self::Sample => "--sample",
            Self::Where => "--where",
            Self::Filter => "--transform",
            Self::Command => "--transform-command",
            Self::Mask => "--mask",
        }
    }
}

impl Transform {
    /// A transform that changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing was added, so that items need not be looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sample.is_none() && self.steps.is_empty() && self.masks.is_none()
    }

    /// Keeps a share of the items, chosen by the hash of the partition key: all items of one partition, or none of them. Tables
    /// with the same partition keys, sampled alike, fit together. An item without a usable key is rejected.
    /// Needs [`for_table`](Self::for_table).
    #[must_use]
    pub fn sample(mut self, sample: Sample) -> Self {
        self.sample = Some(sample);
        self.asking(Asked::Sample, format!("{}%", sample.percent()))
    }

    /// Tells the key of the items that come in and go out, and the attributes that are keys of indexes.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): a mask rule would take a key away.
    pub fn for_table(self, key: &KeySchema, index_keys: &[KeyAttribute]) -> Result<Self> {
        self.between_tables(key, key, index_keys)
    }

    /// The same where items go into a table with another key than they come with; the index keys are that table's.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): a mask rule would take a key of the table that is written away.
    pub fn between_tables(
        mut self,
        from: &KeySchema,
        to: &KeySchema,
        index_keys: &[KeyAttribute],
    ) -> Result<Self> {
        if let Some(masks) = &self.masks {
            masks.rules().check_keys(to, index_keys)?;
        }

        self.key = Some(from.clone());
        Ok(self)
    }

    /// Keeps items for which the first output of a jq filter is neither `false` nor `null`. `name` says in errors where the
    /// filter is from.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the filter cannot be read; the error shows where.
    pub fn condition(self, name: &str, code: &str) -> Result<Self> {
        let condition = Condition::compile(name, code)?;
        Ok(self.asking(Asked::Where, code).stage(Where(condition)))
    }

    /// Runs a jq filter over each item. `name` says in errors where the filter is from.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the filter cannot be read; the error shows where.
    pub fn filter(self, name: &str, code: &str) -> Result<Self> {
        let filter = Filter::compile(name, code)?;
        Ok(self.asking(Asked::Filter, code).stage(filter))
    }

    /// Sends each item through a program.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): there is no such program.
    pub fn command(mut self, spec: CommandSpec) -> Result<Self> {
        let line = spec.line.clone();
        self.steps.push(Step::Command(Command::new(spec)?));
        Ok(self.asking(Asked::Command, line))
    }

    /// Masks items, after all other steps, whenever this is called.
    #[must_use]
    pub fn mask(mut self, masks: Masks) -> Self {
        let asked = format!(
            "{} {}",
            masks.rules().sha256(),
            masks.key_mark().unwrap_or_default()
        );

        self.masks = Some(Arc::new(masks));
        self.asking(Asked::Mask, asked)
    }

    /// The masks, if there are any.
    #[must_use]
    pub fn masks(&self) -> Option<&Masks> {
        self.masks.as_deref()
    }

    /// What tells this transform from every other: equal for the same steps with the same texts, rules and key, and says nothing of
    /// them. `None` where nothing is to happen. What a program does is its own affair: its line counts.
    #[must_use]
    pub fn identity(&self) -> Option<String> {
        if self.is_empty() {
            return None;
        }

        let mut hash = Sha256::new();
        for (asked, text) in &self.asked {
            hash.update(asked.option());
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }

        Some(hex::encode(&hash.finalize()[..16]))
    }

    /// Whether items can become others, and not only be left out.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.asked
            .iter()
            .any(|(asked, _)| !matches!(asked, Asked::Sample | Asked::Where))
    }

    /// Whether filters or programs may change items; masks are not counted.
    #[must_use]
    pub fn rewrites(&self) -> bool {
        self.asked
            .iter()
            .any(|(asked, _)| matches!(asked, Asked::Filter | Asked::Command))
    }

    /// Whether the same item may become another one the next time: programs do what they like.
    #[must_use]
    pub fn runs_a_program(&self) -> bool {
        self.asked.iter().any(|(asked, _)| *asked == Asked::Command)
    }

    /// The share of the items that is kept, and the condition, where they choose: option and text.
    pub fn choices(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let chooses = |asked: Asked| matches!(asked, Asked::Sample | Asked::Where);
        self.asked
            .iter()
            .filter(move |(asked, _)| chooses(*asked))
            .map(|(asked, text)| (asked.option(), text.as_str()))
    }

    /// What is to happen, a line for each step: option and text.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let steps = self.asked.iter().map(|(asked, text)| match asked {
            Asked::Mask => {
                let sha256 = text.split(' ').next().unwrap_or_default();
                format!("--mask with the rules of SHA-256 {sha256}")
            }
            asked => format!("{} {text}", asked.option()),
        });

        steps.chain(self.masks.iter().map(|_| Masks::EXEMPTION.to_owned()))
    }

    /// The key of an item as it was read, in DynamoDB JSON, to name the item. `None` if it has none or if a mask hides it.
    #[must_use]
    pub fn shown_key(&self, read: &[u8], key: &KeySchema) -> Option<String> {
        let shown = key.extract(read).ok()?.to_json();
        let hides = |masks: &Arc<Masks>| {
            masks.rules().change_key(key) || masks.hides(read, shown.as_bytes())
        };
        (!self.masks.as_ref().is_some_and(hides)).then_some(shown)
    }

    /// An item as it was read, as it may be shown: masked values are replaced by a placeholder.
    #[must_use]
    pub fn concealed(&self, read: &Bytes) -> Bytes {
        self.masks
            .as_ref()
            .map_or_else(|| read.clone(), |masks| masks.concealed(read))
    }

    /// Starts a run on so many threads; the reporter hears what commands print on standard error.
    ///
    /// # Errors
    /// Threads or commands cannot be started; there is a sample, and nobody told the key.
    pub fn start<T>(
        &self,
        threads: NonZeroUsize,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(Feeder<T>, Results<T>)> {
        if self.sample.is_some() && self.key.is_none() {
            return Err(Error::failed(
                "a sample is chosen by the key, and the key is not known",
            ));
        }

        runner::start(self, threads, reporter)
    }

    /// What to tell the user once all items went through: rules that matched nothing.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.masks
            .iter()
            .flat_map(|masks| masks.warnings())
            .collect()
    }

    fn asking(mut self, asked: Asked, text: impl Into<String>) -> Self {
        self.asked.push((asked, text.into()));
        self
    }

    pub(crate) fn stage(mut self, stage: impl Stage + 'static) -> Self {
        self.steps.push(Step::Stage(Arc::new(stage)));
        self
    }

    /// All steps, masks last.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let sampling = self
            .sample
            .zip(self.key.as_ref())
            .map(|(sample, key)| Sampling::new(sample, key));
        let sampling = sampling.map(|sampling| Step::Stage(Arc::new(sampling)));
        let steps = self.steps.iter().map(|step| match step {
            Step::Command(command) => Step::Command(
                command
                    .named_by(self.key.as_ref())
                    .quiet(self.masks.is_some()),
            ),
            stage @ Step::Stage(_) => stage.clone(),
        });

        let masks = self
            .masks
            .iter()
            .map(|masks| Step::Stage(Arc::clone(masks) as Arc<dyn Stage>));

        sampling.into_iter().chain(steps).chain(masks).collect()
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
