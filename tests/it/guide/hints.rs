//! docs/troubleshooting.md has the hint of every error, other than those about the command line, which say what to change.

use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, ItemMod, LitStr, Macro};

use crate::structure::layers::{is_for_tests, module_path, sources};
use crate::support::guide::pages;

#[test]
fn the_hint_of_each_error_is_in_the_troubleshooting_page() {
    let page = pages()
        .into_iter()
        .find(|page| page.path == Path::new("docs/troubleshooting.md"))
        .expect("docs/troubleshooting.md");
    let page = normalized(&page.text);

    let mut count = 0;
    let mut missing = Vec::new();
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let files = files
        .iter()
        .filter(|path| !module_path(path).iter().any(|part| part == "tests"));
    for path in files {
        let text = fs::read_to_string(path).expect("a source file");
        let mut hints = Hints::default();
        hints.visit_file(&syn::parse_file(&text).expect("Rust"));
        count += hints.found.len();
        let lacking = hints
            .found
            .iter()
            .filter(|hint| !page.contains(&normalized(longest_fragment(hint))));
        missing.extend(lacking.map(|hint| format!("{}: {hint}", path.display())));
    }

    assert!(count > 90, "only {count} hints were found");
    assert!(
        missing.is_empty(),
        "add a row with the hint to docs/troubleshooting.md:\n{}",
        missing.join("\n")
    );
}

/// The text of hints, in which `{}` stands for values.
#[derive(Default)]
struct Hints {
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Hints {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(is_for_tests) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "with_hint" && !is_usage_error(&call.receiver) {
            let mut literals = Literals::default();
            call.args
                .iter()
                .for_each(|argument| literals.visit_expr(argument));
            self.found.append(&mut literals.found);
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// String literals, those of `format!` included.
#[derive(Default)]
struct Literals {
    found: Vec<String>,
}

impl<'ast> Visit<'ast> for Literals {
    fn visit_lit_str(&mut self, literal: &'ast LitStr) {
        let text = literal.value();
        // A separator is not a hint.
        if text.contains(' ') && text.len() > 3 {
            self.found.push(text);
        }
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        let first = invocation.tokens.clone().into_iter().next();
        if let Some(literal) = first.and_then(|token| syn::parse2::<LitStr>(token.into()).ok()) {
            self.visit_lit_str(&literal);
        }
    }
}

/// Whether an expression starts with `Error::usage(…)`.
fn is_usage_error(receiver: &Expr) -> bool {
    match receiver {
        Expr::MethodCall(call) => is_usage_error(&call.receiver),
        Expr::Call(call) => {
            matches!(&*call.func, Expr::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "usage"))
        }
        _ => false,
    }
}

/// The longest part without a value.
fn longest_fragment(hint: &str) -> &str {
    hint.split(['{', '}'])
        .step_by(2)
        .max_by_key(|fragment| fragment.len())
        .expect("a fragment")
}

/// Words in lower case, without the marks of Markdown.
fn normalized(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|letter| !"`\\".contains(*letter))
        .collect();
    text.to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
