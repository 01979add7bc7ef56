//! Compiled jq program, which any number of threads can run.
//!
//! The language is jq as implemented by jaq, with the definitions of `prelude.jq` and without
//! access to anything but the item: no `env` (it contains secrets), `input`, `import`, `halt`, and
//! no output except the result. `now` is the time of compilation, the same for every item.

use std::time::{SystemTime, UNIX_EPOCH};

use jaq_core::load::parse::{Def, Term};
use jaq_core::load::{Arena, File, Lexer, Loader, Parser};
use jaq_core::native::Fun;
use jaq_core::{Compiler, Ctx, Filter, Vars};
use jaq_json::Val;

use super::context::{JqTypes, RunContext, now, tick};
use super::guard::{Guard, JqError};
use super::instrument::{instrument, instrument_defs};
use super::syntax::{self, SyntaxFault};
use crate::error::{Error, Result};

/// Definitions of this program.
const PRELUDE: &str = include_str!("prelude.jq");

/// Name of the definition that contains the user's program. The main program calls it.
const MAIN: &str = "_dynadump_main";

/// Natives and definitions of the standard library that access more than the item.
const EXCLUDED: [&str; 8] = [
    "env",
    "halt",
    "halt_error",
    "debug",
    "debug_empty",
    "stderr",
    "stderr_empty",
    "input_filename",
];

/// Maximum length of a program, in bytes; far more than a filter written by hand.
const MAX_PROGRAM_BYTES: usize = 32 * 1024;

/// Stack size of the compiler, which recurses for every bracket and operator: 32 KB per byte of the
/// longest program. The memory is reserved, but not used.
const COMPILER_STACK_BYTES: usize = MAX_PROGRAM_BYTES * 32 * 1024;

/// A compiled program.
pub(crate) struct Program {
    filter: Filter<JqTypes>,
    /// Seconds since 1970 at which the program was compiled.
    now: f64,
}

impl Program {
    /// Compiles a program. Errors call it `name`.
    ///
    /// # Errors
    /// The program is invalid; the error shows where.
    pub(crate) fn compile(name: &str, code: &str) -> Result<Self> {
        if code.len() > MAX_PROGRAM_BYTES {
            return Err(Error::usage(format!(
                "{name} is longer than {MAX_PROGRAM_BYTES} bytes"
            )));
        }

        // On a thread of its own, because of the stack.
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

    /// Runs the program on a value. The thread needs a stack of
    /// [`STACK_BYTES`](super::STACK_BYTES).
    pub(crate) fn run<'a>(
        &'a self,
        guard: &'a Guard,
        input: Val,
    ) -> impl Iterator<Item = std::result::Result<Val, JqError>> + 'a {
        guard.start_item();
        let context = RunContext {
            lut: &self.filter.lut,
            guard,
            now: self.now,
        };

        let context = Ctx::<JqTypes>::new(context, Vars::new([]));
        self.filter
            .id
            .run((context, input))
            .map(jaq_core::unwrap_valr)
    }
}

fn compile(code: &str) -> std::result::Result<Filter<JqTypes>, SyntaxFault> {
    let tokens = Lexer::new(code)
        .lex()
        .map_err(|errors| syntax::from_lexer(code, &errors))?;
    let parsed: std::result::Result<Term<&str>, _> = Parser::new(&tokens).parse(Parser::term);
    let term = parsed.map_err(|errors| syntax::from_parser(code, &errors))?;
    // The user's program is parsed as one term, so that it cannot contain `import`.
    let main = Def {
        name: MAIN,
        args: Vec::new(),
        body: instrument(term),
    };

    let library = jaq_core::defs()
        .chain(jaq_std::defs())
        .chain(jaq_json::defs())
        .chain(prelude());
    let library = library.filter(|def| !EXCLUDED.contains(&def.name));
    let defs = instrument_defs(library).into_iter().chain([main]);
    let arena = Arena::default();
    let modules = Loader::new(defs).load(
        &arena,
        File {
            code: MAIN,
            path: (),
        },
    );

    let modules = modules.map_err(|_| SyntaxFault::in_library())?;
    Compiler::default()
        .with_funs(natives())
        .compile(modules)
        .map_err(|errors| syntax::from_compiler(code, &errors))
}

fn prelude() -> Vec<Def<&'static str>> {
    jaq_core::load::parse(PRELUDE, |parser| parser.defs()).unwrap_or_default()
}

fn natives() -> impl Iterator<Item = Fun<JqTypes>> {
    let library = jaq_core::funs()
        .chain(jaq_std::funs())
        .chain(jaq_json::funs());
    // `now` is replaced.
    let inside = library.filter(|(name, ..)| !EXCLUDED.contains(name) && *name != "now");
    inside.chain([tick(), now()])
}
