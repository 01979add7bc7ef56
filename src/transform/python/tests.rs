use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use tempfile::TempDir;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::event::{Event, Reporter};
use crate::transform::{ItemChunk, Outcome, RejectReason, Transform};

/// A folder with Python files.
struct Folder(TempDir);

impl Folder {
    /// A folder with this code in `transform.py`.
    fn new(code: &str) -> Self {
        Self(tempfile::tempdir().unwrap()).with("transform.py", code)
    }

    fn with(self, name: &str, code: &str) -> Self {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(path).unwrap();
        file.write_all(code.as_bytes()).unwrap();

        self
    }

    /// A module that hides boto3 from the function.
    fn without_boto3(self) -> Self {
        self.with("boto3/__init__.py", "raise ImportError('not here')")
    }

    /// The part of boto3 that has the class of binary values.
    fn with_boto3(self) -> Self {
        let class = "class Binary:\n    def __init__(self, value): self.value = value\n    def __bytes__(self): return self.value\n    def __eq__(self, other): return self.value == other.value\n    def __hash__(self): return hash(self.value)\n";

        self.with("boto3/__init__.py", "")
            .with("boto3/dynamodb/__init__.py", "")
            .with("boto3/dynamodb/types.py", class)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn spec(&self) -> PythonSpec {
        PythonSpec {
            jobs: NonZeroUsize::new(1),
            ..PythonSpec::new(format!("{}/transform.py:f", self.path().display()))
        }
    }
}

/// Collects what is reported.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Events {
    fn all(&self) -> Vec<Event> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Reporter for Events {
    fn report(&self, event: Event) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(event);
    }
}

/// Sends items through a function. Returns all outcomes, or the error and the outcomes before it.
async fn run(
    transform: &Transform,
    items: Vec<Bytes>,
    events: &Arc<Events>,
) -> (Vec<Outcome>, Option<Error>) {
    let reporter: Arc<dyn Reporter> = Arc::clone(events) as _;
    let chunks: Vec<_> = items
        .chunks(10)
        .map(|items| {
            let items = items.to_vec();
            Ok(ItemChunk { tag: (), items })
        })
        .collect();
    let mut results = transform
        .apply(stream::iter(chunks), NonZeroUsize::MIN, &reporter)
        .unwrap();

    let mut outcomes = Vec::new();
    while let Some(result) = results.next().await {
        match result {
            Ok(chunk) => outcomes.extend(chunk.outcomes),
            Err(error) => return (outcomes, Some(error)),
        }
    }

    (outcomes, None)
}

/// The outcomes of these items, in the order of `texts`.
async fn outcomes(folder: &Folder, texts: &[&str]) -> Vec<Outcome> {
    let transform = Transform::new().python(folder.spec()).unwrap();
    let items = texts.iter().map(|text| Bytes::from((*text).to_owned()));

    match run(&transform, items.collect(), &Arc::default()).await {
        (outcomes, None) => outcomes,
        (_, Some(error)) => panic!("{error:?}"),
    }
}

/// The outcome of one item.
async fn outcome(code: &str, item: &str) -> Outcome {
    outcomes(&Folder::new(code), &[item]).await.remove(0)
}

fn changed(item: &str) -> Outcome {
    Outcome::Changed(Bytes::from(item.to_owned()))
}

fn rejected(reason: &str) -> Outcome {
    Outcome::Rejected(RejectReason::External(reason.to_owned()))
}

fn numbered(count: usize) -> Vec<Bytes> {
    let item = |number| Bytes::from(format!(r#"{{"id":{{"N":"{number}"}}}}"#));
    (0..count).map(item).collect()
}

/// Whether a process exists and is not a zombie.
fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn usage_error(spec: PythonSpec) -> Error {
    let error = Transform::new().python(spec).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
    error
}

/// All types, with numbers in notations that Python would write differently.
const EVERYTHING: &str = r#"{"n":{"N":"1.0"},"e":{"N":"1E+5"},"big":{"N":"100000000000000000000"},"small":{"N":"0.0000001"},"digits":{"N":"-12345678901234567890123456789012345678"},"s":{"S":""},"b":{"B":"AP8="},"t":{"BOOL":true},"f":{"BOOL":false},"null":{"NULL":true},"ss":{"SS":["z","a"]},"ns":{"NS":["10","1.50","2"]},"bs":{"BS":["/w==","AA=="]},"l":{"L":[{"N":"0.0000001"},{"L":[]},{"M":{}}]},"m":{"M":{"S":{"S":"é"},"x":{"M":{"y":{"B":""}}}}}}"#;

#[tokio::test]
async fn a_function_gets_the_types_of_boto3_and_an_unchanged_item_keeps_its_bytes() {
    let code = "from decimal import Decimal
def f(item):
    assert item['n'] == Decimal('1.0') and type(item['n']) is Decimal
    assert str(item['digits']) == '-12345678901234567890123456789012345678'
    assert item['s'] == '' and item['t'] is True and item['f'] is False and item['null'] is None
    assert type(item['b']).__name__ == 'Binary' and bytes(item['b']) == item['b'].value == b'\\0\\xff'
    assert item['ss'] == {'a', 'z'} and item['ns'] == {Decimal('1.5'), Decimal(2), Decimal(10)}
    assert {bytes(one) for one in item['bs']} == {b'\\0', b'\\xff'}
    assert item['l'] == [Decimal('1E-7'), [], {}]
    assert item['m'] == {'S': 'é', 'x': {'y': type(item['b'])(b'')}}
    return item";

    for folder in [
        Folder::new(code).without_boto3(),
        Folder::new(code).with_boto3(),
    ] {
        assert_eq!(outcomes(&folder, &[EVERYTHING]).await, [Outcome::Unchanged]);
    }
}

#[tokio::test]
async fn binary_values_have_boto3s_class_if_it_is_installed_and_one_that_behaves_like_it_if_not() {
    let code = "def f(item): return {'class': type(item['b']).__module__, 'b': item['b']}";
    let item = r#"{"b":{"B":"AP8="}}"#;
    for (folder, module) in [
        (Folder::new(code).without_boto3(), "__main__"),
        (Folder::new(code).with_boto3(), "boto3.dynamodb.types"),
    ] {
        let expected = format!(r#"{{"class":{{"S":"{module}"}},"b":{{"B":"AP8="}}}}"#);
        assert_eq!(outcomes(&folder, &[item]).await, [changed(&expected)]);
    }

    let code = "def f(item):
    b, kind = item['b'], type(item['b'])
    assert b == b'a' and b == kind(b'a') and b != kind(b'b') and not b == 'a'
    assert repr(b) == \"Binary(b'a')\" and {b, kind(b'a'), b'a'} == {b'a'}
    try: kind('text')
    except TypeError: return item";
    let folder = Folder::new(code).without_boto3();
    assert_eq!(
        outcomes(&folder, &[r#"{"b":{"B":"YQ=="}}"#]).await,
        [Outcome::Unchanged]
    );
}

#[tokio::test]
async fn the_values_that_a_function_leaves_alone_keep_their_notation() {
    let code = "import copy
def f(item):
    item = copy.deepcopy(item)
    item['new'] = item.pop('old')
    item['m']['x'] = 1
    return item";
    assert_eq!(
        outcome(
            code,
            r#"{"e":{"N":"0.0000001"},"old":{"N":"1E+05"},"m":{"M":{"n":{"N":"+1.0"}}},"b":{"B":"AA=="}}"#
        )
        .await,
        changed(
            r#"{"e":{"N":"0.0000001"},"m":{"M":{"n":{"N":"+1.0"},"x":{"N":"1"}}},"b":{"B":"AA=="},"new":{"N":"1E+05"}}"#
        )
    );
}

#[tokio::test]
async fn python_values_become_dynamodb_values() {
    let code = "import collections, decimal, enum
class Color(str, enum.Enum): RED = 'red'
class Level(enum.IntEnum): LOW = 1
Point = collections.namedtuple('Point', 'x y')
def f(item): return collections.OrderedDict(a=Color.RED, b=Level.LOW, c=Point(1, -2), d=b'\\0', e=bytearray(b'\\1'), f=frozenset('ba'), g=[True, None, {}], h={1, 0.5}, i=decimal.Decimal('1E+2'), j=collections.Counter('a'))";
    assert_eq!(
        outcome(code, "{}").await,
        changed(
            r#"{"a":{"S":"red"},"b":{"N":"1"},"c":{"L":[{"N":"1"},{"N":"-2"}]},"d":{"B":"AA=="},"e":{"B":"AQ=="},"f":{"SS":["a","b"]},"g":{"L":[{"BOOL":true},{"NULL":true},{"M":{}}]},"h":{"NS":["0.5","1"]},"i":{"N":"1E+2"},"j":{"M":{"a":{"N":"1"}}}}"#
        )
    );
}

#[tokio::test]
async fn none_skips_an_item_and_a_list_writes_several() {
    let code = "def f(item):
    number = item['id']
    if number == 0: return None
    if number == 1: return []
    return [{'id': number, 'copy': copy} for copy in range(int(number) - 1)]";
    let items = [
        r#"{"id":{"N":"0"}}"#,
        r#"{"id":{"N":"1"}}"#,
        r#"{"id":{"N":"2"}}"#,
        r#"{"id":{"N":"3"}}"#,
    ];
    let copy = |id, copy| format!(r#"{{"id":{{"N":"{id}"}},"copy":{{"N":"{copy}"}}}}"#);
    assert_eq!(
        outcomes(&Folder::new(code), &items).await,
        [
            Outcome::Skipped,
            Outcome::Skipped,
            changed(&copy(2, 0)),
            Outcome::Several(vec![copy(3, 0).into(), copy(3, 1).into()]),
        ]
    );
}

#[tokio::test]
async fn a_value_that_dynamodb_cannot_store_rejects_the_item_with_its_path() {
    for (value, reason) in [
        (
            "float('nan')",
            "NaN is not a number that DynamoDB can store",
        ),
        (
            "-float('inf')",
            "-Infinity is not a number that DynamoDB can store",
        ),
        (
            "Decimal('sNaN')",
            "sNaN is not a number that DynamoDB can store",
        ),
        (
            "{1, 'a'}",
            "a set with elements of int, str; a set has only strings, only numbers or only binary values",
        ),
        (
            "{True, 2}",
            "a set with elements of bool, int; a set has only strings, only numbers or only binary values",
        ),
        ("set()", "a set without elements"),
        ("object()", "DynamoDB cannot store a value of type object"),
        (
            "datetime.date(2026, 1, 2)",
            "DynamoDB cannot store a value of type datetime.date",
        ),
        ("{1: 2}", "a name of type int; names are strings"),
    ] {
        let code = format!(
            "import datetime\nfrom decimal import Decimal\ndef f(item): return {{'a': {{'b': [0, {value}]}}}}"
        );
        let reason = format!("attribute \"a.b[1]\": {reason}");
        assert_eq!(outcome(&code, "{}").await, rejected(&reason), "{value}");
    }

    let digits = "def f(item): return {'a': {'b': 10**38 + 1}}";
    let reason = "attribute \"a.b\": a number of more than 38 digits";
    assert_eq!(outcome(digits, "{}").await, rejected(reason));

    let other = "def f(item): return 'x'";
    let reason = "the function returned str, not a dict, None or a list of dicts";
    assert_eq!(outcome(other, "{}").await, rejected(reason));

    let surrogate = "def f(item): return {'a': '\\ud800'}";
    let reason = "a string has a surrogate that is not part of a pair";
    assert_eq!(outcome(surrogate, "{}").await, rejected(reason));
}

#[tokio::test]
async fn an_item_that_python_cannot_represent_is_rejected_with_its_path() {
    let code = "def f(item): return item";
    for (item, reason) in [
        (
            r#"{"a":{"M":{"b":{"L":[{"Q":"1"}]}}}}"#,
            r#"attribute "a.b[0]": cannot be converted to a Python value: {"Q": "1"}"#,
        ),
        (
            r#"{"a":{"SS":["x","x"]}}"#,
            r#"attribute "a": a set contains an element twice"#,
        ),
    ] {
        assert_eq!(outcome(code, item).await, rejected(reason));
    }
}

#[tokio::test]
async fn an_exception_rejects_the_item_with_its_type_and_message_and_one_traceback_is_reported() {
    let folder = Folder::new("class Bad(Exception): pass\ndef f(item): raise Bad('no kind')");
    let transform = Transform::new().python(folder.spec()).unwrap();
    let events = Arc::default();
    let (outcomes, error) = run(&transform, numbered(30), &events).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(outcomes, vec![rejected("Bad: no kind"); 30]);

    let [Event::Detail(text)] = &events.all()[..] else {
        panic!("{:?}", events.all());
    };
    assert!(
        text.starts_with(
            "`transform_python`, item {\"id\":{\"N\":\"0\"}}: Traceback (most recent call last):\n"
        ),
        "{text}"
    );
    assert!(text.contains("transform.py\", line 2, in f"), "{text}");
    assert!(!text.contains("<string>"), "{text}");
}

#[tokio::test]
async fn floats_are_stored_in_their_shortest_form_and_the_user_is_told() {
    let folder = Folder::new("def f(item): return {'a': [0.1, 1e22, 5e-324 * 0]}");
    let transform = Transform::new().python(folder.spec()).unwrap();
    assert!(transform.warnings().is_empty());

    let (outcomes, _) = run(&transform, numbered(1), &Arc::default()).await;
    assert_eq!(
        outcomes,
        [changed(
            r#"{"a":{"L":[{"N":"0.1"},{"N":"1E+22"},{"N":"0.0"}]}}"#
        )]
    );
    let warnings = transform.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("`transform_python`: the function returned values of type float"),
        "{warnings:?}"
    );
}

#[tokio::test]
async fn what_a_function_prints_is_reported_and_its_input_is_empty() {
    let code = "import os, subprocess, sys
def f(item):
    print('from print')
    os.write(1, b'from write\\n')
    subprocess.run(['echo', 'from a child'])
    item['input'] = sys.stdin.read()
    return item";
    let folder = Folder::new(code);
    let transform = Transform::new().python(folder.spec()).unwrap();
    let events = Arc::default();
    let (outcomes, error) = run(&transform, numbered(1), &events).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(outcomes, [changed(r#"{"id":{"N":"0"},"input":{"S":""}}"#)]);
    for text in ["from print", "from write", "from a child"] {
        let line = Event::Info(format!("`transform_python`: {text}"));
        assert!(events.all().contains(&line), "{text}: {:?}", events.all());
    }
}

#[tokio::test]
async fn results_keep_the_order_of_the_items_with_any_number_of_interpreters() {
    let folder =
        Folder::new("def f(item):\n    item['pid'] = __import__('os').getpid()\n    return item");
    let spec = PythonSpec {
        jobs: NonZeroUsize::new(3),
        ..folder.spec()
    };
    let transform = Transform::new().python(spec).unwrap();
    let (outcomes, error) = run(&transform, numbered(1005), &Arc::default()).await;

    assert!(error.is_none(), "{error:?}");
    assert_eq!(outcomes.len(), 1005);
    let mut processes = std::collections::BTreeSet::new();
    for (number, outcome) in outcomes.iter().enumerate() {
        let Outcome::Changed(item) = outcome else {
            panic!("{number}: {outcome:?}");
        };
        let text = std::str::from_utf8(item).unwrap();
        let start = format!(r#"{{"id":{{"N":"{number}"}},"pid":"#);
        let process = text.strip_prefix(&start).expect(text);
        processes.insert(process.to_owned());
    }

    assert_eq!(processes.len(), 3);
}

#[tokio::test]
async fn a_function_that_exits_ends_the_run_with_its_item() {
    let code = "import sys\ndef f(item):\n    if item['id'] == 13: sys.exit('out of cheese')\n    return item";
    let folder = Folder::new(code);
    let transform = Transform::new().python(folder.spec()).unwrap();
    let (outcomes, error) = run(&transform, numbered(100), &Arc::default()).await;
    let error = error.expect("it exits");

    assert_eq!(outcomes.len(), 10);
    assert_eq!(
        error.to_string(),
        r#"the function of `transform_python` ended without an answer for the item {"id":{"N":"13"}} (exit status: 1)"#
    );
    let details = error.details();
    assert!(
        details.iter().any(|line| line.contains("out of cheese")),
        "{details:?}"
    );
}

#[tokio::test]
async fn a_function_that_hangs_ends_with_the_timeout_and_with_all_its_processes() {
    let folder = Folder::new(
        "import os, subprocess
def f(item):
    if item['id'] == 4:
        child = subprocess.Popen(['sleep', '1000'])
        with open(os.path.dirname(__file__) + '/pid', 'w') as file: file.write(str(child.pid))
        child.wait()
    return item",
    );
    let spec = PythonSpec {
        timeout: Duration::from_secs(3),
        ..folder.spec()
    };
    let transform = Transform::new().python(spec).unwrap();
    let (_, error) = run(&transform, numbered(10), &Arc::default()).await;

    assert_eq!(
        error.expect("it hangs").to_string(),
        r#"the function of `transform_python` did not answer for 3 s: the next item is {"id":{"N":"4"}}"#
    );

    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(500);
    while is_running(&pid) {
        assert!(Instant::now() < deadline, "{pid} is still running");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_function_that_cannot_be_imported_is_a_usage_error_with_pythons_message() {
    for (code, reason, detail) in [
        (
            "import no_such_module",
            "ModuleNotFoundError: No module named 'no_such_module'",
            "line 1, in <module>",
        ),
        ("def f(", "SyntaxError: '(' was never closed", "line 1"),
        ("x = 1", "does not define `f`", ""),
        ("f = 1", "`f` is not a function but a value of type int", ""),
        (
            "import sys; sys.exit(3)",
            "SystemExit: 3",
            "line 1, in <module>",
        ),
        (
            "import os, sys; print('last words'); sys.stdout.flush(); os._exit(3)",
            "Python ended (exit status: 3)",
            "last words",
        ),
    ] {
        let error = usage_error(Folder::new(code).spec());
        // Python 3.9 and older name syntax errors differently.
        let reason = reason.split_once(": '('").map_or(reason, |(kind, _)| kind);
        assert!(error.to_string().contains(reason), "{code}: {error}");
        let details = error.details().join("\n");
        assert!(details.contains(detail), "{code}: {details}");
        assert!(!details.contains("importlib"), "{details}");
    }

    for function in [
        "no_such_module_at_all:f",
        "no/such/file.py:f",
        "f",
        ":f",
        "json:",
        "json:no.such",
    ] {
        usage_error(PythonSpec::new(function));
    }

    Transform::new()
        .python(PythonSpec::new("collections:Counter.copy"))
        .unwrap();
}

#[test]
fn an_import_that_hangs_ends_with_the_timeout() {
    let folder = Folder::new("import time; time.sleep(1000)");
    let spec = PythonSpec {
        timeout: Duration::from_millis(500),
        ..folder.spec()
    };
    let error = usage_error(spec);
    assert!(
        error
            .to_string()
            .ends_with("the import took longer than 0.5 s"),
        "{error}"
    );
}

#[test]
fn processes_that_an_import_starts_do_not_outlive_it() {
    let folder = Folder::new(
        "import os, subprocess
child = subprocess.Popen(['sleep', '1000'])
with open(os.path.dirname(__file__) + '/pid', 'w') as file: file.write(str(child.pid))
def f(item): return item",
    );
    Transform::new().python(folder.spec()).unwrap();

    let pid = std::fs::read_to_string(folder.path().join("pid")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(500);
    while is_running(&pid) {
        assert!(Instant::now() < deadline, "{pid} is still running");
        std::thread::yield_now();
    }
}

#[test]
fn an_interpreter_that_does_not_exist_is_a_usage_error() {
    let spec = PythonSpec {
        interpreter: PathBuf::from("no-such-python"),
        ..PythonSpec::new("json:dumps")
    };
    assert_eq!(
        usage_error(spec).to_string(),
        "`python`: program not found: `no-such-python`"
    );
}

/// A file can import its neighbours, wherever the command runs.
#[tokio::test]
async fn a_file_imports_modules_of_its_folder() {
    let folder = Folder::new("from helper import f").with("helper.py", "def f(item): return None");
    assert_eq!(outcomes(&folder, &["{}"]).await, [Outcome::Skipped]);
}
