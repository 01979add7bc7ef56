//! A proxy in front of an engine that injects faults: by operation and number of the call, by the text of the request, or at random
//! with a seed. It logs every call.
//!
//! It speaks just enough HTTP/1.1 for the SDK on one side and the embedded engine on the other.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::ops::{Bound, Range, RangeBounds, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::bucket::Bucket;
use super::engine::Engine;
use super::project::test_segments;

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// `ProvisionedThroughputExceededException`.
    TableThrottled,
    /// `ThrottlingException`.
    AccountThrottled,
    /// `ThrottlingException` with this reason and resource in `ThrottlingReasons`.
    ThrottledBy(&'static str, &'static str),
    /// The first so many requests of a batch are forwarded, the rest comes back unprocessed.
    Unprocessed(usize),
    /// A bare status without a document.
    Status(u16),
    /// A service error with this code and message.
    Refused(&'static str, &'static str),
    /// A service error with this code that tells all headers of the request, as AWS does with a wrong signature.
    Echoed(&'static str),
    /// The connection is reset; the engine has not seen the call.
    CutBeforeCall,
    /// The connection is closed in good order, without an answer; the engine has not seen the call.
    Closed,
    /// The connection is reset within the answer; the engine has done the call.
    CutInAnswer,
    /// The connection is closed in good order within the answer; the engine has done the call.
    ClosedInAnswer,
    /// The call is taken, and no answer ever comes; the engine has not seen it.
    SilentReporter,
    /// Half of the answer comes and then nothing more, on a connection that stays; the engine has done the call.
    Stalled,
    /// Half of the answer comes, and the rest a byte at a time; the engine has done the call.
    Trickled,
    /// Half of the answer comes, with a length that fits it; the engine has done the call.
    Shortened,
    /// The answer's `x-amz-crc32` is of another body.
    WrongChecksum,
    /// The server's clock is ahead by so many seconds. It says so in its answers, and as AWS does it refuses what was signed at
    /// another time than its own.
    Clock(i64),
    /// What this key has signed is refused as expired; other keys are good.
    ExpiredKey(&'static str),
    /// The table has so much capacity and refuses what is more.
    Capacity(Arc<Bucket>),
    /// The answer is changed; its checksum fits.
    Changed(fn(&mut Value)),
    /// The bytes of the answer are changed, and no checksum comes with it.
    Unsigned(fn(&mut Vec<u8>)),
    /// The engine is not asked: this is the answer to the request.
    Answered(fn(&Value) -> Value),
    /// The engine is not asked: a service with a state of its own answers, or refuses with a code and a message.
    AnsweredBy(Service),
    /// The answer of the engine is changed by a service with a state of its own. The first value is the request.
    ChangedBy(Service),
    /// The engine is not asked: these bytes are the answer, and the connection is closed.
    Raw(&'static [u8]),
    /// The answer comes late.
    Late(Duration),
    /// The answer is compressed, if that was asked for, and then this is done to its bytes; length and checksum fit.
    Gzipped(fn(&mut Vec<u8>)),
    /// The same with the checksum of the text, which AWS does not mean.
    GzippedWithWrongChecksum,
}

/// An error of a service: its code and message.
pub(crate) type Refusal = (&'static str, &'static str);

/// What a service makes of a request, and of the answer of the engine if it was asked.
type Answerer = dyn Fn(&Value, Option<Value>) -> Result<Value, Refusal> + Send + Sync;

/// A service with a state of its own.
#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Answerer>);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

/// Gives a table the size that is read in this many segments: one, nine, or 32.
pub(crate) fn size_for(segments: u32) -> fn(&mut Value) {
    fn set(answer: &mut Value, bytes: u32) {
        if let Some(table) = answer.get_mut("Table") {
            table["TableSizeBytes"] = bytes.into();
        }
    }

    match segments {
        1 => |answer| set(answer, 1_000_000),
        9 => |answer| set(answer, 72 * 1024 * 1024),
        32 => |answer| set(answer, 256 * 1024 * 1024),
        other => panic!("{other} segments: expected 1, 9 or 32"),
    }
}

/// The answer's bytes as `gzip` makes them.
pub(crate) fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Lots in the drawing of a fault.
const DRAWS: u64 = 10_000;

/// When it goes wrong.
#[derive(Debug, Clone)]
enum When {
    Calls(RangeInclusive<usize>),
    Chance { seed: u64, percent: u64 },
    Draw { seed: u64, range: Range<u64> },
    Text(&'static str),
}

/// A fault and its occasion. Of several rules that fit a call the first one holds.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    operation: &'static str,
    when: When,
    fault: Fault,
}

impl Rule {
    /// Whether calls of this operation may fail.
    pub(crate) fn is_about(&self, operation: &str) -> bool {
        self.operation == operation
    }
}

/// The calls of `operation` with these numbers fail, counted from 1.
pub(crate) fn calls(operation: &'static str, numbers: RangeInclusive<usize>, fault: Fault) -> Rule {
    Rule {
        operation,
        when: When::Calls(numbers),
        fault,
    }
}

/// Every call of `operation` fails.
pub(crate) fn always(operation: &'static str, fault: Fault) -> Rule {
    calls(operation, 1..=usize::MAX, fault)
}

/// So many of a hundred calls of `operation` fail, chosen by `seed`.
pub(crate) fn sometimes(operation: &'static str, percent: u64, seed: u64, fault: Fault) -> Rule {
    Rule {
        operation,
        when: When::Chance { seed, percent },
        fault,
    }
}

/// Of so many of a hundred calls of `operation`, each one fails in one of these ways, chosen by `seed`.
pub(crate) fn storm(
    operation: &'static str,
    percent: u64,
    seed: u64,
    faults: &[Fault],
) -> Vec<Rule> {
    let count = faults.len() as u64;
    let edge = |index: u64| index * percent * DRAWS / 100 / count;
    let rule = |(index, fault): (u64, &Fault)| Rule {
        operation,
        when: When::Draw {
            seed,
            range: edge(index)..edge(index + 1),
        },
        fault: fault.clone(),
    };

    (0..).zip(faults).map(rule).collect()
}

/// The calls of `operation` fail whose body has `text`.
pub(crate) fn with_text(operation: &'static str, text: &'static str, fault: Fault) -> Rule {
    Rule {
        operation,
        when: When::Text(text),
        fault,
    }
}

/// One call that was made.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// `Scan`, `BatchWriteItem`, …
    pub(crate) operation: String,
    /// The request's document.
    pub(crate) body: Value,
    /// Whose credentials signed it, and for which region.
    pub(crate) credential: String,
    /// Whether a rule made it fail.
    pub(crate) failed: bool,
}

/// The running proxy.
pub(crate) struct Proxy {
    url: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

/// Numbers of calls, counted from 1.
type Numbers = (Bound<usize>, Bound<usize>);

struct Shared {
    engine: String,
    compresses: AtomicBool,
    /// Whether `TEST_SEGMENTS` does not change the sizes of tables.
    keeps_sizes: AtomicBool,
    rules: Mutex<Vec<Rule>>,
    log: Mutex<Log>,
    /// Operations whose calls wait, and the numbers of these calls.
    held: watch::Sender<Vec<(&'static str, Numbers)>>,
}

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    counts: HashMap<String, usize>,
}

impl Proxy {
    /// Starts it in front of `engine`.
    pub(crate) fn with_rules(engine: &Engine, rules: impl Into<Vec<Rule>>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime for the proxy");
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .expect("a port on loopback");
        let url = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound listener has an address")
        );

        let engine = engine.url().trim_start_matches("http://").to_owned();
        let shared = Arc::new(Shared {
            engine,
            compresses: AtomicBool::new(false),
            keeps_sizes: AtomicBool::new(false),
            rules: Mutex::new(rules.into()),
            log: Mutex::default(),
            held: watch::Sender::new(Vec::new()),
        });

        let served = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // An error here is a connection that one side gave up: what that means is for the test to see.
                let shared = Arc::clone(&served);
                tokio::spawn(async move { drop(shared.serve(client).await) });
            }
        });

        Self {
            url,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on every answer is compressed to whoever asks for that, those that fail too.
    pub(crate) fn compresses(&self) {
        self.shared.compresses.store(true, Ordering::Relaxed);
    }

    /// Tables have the sizes that the engine reports, whatever `TEST_SEGMENTS` says: those of a set are processed in the order of their
    /// sizes, and pages have as many items as these promise.
    pub(crate) fn keeps_sizes(&self) {
        self.shared.keeps_sizes.store(true, Ordering::Relaxed);
    }

    /// Nothing goes wrong any more.
    pub(crate) fn heal(&self) {
        self.shared
            .rules
            .lock()
            .expect("no task panics while it holds the rules")
            .clear();
    }

    /// From now on these rules hold.
    pub(crate) fn set(&self, rules: impl Into<Vec<Rule>>) {
        *self
            .shared
            .rules
            .lock()
            .expect("no task panics while it holds the rules") = rules.into();
    }

    /// Nothing goes wrong any more with `operation`.
    pub(crate) fn heal_calls(&self, operation: &str) {
        self.shared
            .rules
            .lock()
            .expect("no task panics while it holds the rules")
            .retain(|rule| rule.operation != operation);
    }

    /// No call is throttled any more.
    pub(crate) fn unthrottle(&self) {
        let is_throttle =
            |rule: &Rule| matches!(rule.fault, Fault::TableThrottled | Fault::AccountThrottled);
        self.shared
            .rules
            .lock()
            .expect("no task panics while it holds the rules")
            .retain(|rule| !is_throttle(rule));
    }

    /// The calls of `operation` with these numbers, counted from 1, wait until [`release`](Self::release). A command that is to be
    /// interrupted, killed or watched then cannot end before, however slow the test is.
    pub(crate) fn hold(&self, operation: &'static str, numbers: impl RangeBounds<usize>) {
        let numbers = (numbers.start_bound().cloned(), numbers.end_bound().cloned());
        self.shared
            .held
            .send_modify(|held| held.push((operation, numbers)));
    }

    /// Forwards the calls that wait, and those that follow.
    pub(crate) fn release(&self) {
        self.shared.held.send_modify(Vec::clear);
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared
            .log
            .lock()
            .expect("no task panics while it holds the log")
            .calls
            .clone()
    }

    /// How many calls of `operation` were made.
    pub(crate) fn count(&self, operation: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// The same, cheap enough to be asked all the time.
    pub(crate) fn seen(&self, operation: &str) -> usize {
        let log = self
            .shared
            .log
            .lock()
            .expect("no task panics while it holds the log");

        log.counts.get(operation).copied().unwrap_or(0)
    }

    /// How many calls a rule made fail.
    pub(crate) fn failures(&self) -> usize {
        self.calls().iter().filter(|call| call.failed).count()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        while let Some(request) = Message::read(&mut client).await? {
            let (number, fault) = self.fault(&request.operation(), &request);
            if !self.passes(&request.operation(), number, &client).await {
                return Ok(());
            }

            let answer = match fault {
                Some(Fault::CutBeforeCall) => return cut(client),
                Some(Fault::Closed) => return Ok(()),
                Some(Fault::CutInAnswer) => {
                    let bytes = self.forward(&request).await?.to_bytes();
                    client.write_all(&bytes[..bytes.len() - 5]).await?;
                    client.flush().await?;
                    return cut(client);
                }
                Some(Fault::ClosedInAnswer) => {
                    return self.half(&mut client, &request).await.map(drop);
                }
                Some(Fault::Raw(bytes)) => return client.write_all(bytes).await,
                Some(Fault::SilentReporter) => std::future::pending().await,
                Some(Fault::Stalled) => {
                    self.half(&mut client, &request).await?;
                    std::future::pending().await
                }
                Some(Fault::Trickled) => {
                    for byte in self.half(&mut client, &request).await? {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        client.write_all(&[byte]).await?;
                    }

                    continue;
                }
                Some(fault) => self.as_it_travels(self.answer(&request, fault).await?, &request),
                None => self.forward_sized(&request).await?,
            };

            client.write_all(&answer.to_bytes()).await?;
        }

        Ok(())
    }

    /// Waits while this call is held. Says whether the client is still there.
    async fn passes(&self, operation: &str, number: usize, client: &TcpStream) -> bool {
        let mut held = self.held.subscribe();
        let is_free = |held: &Vec<(&str, Numbers)>| {
            !held
                .iter()
                .any(|(other, numbers)| *other == operation && numbers.contains(&number))
        };

        // A client sends its next request after the answer: what can be read before is its end.
        let mut next = [0];
        tokio::select! {
            biased;
            _ = held.wait_for(is_free) => true,
            _ = client.peek(&mut next) => false,
        }
    }

    /// The number of this call of `operation`, and what goes wrong with it.
    fn fault(&self, operation: &str, request: &Message) -> (usize, Option<Fault>) {
        let text = String::from_utf8_lossy(&request.body);
        let mut log = self
            .log
            .lock()
            .expect("no task panics while it holds the log");
        let count = log.counts.entry(operation.to_owned()).or_default();
        *count += 1;
        let number = *count;
        let fits = |rule: &&Rule| {
            rule.operation == operation
                && match &rule.when {
                    When::Calls(numbers) => numbers.contains(&number),
                    When::Chance { seed, percent } => mixed(seed ^ number as u64) % 100 < *percent,
                    When::Draw { seed, range } => {
                        range.contains(&(mixed(seed.rotate_left(32) ^ number as u64) % DRAWS))
                    }
                    When::Text(wanted) => text.contains(wanted),
                }
        };

        let rules = self
            .rules
            .lock()
            .expect("no task panics while it holds the rules");
        let fault = rules.iter().find(fits).map(|rule| rule.fault.clone());
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        let signed = request.header("authorization").unwrap_or_default();
        let credential = signed.split(',').next().unwrap_or_default().to_owned();
        log.calls.push(Call {
            operation: operation.to_owned(),
            body,
            credential,
            failed: fault.is_some(),
        });

        (number, fault)
    }

    /// Sends half of the answer, with the whole of its head; gives back the rest.
    async fn half(&self, client: &mut TcpStream, request: &Message) -> io::Result<Vec<u8>> {
        let answer = self.forward(request).await?;
        let mut bytes = answer.to_bytes();
        let rest = bytes.split_off(bytes.len() - answer.body.len().div_ceil(2));
        client.write_all(&bytes).await?;
        client.flush().await?;

        Ok(rest)
    }

    /// The answer of a server whose clock is ahead by so many seconds.
    async fn at_another_time(&self, request: &Message, ahead: i64) -> io::Result<Message> {
        let now = chrono::Utc::now() + chrono::Duration::seconds(ahead);
        let signed = request.header("x-amz-date").unwrap_or_default();
        let signed = chrono::NaiveDateTime::parse_from_str(signed, "%Y%m%dT%H%M%SZ")
            .unwrap_or_default()
            .and_utc();
        let mut answer = match (now - signed).num_seconds() {
            late if late > 300 => refusal(
                "InvalidSignatureException",
                &format!("Signature expired: {signed}"),
            ),
            late if late < -300 => refusal(
                "InvalidSignatureException",
                &format!("Signature not yet current: {signed}"),
            ),
            _ => self.forward(request).await?,
        };

        answer.set_header("date", &now.format("%a, %d %b %Y %H:%M:%S GMT").to_string());

        Ok(answer)
    }

    async fn answer(&self, request: &Message, fault: Fault) -> io::Result<Message> {
        let throttled =
            "The level of configured provisioned throughput for the table was exceeded.";
        Ok(match fault {
            Fault::TableThrottled => refusal("ProvisionedThroughputExceededException", throttled),
            Fault::AccountThrottled => refusal(
                "ThrottlingException",
                "Rate of requests exceeds the allowed throughput.",
            ),
            Fault::ThrottledBy(reason, resource) => throttled_by(reason, resource),
            Fault::Echoed(code) => refusal(code, &format!("The request was {:?}", request.headers)),
            Fault::Refused(code, message) => refusal(code, message),
            Fault::Status(status) => Message::answer(status, Vec::new()),
            Fault::Unprocessed(taken) => self.take_part(request, taken).await?,
            Fault::WrongChecksum => {
                let mut answer = self.forward(request).await?;
                answer.set_header(
                    "x-amz-crc32",
                    &crc32fast::hash(b"of something else").to_string(),
                );
                answer
            }
            Fault::Shortened => {
                let mut answer = self.forward(request).await?;
                answer.body.truncate(answer.body.len() / 2);
                answer.set_header("content-length", &answer.body.len().to_string());
                answer
            }
            Fault::Capacity(bucket) => self.within(request, &bucket).await?,
            Fault::ExpiredKey(key) => {
                let signed = request.header("authorization").unwrap_or_default();
                if signed.contains(&format!("Credential={key}/")) {
                    refusal(
                        "ExpiredTokenException",
                        "The security token included in the request is expired",
                    )
                } else {
                    self.forward(request).await?
                }
            }
            Fault::Clock(ahead) => self.at_another_time(request, ahead).await?,
            Fault::Changed(change) => self.changed(request, change).await?,
            Fault::Unsigned(change) => self.unsigned(request, change).await?,
            Fault::Answered(answer) => {
                let answer = answer(&serde_json::from_slice(&request.body)?);
                Message::answer(200, serde_json::to_vec(&answer)?)
            }
            Fault::AnsweredBy(service) => {
                match service.0(&serde_json::from_slice(&request.body)?, None) {
                    Ok(answer) => Message::answer(200, serde_json::to_vec(&answer)?),
                    Err((code, message)) => refusal(code, message),
                }
            }
            Fault::ChangedBy(service) => {
                let asked = serde_json::from_slice(&request.body)?;
                let answer = self.in_the_clear(request).await?;
                match serde_json::from_slice(&answer.body) {
                    Ok(found) => match service.0(&asked, Some(found)) {
                        Ok(changed) => {
                            let mut answer = answer;
                            answer.set_body(serde_json::to_vec(&changed)?);
                            answer
                        }
                        Err((code, message)) => refusal(code, message),
                    },
                    Err(_) => answer,
                }
            }
            Fault::Gzipped(change) => self.gzipped(request, change).await?,
            Fault::GzippedWithWrongChecksum => {
                let of_the_text = crc32fast::hash(&self.in_the_clear(request).await?.body);
                let mut answer = self.gzipped(request, |_| {}).await?;
                answer.set_header("x-amz-crc32", &of_the_text.to_string());
                answer
            }
            Fault::Late(delay) => {
                tokio::time::sleep(delay).await;
                self.forward(request).await?
            }
            Fault::CutBeforeCall
            | Fault::Raw(_)
            | Fault::Closed
            | Fault::CutInAnswer
            | Fault::ClosedInAnswer
            | Fault::SilentReporter
            | Fault::Stalled
            | Fault::Trickled => unreachable!("the caller deals with the connection"),
        })
    }

    async fn changed(&self, request: &Message, change: fn(&mut Value)) -> io::Result<Message> {
        let mut answer = self.in_the_clear(request).await?;
        let mut document = serde_json::from_slice(&answer.body)?;
        change(&mut document);
        answer.set_body(serde_json::to_vec(&document)?);

        Ok(answer)
    }

    async fn unsigned(&self, request: &Message, change: fn(&mut Vec<u8>)) -> io::Result<Message> {
        let mut answer = self.in_the_clear(request).await?;
        let mut body = std::mem::take(&mut answer.body);
        change(&mut body);
        answer.set_body(body);
        answer.headers.retain(|(name, _)| name != "x-amz-crc32");

        Ok(answer)
    }

    async fn gzipped(&self, request: &Message, change: fn(&mut Vec<u8>)) -> io::Result<Message> {
        let mut answer = self.in_the_clear(request).await?;
        answer.compress(request);
        let mut body = std::mem::take(&mut answer.body);
        change(&mut body);
        answer.set_body(body);

        Ok(answer)
    }

    /// Forwards what there is capacity for: items of a batch by their number, a page if any capacity is left.
    async fn within(&self, request: &Message, bucket: &Bucket) -> io::Result<Message> {
        let throttled = || {
            refusal(
                "ProvisionedThroughputExceededException",
                "The capacity of the table was exceeded.",
            )
        };

        let document: Value = serde_json::from_slice(&request.body)?;
        if let Some(tables) = document["RequestItems"].as_object() {
            let items = tables
                .values()
                .filter_map(Value::as_array)
                .map(Vec::len)
                .sum();

            return match bucket.take_items(items) {
                0 => Ok(throttled()),
                taken if taken == items => self.in_the_clear(request).await,
                taken => self.take_part(request, taken).await,
            };
        }

        if !bucket.has_any() {
            return Ok(throttled());
        }

        let answer = self.in_the_clear(request).await?;
        let page: Value = serde_json::from_slice(&answer.body)?;
        bucket.charge(
            page["ConsumedCapacity"]["CapacityUnits"]
                .as_f64()
                .unwrap_or_default(),
        );

        Ok(answer)
    }

    /// Forwards the first `taken` requests of a batch, and gives the others back.
    async fn take_part(&self, request: &Message, taken: usize) -> io::Result<Message> {
        let mut document: Value = serde_json::from_slice(&request.body)?;
        let mut left = serde_json::Map::new();
        let tables = document["RequestItems"]
            .as_object_mut()
            .expect("a batch names its tables");
        for (table, requests) in tables.iter_mut() {
            let requests = requests
                .as_array_mut()
                .expect("the requests of a table are a list");
            if requests.len() > taken {
                left.insert(table.clone(), requests.split_off(taken).into());
            }
        }

        let answer = if taken == 0 {
            json!({})
        } else {
            let mut part = request.clone();
            part.set_body(serde_json::to_vec(&document)?);
            let answer = self.in_the_clear(&part).await?;

            // Nothing of a batch is written that the engine refuses.
            if !answer.first_line.contains(" 200 ") {
                return Ok(answer);
            }

            serde_json::from_slice(&answer.body)?
        };

        let mut answer: Value = answer;
        answer["UnprocessedItems"] = left.into();

        Ok(Message::answer(200, serde_json::to_vec(&answer)?))
    }

    async fn forward(&self, request: &Message) -> io::Result<Message> {
        Ok(self.as_it_travels(self.in_the_clear(request).await?, request))
    }

    /// Forwards a request. With `TEST_SEGMENTS`, each table has the size that is read in that many segments.
    async fn forward_sized(&self, request: &Message) -> io::Result<Message> {
        match test_segments() {
            Some(segments)
                if request.operation() == "DescribeTable"
                    && !self.keeps_sizes.load(Ordering::Relaxed) =>
            {
                let sized = self.changed(request, size_for(segments)).await?;
                Ok(self.as_it_travels(sized, request))
            }
            _ => self.forward(request).await,
        }
    }

    fn as_it_travels(&self, mut answer: Message, request: &Message) -> Message {
        if self.compresses.load(Ordering::Relaxed) {
            answer.compress(request);
        }

        answer
    }

    async fn in_the_clear(&self, request: &Message) -> io::Result<Message> {
        let mut engine = TcpStream::connect(&self.engine).await?;
        engine.set_nodelay(true)?;
        engine.write_all(&request.to_bytes()).await?;
        Message::read(&mut engine)
            .await?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// A request or an answer.
#[derive(Debug, Clone)]
struct Message {
    first_line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Message {
    fn answer(status: u16, body: Vec<u8>) -> Self {
        let headers = vec![(
            "content-type".to_owned(),
            "application/x-amz-json-1.0".to_owned(),
        )];
        let mut answer = Self {
            first_line: format!("HTTP/1.1 {status} Status"),
            headers,
            body: Vec::new(),
        };

        answer.set_body(body);

        answer
    }

    /// Reads one message; `None` where the other side has closed the connection between two.
    async fn read(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let head_end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }

            if stream.read_buf(&mut bytes).await? == 0 {
                return if bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };

        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let first_line = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut message = Self {
            first_line,
            headers,
            body: bytes.split_off(head_end + 4),
        };

        let length = message
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        while message.body.len() < length {
            if stream.read_buf(&mut message.body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }

        Ok(Some(message))
    }

    /// The operation that a request names: in a header, or as the first member of a form (STS).
    fn operation(&self) -> String {
        let in_header = self
            .header("x-amz-target")
            .and_then(|target| target.split('.').nth(1));
        let body = String::from_utf8_lossy(&self.body);
        let in_form = || body.strip_prefix("Action=")?.split('&').next();

        in_header.or_else(in_form).unwrap_or_default().to_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(other, _)| other != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Compresses the body if `request` asks for that.
    fn compress(&mut self, request: &Self) {
        let is_asked_for = request
            .header("accept-encoding")
            .is_some_and(|accepted| accepted.contains("gzip"));
        if is_asked_for && self.header("content-encoding").is_none() {
            self.set_header("content-encoding", "gzip");
            self.set_body(packed(&self.body));
        }
    }

    /// Replaces the body, with the headers that describe it.
    fn set_body(&mut self, body: Vec<u8>) {
        self.set_header("content-length", &body.len().to_string());
        self.set_header("x-amz-crc32", &crc32fast::hash(&body).to_string());
        self.body = body;
    }

    fn to_bytes(&self) -> Vec<u8> {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        let headers = headers.collect::<Vec<_>>().concat();
        let mut bytes = format!("{}\r\n{headers}\r\n", self.first_line).into_bytes();
        bytes.extend_from_slice(&self.body);

        bytes
    }
}

fn refusal(code: &str, message: &str) -> Message {
    let document =
        json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": message });
    Message::answer(400, document.to_string().into_bytes())
}

fn throttled_by(reason: &str, resource: &str) -> Message {
    let arn = format!("arn:aws:dynamodb:eu-central-1:123456789012:{resource}");
    let document = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "message": "Throughput exceeds the current throughput limit.",
        "ThrottlingReasons": [{ "reason": reason, "resource": arn }],
    });

    Message::answer(400, document.to_string().into_bytes())
}

/// Ends a connection with a reset.
fn cut(stream: TcpStream) -> io::Result<()> {
    stream.set_zero_linger()?;
    drop(stream);
    Ok(())
}

/// A number that looks like chance (the finaliser of `SplitMix64`).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);

    number ^ (number >> 31)
}
