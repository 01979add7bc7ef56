//! A jq program: compiled once, run by any number of threads.
//!
//! The language is jq as jaq knows it, with the words of `prelude.jq`, and without what reaches outside the item: no `env` (it holds
//! secrets), no `input`, no `import`, no `halt`, no output but the result. `now` is the moment the program was compiled, the same for
//! every item.

use std::time::{SystemTime, UNIX_EPOCH};

use jaq_core::box_iter::box_once;
use jaq_core::data::HasLut;
use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser};
use jaq_core::native::{Fun, v};
use jaq_core::{Compiler, Ctx, DataT, Exn, Filter, Lut, Native, Vars};
use jaq_json::Val;

use super::guard::{Guard, bound, bound_defs, tick};
use super::syntax::{self, Fault};
use crate::error::{Error, Result};

/// What a filter fails with.
pub(crate) type JqError = jaq_core::Error<Val>;

/// Our own words.
const PRELUDE: &str = include_str!("prelude.jq");

/// The definition that holds the user's program; the main program calls it.
const MAIN: &str = "_dynadump_main";

/// Words of the standard library that reach outside the item, as natives and as definitions over them.
const OUTSIDE: [&str; 8] = [
    "env",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "input_filename",
];

/// Bytes of a program; no filter written by hand comes near.
const PROGRAM_BYTES: usize = 32 * 1024;

/// Stack for the compiler, which recurses for every bracket and operator: 32 KB for each byte of the longest program. It is
/// reserved, not used.
const COMPILER_STACK_BYTES: usize = PROGRAM_BYTES * 32 * 1024;

/// The types that our natives and the interpreter share.
#[derive(Debug)]
pub(crate) struct Kind;

impl DataT for Kind {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

/// What natives can reach.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    lut: &'a Lut<Kind>,
    pub(crate) guard: &'a Guard,
    now: f64,
}

impl<'a> HasLut<'a, Kind> for Data<'a> {
    fn lut(&self) -> &'a Lut<Kind> {
        self.lut
    }
}

/// A compiled program.
pub(crate) struct Program {
    filter: Filter<Kind>,
    now: f64,
}

impl Program {
    /// Compiles a program; `name` says in errors where it is from.
    ///
    /// # Errors
    /// It cannot be read; the error shows where.
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        if code.len() > PROGRAM_BYTES {
            return Err(Error::usage(format!(
                "{name} is longer than {PROGRAM_BYTES} bytes"
            )));
        }

        let compiled = std::thread::scope(|scope| {
            let compile = || compile(code);
            let thread = std::thread::Builder::new()
                .stack_size(COMPILER_STACK_BYTES)
                .spawn_scoped(scope, compile)?;
            thread
                .join()
                .map_err(|_| std::io::Error::other("the jq compiler failed"))
        });

        let compiled = compiled.map_err(|error| {
            Error::failed(format!("{name} cannot be compiled")).with_source(error)
        })?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        match compiled {
            Ok(filter) => Ok(Self { filter, now }),
            Err(fault) => Err(syntax::error(name, code, &fault)),
        }
    }

    /// Runs the program over a value. The thread has a stack of [`STACK_BYTES`](super::STACK_BYTES).
    pub(crate) fn run<'a>(
        &'a self,
        guard: &'a Guard,
        input: Val,
    ) -> impl Iterator<Item = std::result::Result<Val, JqError>> + 'a {
        guard.begin();
        let data = Data {
            lut: &self.filter.lut,
            guard,
            now: self.now,
        };

        let context = Ctx::<Kind>::new(data, Vars::new([]));
        self.filter
            .id
            .run((context, input))
            .map(jaq_core::unwrap_valr)
    }
}

fn compile(code: &str) -> std::result::Result<Filter<Kind>, Fault> {
    let tokens = Lexer::new(code)
        .lex()
        .map_err(|errors| syntax::lexical(code, &errors))?;
    let parsed: std::result::Result<Term<&str>, _> = Parser::new(&tokens).parse(Parser::term);
    let term = parsed.map_err(|errors| syntax::grammatical(code, &errors))?;
    let main = Def {
        name: MAIN,
        args: Vec::new(),
        body: bound(term),
    };

    let library = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .chain(own_words());
    let library = library.filter(|def| !OUTSIDE.contains(&def.name));
    let defs = bound_defs(library).into_iter().chain([main]);
    let arena = Arena::default();
    let modules = Loader::new(defs).load(
        &arena,
        File {
            code: MAIN,
            path: (),
        },
    );

    let modules = modules.map_err(|_| Fault::ours())?;
    Compiler::default()
        .with_funs(natives())
        .compile(modules)
        .map_err(|errors| syntax::undefined(code, &errors))
}

fn own_words() -> Vec<Def<&'static str>> {
    jaq_core::load::parse(PRELUDE, |parser| parser.defs()).unwrap_or_default()
}

fn natives() -> impl Iterator<Item = Fun<Kind>> {
    let library = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    let inside = library.filter(|(name, ..)| !OUTSIDE.contains(name) && *name != "now");
    inside.chain([tick(), now()])
}

fn now() -> Fun<Kind> {
    (
        "now",
        v(0),
        Native::new(|cv| box_once(Ok::<_, Exn<'_, _>>(Val::from(cv.0.data().now)))),
    )
}
