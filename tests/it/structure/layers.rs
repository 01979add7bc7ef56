//! Checks the architecture: dependencies between modules, use of crates, access to files, length of files.
//!
//! The sources are parsed, so that `use crate::{a, b}`, paths within code and paths within macros all count; text in comments
//! and strings does not. Test code is left out: it may reach further.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Each layer and the layers it may use. Every layer may use [`COMMON`] and itself.
const LAYERS: [(&str, &[&str]); 10] = [
    ("item", &[]),
    ("schema", &["item"]),
    ("environment", &[]),
    ("place", &[]),
    ("aws", &["environment"]),
    ("backup", &["item", "schema", "place"]),
    ("store", &["environment", "item", "schema", "place", "aws"]),
    ("transform", &["item", "schema"]),
    (
        "ops",
        &[
            "item",
            "schema",
            "environment",
            "place",
            "backup",
            "store",
            "transform",
        ],
    ),
    (
        "cli",
        &[
            "item",
            "schema",
            "environment",
            "place",
            "backup",
            "store",
            "transform",
            "ops",
        ],
    ),
];

/// What every layer may use. These use nothing of the crate but each other.
const COMMON: [&str; 6] = ["error", "event", "field", "layout", "limits", "similar"];

/// Crates that one layer alone may name.
const OWNED_CRATES: [(&str, &str); 10] = [
    ("aws_", "aws"),
    ("dynoxide", "store"),
    ("jaq_", "transform"),
    ("fake", "transform"),
    ("hmac", "transform"),
    ("clap", "cli"),
    ("console", "cli"),
    ("dialoguer", "cli"),
    ("indicatif", "cli"),
    ("comfy_table", "cli"),
];

/// What enums of the library derive behind the feature `cli`, so that each choice of a user is one type.
const DERIVED: [&str; 2] = ["clap", "ValueEnum"];

/// The layer that may create, change, delete and read files.
const FILES: &str = "place";

/// Paths by which files are created, changed or deleted.
const FILE_CHANGES: [&str; 20] = [
    "fs::write",
    "fs::rename",
    "fs::copy",
    "fs::hard_link",
    "fs::remove_file",
    "fs::remove_dir",
    "fs::remove_dir_all",
    "fs::create_dir",
    "fs::create_dir_all",
    "fs::set_permissions",
    "fs::renameat_with",
    "File::create",
    "File::create_new",
    "File::options",
    "OpenOptions::new",
    "DirBuilder::new",
    "fs::symlink",
    "rustix::fs::",
    "tokio::fs::",
    "tempfile::",
];

/// Methods of open files that change or sync them.
const FILE_METHODS: [&str; 6] = [
    "set_len",
    "set_modified",
    "set_permissions",
    "set_times",
    "sync_all",
    "sync_data",
];

/// Paths by which the contents of files and folders are read. Questions about names, such as whether a file exists, are not among
/// them.
const FILE_READS: [&str; 5] = [
    "File::open",
    "fs::read",
    "fs::read_to_string",
    "fs::read_dir",
    "fs::read_link",
];

/// Files of other layers that read files, and why.
const READERS: [(&str, &str); 6] = [
    (
        "aws/network/trust.rs",
        "reads CA bundles, as the AWS SDK does; `aws` does not use `place`",
    ),
    (
        "aws/shared_files.rs",
        "reads the shared AWS configuration, as the AWS SDK does",
    ),
    (
        "cli/terminal/signals.rs",
        "reads /proc, which is not a stored file",
    ),
    (
        "environment/file.rs",
        "reads env files; `environment` uses no other layer",
    ),
    ("environment/locate.rs", "lists env files"),
    (
        "store/embedded/port_owner.rs",
        "reads /proc, which is not a stored file",
    ),
];

/// Lines of a file without its tests and without blank lines.
const LONGEST_FILE: usize = 500;

#[test]
fn the_sources_keep_to_the_architecture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut layers = BTreeSet::new();
    let mut readers = BTreeSet::new();
    for file in sources(&root) {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let path = file.strip_prefix(&root).expect("it lies below the root");
        layers.extend(layer_of(path));
        found.extend(violations(path, &text));
        if !reads(path, &text).is_empty() {
            readers.insert(path.display().to_string());
        }
    }

    let listed: BTreeSet<_> = READERS.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(
        readers, listed,
        "only these files outside of place/ read files"
    );

    assert!(found.is_empty(), "{}", found.join("\n"));
    let known: BTreeSet<_> = LAYERS
        .iter()
        .map(|(layer, _)| (*layer).to_owned())
        .collect();
    assert_eq!(
        layers, known,
        "a layer is missing in the sources or in this test"
    );
}

#[test]
fn each_binary_is_a_few_lines_over_the_library() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let binaries = sources(&folder);
    assert!(binaries.len() >= 6, "{binaries:?}");
    for binary in binaries {
        let text = fs::read_to_string(&binary).expect("the binary's source");
        let lines = text.lines().count();
        assert!(lines <= 15, "{} has {lines} lines", binary.display());
    }
}

/// The checker is checked: each of these must be found.
#[test]
fn a_planted_violation_is_found() {
    for (path, text, wanted) in [
        (
            "item/size.rs",
            "use crate::schema::TableSchema;",
            "item may not use schema",
        ),
        (
            "item/size.rs",
            "use crate::{error::Error, store};",
            "item may not use store",
        ),
        (
            "item/size.rs",
            "use crate as own; fn f() { own::ops::f() }",
            "item renames the crate",
        ),
        (
            "item/size.rs",
            "use crate::*;",
            "item takes everything of the crate",
        ),
        (
            "schema/mod.rs",
            "fn f() -> crate::backup::Dump { todo!() }",
            "schema may not use backup",
        ),
        (
            "schema/a/b.rs",
            "use super::super::super::store::Store;",
            "schema may not use store",
        ),
        ("schema/mod.rs", "use super::cli;", "schema may not use cli"),
        (
            "backup/a.rs",
            "fn f() { g!(1, crate::ops::dump(2)); }",
            "backup may not use ops",
        ),
        (
            "backup/a.rs",
            "macro_rules! m { () => { $crate::cli::run() } }",
            "backup may not use cli",
        ),
        (
            "store/mod.rs",
            "mod a { use crate::ops::Plan; }",
            "store may not use ops",
        ),
        (
            "store/embedded/mod.rs",
            "use crate::backup::Source;",
            "store may not use backup",
        ),
        ("ops/mod.rs", "use crate::cli;", "ops may not use cli"),
        (
            "event.rs",
            "use crate::item::Item;",
            "event may not use item",
        ),
        ("new/mod.rs", "fn f() {}", "new is in no layer"),
        (
            "ops/a.rs",
            "use aws_sdk_dynamodb::Client;",
            "ops may not name aws_sdk_dynamodb",
        ),
        (
            "ops/a.rs",
            "use ::aws_types::region;",
            "ops may not name aws_types",
        ),
        (
            "ops/a.rs",
            "use {std::io, ::aws_types::region};",
            "ops has an item that cannot be judged",
        ),
        (
            "ops/a.rs",
            "fn f(c: aws_config::SdkConfig) {}",
            "ops may not name aws_config",
        ),
        (
            "ops/a.rs",
            "fn f() { m!(aws_config::load()) }",
            "ops may not name aws_config",
        ),
        (
            "ops/a.rs",
            "#[derive(clap::Parser)] struct A;",
            "ops may not name clap",
        ),
        (
            "store/a.rs",
            "extern crate indicatif;",
            "store may not name indicatif",
        ),
        (
            "ops/a.rs",
            "fn f() { std::fs::write(\"a\", \"b\"); }",
            "ops may not change files: fs::write",
        ),
        (
            "ops/a.rs",
            "use std::fs::{self, File}; fn f() { File::create(\"a\"); }",
            "ops may not change files: File::create",
        ),
        (
            "ops/a.rs",
            "use std::fs::{remove_dir_all};",
            "ops may not change files: fs::remove_dir_all",
        ),
        (
            "ops/a.rs",
            "use tempfile::TempDir;",
            "ops may not change files: tempfile::",
        ),
        (
            "backup/a.rs",
            "fn f() { std::fs::rename(1, 2) }",
            "backup may not change files: fs::rename",
        ),
        (
            "place/a.rs",
            "use crate::item::Item;",
            "place may not use item",
        ),
        (
            "cli/a.rs",
            "fn f() { OpenOptions::new() }",
            "cli may not change files: OpenOptions::new",
        ),
        (
            "ops/a.rs",
            "fn f(file: &F) { file.sync_all(); }",
            "ops may not change files: sync_all",
        ),
        (
            "ops/a.rs",
            "use rustix::fs::{CWD, unlinkat};",
            "ops may not change files: rustix::fs::",
        ),
        (
            "store/a.rs",
            "fn f() { tokio::fs::read(1); }",
            "store may not change files: tokio::fs::",
        ),
        (
            "backup/a.rs",
            "use std::os::unix::fs::symlink;",
            "backup may not change files: fs::symlink",
        ),
    ] {
        let found = violations(Path::new(path), text);
        assert!(
            found.iter().any(|line| line.contains(wanted)),
            "{path}: {text}\nwanted: {wanted}\nfound: {found:?}"
        );
    }

    let long = "fn f() {}\n".repeat(LONGEST_FILE + 1);
    assert_eq!(
        violations(Path::new("item/a.rs"), &long),
        ["item/a.rs: 501 lines without tests, 500 are the most"]
    );
}

/// Each spelling of reading a file is found outside of tests and of `place`.
#[test]
fn a_planted_read_is_found() {
    for (text, wanted) in [
        ("fn f() { std::fs::read(\"a\"); }", "fs::read"),
        (
            "use std::fs; fn f() { fs::read_to_string(1); }",
            "fs::read_to_string",
        ),
        (
            "use std::fs::{self, File}; fn f() { File::open(2); }",
            "File::open",
        ),
        ("fn f() { m!(std::fs::read_dir(1)) }", "fs::read_dir"),
    ] {
        assert_eq!(reads(Path::new("ops/a.rs"), text), [wanted], "{text}");
        assert!(reads(Path::new("place/a.rs"), text).is_empty(), "{text}");
    }

    for text in [
        "use std::fs; fn f() { fs::metadata(1); fs::canonicalize(2); }",
        "use std::os::unix::fs::MetadataExt; fn f(file: &MarkerFile) { MarkerFile::read(1); }",
        "#[cfg(test)] mod tests { fn f() { std::fs::read(1); } }",
    ] {
        assert!(reads(Path::new("ops/a.rs"), text).is_empty(), "{text}");
    }
}

/// What is allowed is not reported.
#[test]
fn what_is_allowed_is_not_found() {
    let tests = "#[test]\nfn t() {}\n".repeat(LONGEST_FILE);
    for (path, text) in [
        (
            "item/a.rs",
            "//! crate::cli, aws_sdk\nuse super::b; use crate::{error::Result, limits}; // crate::ops",
        ),
        (
            "item/a.rs",
            "fn f() { g(\"crate::cli aws_sdk fs::write\") }",
        ),
        (
            "item/a/b.rs",
            "use super::super::number::Number; use self::c::D; mod c { use super::super::x; }",
        ),
        (
            "ops/mod.rs",
            "use crate::{backup::{self, Dump}, item, schema, store::Store, environment};",
        ),
        (
            "ops/a.rs",
            "#[cfg(test)] mod tests { use crate::cli; use tempfile::TempDir; fn f() { std::fs::write(1, 2) } }",
        ),
        (
            "ops/a.rs",
            "use std::fs; fn f() { fs::symlink_metadata(1); fs::canonicalize(2); }",
        ),
        ("ops/tests.rs", "use crate::cli;"),
        ("aws/a.rs", "use aws_sdk_dynamodb::Client;"),
        ("place/a.rs", "use std::fs; fn f() { fs::rename(1, 2) }"),
        ("lib.rs", "pub mod item; pub use cli::run;"),
        ("bin/dumpdb.rs", "fn main() { dynadump::cli::run() }"),
        (
            "item/long.rs",
            &format!("#[cfg(test)]\nmod tests {{\n{tests}}}\n"),
        ),
    ] {
        assert!(
            violations(Path::new(path), text).is_empty(),
            "{path}: {:?}",
            violations(Path::new(path), text)
        );
    }
}

pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a source folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }

    found
}

/// The layer a file belongs to; `None` for the crate's root, binaries and what is common.
fn layer_of(path: &Path) -> Option<String> {
    let top = module_path(path).into_iter().next()?;
    (!COMMON.contains(&top.as_str()) && top != "bin").then_some(top)
}

/// The module a file is, from the crate's root.
pub(crate) fn module_path(path: &Path) -> Vec<String> {
    let mut parts: Vec<_> = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();

    parts.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    parts
}

/// The spellings by which a file outside of `place` reads files.
fn reads(path: &Path, text: &str) -> Vec<String> {
    read(path, text).map_or(Vec::new(), |reader| reader.reads.into_iter().collect())
}

/// Goes through the text of a file. `None` for tests and binaries.
fn read(path: &Path, text: &str) -> Option<Reader> {
    let module = module_path(path);
    let is_test = module.iter().any(|part| part == "tests");
    let top = module
        .first()
        .filter(|top| *top != "bin" && !is_test)
        .cloned()?;

    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = Reader {
        top,
        depth: module.len(),
        found: BTreeSet::new(),
        reads: BTreeSet::new(),
    };

    reader.check_layer();
    reader.visit_file(&file);

    Some(reader)
}

fn violations(path: &Path, text: &str) -> Vec<String> {
    let Some(reader) = read(path, text) else {
        return Vec::new();
    };

    let lines = lines_without_tests(text).count();
    let mut found = reader.found;
    if lines > LONGEST_FILE {
        found.insert(format!(
            "{lines} lines without tests, {LONGEST_FILE} are the most"
        ));
    }

    found
        .into_iter()
        .map(|line| format!("{}: {line}", path.display()))
        .collect()
}

/// Lines of a formatted file that are not blank and not of an item for tests: from its attribute to the line that closes it.
pub(crate) fn lines_without_tests(text: &str) -> impl Iterator<Item = &str> {
    let mut in_test = false;
    text.lines().filter(move |line| {
        in_test |= *line == "#[cfg(test)]";
        let counts = !in_test && !line.trim().is_empty();
        in_test &= !(*line == "}" || line.ends_with(';') && !line.starts_with(' '));

        counts
    })
}

/// Goes through one file and collects what it should not do.
struct Reader {
    top: String,
    /// Modules from the root to here, modules within the file included.
    depth: usize,
    found: BTreeSet<String>,
    /// Spellings by which it reads files.
    reads: BTreeSet<String>,
}

impl Reader {
    fn check_layer(&mut self) {
        if !COMMON.contains(&self.top.as_str())
            && !LAYERS.iter().any(|(layer, _)| *layer == self.top)
        {
            self.found.insert(format!("{} is in no layer", self.top));
        }
    }

    /// Judges one path, given as its parts.
    fn path(&mut self, parts: &[String]) {
        let Some(first) = parts.first() else { return };
        if let Some(target) = self.target(parts) {
            self.layer(&target);
        } else if let Some((_, owner)) = OWNED_CRATES.iter().find(|(name, _)| is_crate(first, name))
            && *owner != self.top
            && parts != DERIVED
        {
            self.found
                .insert(format!("{} may not name {first}", self.top));
        }

        if self.top != FILES {
            let text = format!("::{}::", parts.join("::"));
            let names =
                |spelling: &str| text.contains(&format!("::{}::", spelling.trim_end_matches("::")));
            for change in FILE_CHANGES.into_iter().filter(|change| names(change)) {
                self.found
                    .insert(format!("{} may not change files: {change}", self.top));
            }

            let reads = FILE_READS.into_iter().filter(|read| names(read));
            self.reads.extend(reads.map(ToOwned::to_owned));
        }
    }

    /// The top module of this crate that a path leads into, if it leads out of the file's own module through the root.
    fn target(&self, parts: &[String]) -> Option<String> {
        let supers = parts.iter().take_while(|part| *part == "super").count();
        match parts[0].as_str() {
            "crate" => Some(
                parts
                    .get(1)
                    .cloned()
                    .unwrap_or_else(|| "the root".to_owned()),
            ),
            "super" if supers >= self.depth => Some(
                parts
                    .get(supers)
                    .cloned()
                    .unwrap_or_else(|| "the root".to_owned()),
            ),
            _ => None,
        }
    }

    fn layer(&mut self, target: &str) {
        match target {
            "*" => {
                self.found
                    .insert(format!("{} takes everything of the crate", self.top));
            }
            " as " => {
                self.found.insert(format!("{} renames the crate", self.top));
            }
            _ if target == self.top || COMMON.contains(&target) => {}
            _ => {
                let allowed = LAYERS
                    .iter()
                    .find(|(layer, _)| *layer == self.top)
                    .map_or(&[][..], |(_, allowed)| *allowed);
                let is_module = LAYERS.iter().any(|(layer, _)| *layer == target);
                if is_module && !allowed.contains(&target) {
                    self.found
                        .insert(format!("{} may not use {target}", self.top));
                }
            }
        }
    }

    fn tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |part: String| before.iter().cloned().chain([part]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) if name.ident == "self" => self.path(before),
            UseTree::Name(name) => self.path(&with(name.ident.to_string())),
            UseTree::Rename(rename) if rename.ident == "crate" => {
                self.path(&["crate".to_owned(), " as ".to_owned()]);
            }
            UseTree::Rename(rename) => self.path(&with(rename.ident.to_string())),
            UseTree::Glob(_) => self.path(&with("*".to_owned())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
        }
    }

    /// Judges the paths within a macro, which the parser leaves as tokens.
    fn tokens(&mut self, text: &str) {
        let words: Vec<_> = text.split_whitespace().collect();
        for start in 0..words.len() {
            let is_continued =
                start > 0 && words[start - 1] == "::" && start > 1 && is_name(words[start - 2]);
            if is_name(words[start]) && !is_continued {
                let pairs = words[start + 1..]
                    .chunks_exact(2)
                    .take_while(|pair| pair[0] == "::" && is_name(pair[1]));
                let parts: Vec<_> = std::iter::once(words[start])
                    .chain(pairs.map(|pair| pair[1]))
                    .map(str::to_owned)
                    .collect();
                if parts.len() > 1 {
                    self.path(&parts);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if attributes(item).iter().any(is_for_tests) {
            return;
        }

        if matches!(item, Item::Verbatim(_)) {
            self.found
                .insert(format!("{} has an item that cannot be judged", self.top));
        }

        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, module);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.path(&[item.ident.to_string()]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();

        if parts.len() > 1 {
            self.path(&parts);
        }

        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        let method = call.method.to_string();
        if self.top != FILES && FILE_METHODS.contains(&method.as_str()) {
            self.found
                .insert(format!("{} may not change files: {method}", self.top));
        }

        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.tokens(&spaced(&invocation.tokens.to_string()));
        visit::visit_macro(self, invocation);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(&spaced(&list.tokens.to_string()));
        visit::visit_meta_list(self, list);
    }
}

fn is_crate(name: &str, owned: &str) -> bool {
    if owned.ends_with('_') {
        name.starts_with(owned)
    } else {
        name == owned
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && word
            .chars()
            .all(|character| character.is_alphanumeric() || character == '_')
}

/// The tokens with space around each, and strings emptied.
fn spaced(tokens: &str) -> String {
    let mut text = String::new();
    let mut in_string = false;
    let mut characters = tokens.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if in_string => drop(characters.next()),
            '"' => in_string = !in_string,
            _ if in_string => {}
            ':' if characters.next_if_eq(&':').is_some() => text.push_str(" :: "),
            _ if character.is_alphanumeric() || character == '_' => text.push(character),
            _ => text.extend([' ', character, ' ']),
        }
    }

    text
}

pub(crate) fn is_for_tests(attribute: &Attribute) -> bool {
    let syn::Meta::List(list) = &attribute.meta else {
        return attribute.path().is_ident("test");
    };

    list.path.is_ident("cfg") && list.tokens.to_string() == "test"
}

pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
