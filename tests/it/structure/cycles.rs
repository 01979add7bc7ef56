//! Checks that imports between source files form no cycle.
//!
//! A path is followed through re-exports to the file that defines the name. Re-exports themselves do not count, and neither does
//! what a child imports from its own parent: a module may share types with the files below it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{UseTree, Visibility};

use crate::structure::layers::{attributes, is_for_tests, module_path, sources};

/// Cycles that are still to be dissolved: each is the list of its files. It may only become shorter.
const KNOWN: &[&[&str]] = &[];

/// A path from the root of the crate, such as `["item", "key"]`.
type ModulePath = Vec<String>;

#[test]
fn imports_between_source_files_form_no_cycle() {
    let crate_files = SourceFiles::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let cycles = crate_files.cycles();
    let known: Vec<Vec<String>> = KNOWN
        .iter()
        .map(|files| files.iter().map(|&file| file.to_owned()).collect())
        .collect();
    let found: Vec<_> = cycles
        .iter()
        .filter(|cycle| !known.contains(cycle))
        .map(|cycle| cycle.join(" ↔ "))
        .collect();

    assert!(
        found.is_empty(),
        "dependency cycles between files:\n{}",
        found.join("\n")
    );

    for cycle in &known {
        assert!(
            cycles.contains(cycle),
            "this cycle is gone; remove it from the list: {cycle:?}"
        );
    }
}

#[test]
fn a_planted_cycle_is_found() {
    let files = [
        (
            "a/mod.rs",
            "mod one; mod two; mod three; pub use one::One; pub use three::Three; struct Shared;",
        ),
        (
            "a/one.rs",
            "use super::two::Two; use super::Shared; pub struct One;",
        ),
        ("a/two.rs", "use crate::a::Three; pub struct Two;"),
        ("a/three.rs", "fn f() -> crate::a::One { super::One }"),
        ("b.rs", "use crate::a::One;"),
    ];

    let cycles = SourceFiles::parse(&files).cycles();
    assert_eq!(cycles, [["a::one", "a::three", "a::two"]]);
}

#[test]
fn references_that_form_no_cycle_are_not_reported() {
    let files = [
        (
            "a/mod.rs",
            "mod one; mod two; pub use one::One; pub use two::Two; struct Shared; use two::Two as T;",
        ),
        (
            "a/one.rs",
            "use super::Shared; pub struct One; #[cfg(test)] mod tests { use super::super::two::Two; }",
        ),
        ("a/two.rs", "use super::{One, Shared}; pub struct Two;"),
    ];

    assert_eq!(
        SourceFiles::parse(&files).cycles(),
        Vec::<Vec<String>>::new()
    );
}

/// The source files of a crate by their module path.
struct SourceFiles(BTreeMap<ModulePath, SourceFile>);

/// What one file re-exports and uses.
#[derive(Default)]
struct SourceFile {
    /// Re-exported names, and the paths they stand for.
    exports: BTreeMap<String, ModulePath>,
    /// Paths into the crate, from its root.
    uses: BTreeSet<ModulePath>,
}

impl SourceFiles {
    fn read(root: &Path) -> Self {
        let paths = sources(root);
        let texts = paths.iter().map(|path| {
            let text = fs::read_to_string(path).expect("a source file can be read");
            (path.strip_prefix(root).expect("it is below the root"), text)
        });
        let not_tests = texts.filter(|(path, _)| {
            !module_path(path)
                .iter()
                .any(|part| part == "tests" || part == "testing")
        });

        Self(
            not_tests
                .map(|(path, text)| (module_path(path), SourceFile::parse(path, &text)))
                .collect(),
        )
    }

    fn parse(files: &[(&str, &str)]) -> Self {
        let parse = |&(path, text): &(&str, &str)| {
            (
                module_path(Path::new(path)),
                SourceFile::parse(Path::new(path), text),
            )
        };

        Self(files.iter().map(parse).collect())
    }

    /// The file that defines what a path names; `None` if it is no file of the crate.
    fn definition(&self, path: &[String]) -> Option<ModulePath> {
        let mut path = path.to_vec();
        // Each re-export leads on. The bound ends a chain of re-exports that leads back to itself.
        for _ in 0..16 {
            let length = (0..=path.len())
                .rev()
                .find(|&length| self.0.contains_key(&path[..length]))?;
            let target = path
                .get(length)
                .and_then(|name| self.0[&path[..length]].exports.get(name));
            match target {
                Some(target) => path = [target.as_slice(), &path[length + 1..]].concat(),
                None => return Some(path[..length].to_vec()),
            }
        }

        None
    }

    fn dependencies(&self) -> BTreeMap<&ModulePath, BTreeSet<ModulePath>> {
        let of_file = |(module, file): (&'_ ModulePath, &'_ SourceFile)| -> BTreeSet<ModulePath> {
            let parent = &module[..module.len().saturating_sub(1)];
            let targets = file.uses.iter().filter_map(|path| self.definition(path));
            targets
                .filter(|target| target != module && target != parent && !target.is_empty())
                .collect()
        };

        self.0
            .iter()
            .map(|(module, file)| (module, of_file((module, file))))
            .collect()
    }

    /// The groups of files that depend on each other, each sorted.
    fn cycles(&self) -> Vec<Vec<String>> {
        let dependencies = self.dependencies();
        let reachable: BTreeMap<_, _> = dependencies
            .keys()
            .map(|&module| (module, reachable_from(module, &dependencies)))
            .collect();
        let mut cycles = BTreeSet::new();
        for (&module, others) in &reachable {
            if others.contains(module) {
                let cycle: Vec<_> = others
                    .iter()
                    .filter(|other| reachable[other].contains(module))
                    .map(|other| other.join("::"))
                    .collect();

                cycles.insert(cycle);
            }
        }

        cycles.into_iter().collect()
    }
}

fn reachable_from(
    start: &ModulePath,
    dependencies: &BTreeMap<&ModulePath, BTreeSet<ModulePath>>,
) -> BTreeSet<ModulePath> {
    let mut found = BTreeSet::new();
    let mut open = vec![start];
    while let Some(module) = open.pop() {
        for target in dependencies.get(module).into_iter().flatten() {
            if found.insert(target.clone()) {
                open.push(target);
            }
        }
    }

    found
}

impl SourceFile {
    fn parse(path: &Path, text: &str) -> Self {
        let file =
            syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut reader = UseReader {
            module: module_path(path),
            found: Self::default(),
        };
        reader.visit_file(&file);

        reader.found
    }
}

/// Collects the re-exports and uses of one file.
struct UseReader {
    module: ModulePath,
    found: SourceFile,
}

impl UseReader {
    /// A path from the root of the crate; `None` if it leads out of the crate. One without a prefix is a child's, or a name in scope.
    fn absolute(&self, parts: &[String]) -> Option<ModulePath> {
        match parts.first()?.as_str() {
            "crate" => Some(parts[1..].to_vec()),
            "self" => Some([&self.module, &parts[1..]].concat()),
            "super" => {
                let supers = parts.iter().take_while(|part| *part == "super").count();
                let base = self.module.len().checked_sub(supers)?;
                Some([&self.module[..base], &parts[supers..]].concat())
            }
            _ => None,
        }
    }

    fn tree(&mut self, tree: &UseTree, before: &[String], is_export: bool) {
        let with = |part: &syn::Ident| {
            before
                .iter()
                .cloned()
                .chain([part.to_string()])
                .collect::<Vec<_>>()
        };

        match tree {
            UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident), is_export),
            UseTree::Name(name) if name.ident == "self" => {
                self.import(before, before.last().cloned(), is_export);
            }
            UseTree::Name(name) => {
                self.import(&with(&name.ident), Some(name.ident.to_string()), is_export);
            }
            UseTree::Rename(rename) => self.import(
                &with(&rename.ident),
                Some(rename.rename.to_string()),
                is_export,
            ),
            UseTree::Glob(_) => self.import(before, None, is_export),
            UseTree::Group(group) => group
                .items
                .iter()
                .for_each(|tree| self.tree(tree, before, is_export)),
        }
    }

    fn import(&mut self, parts: &[String], name: Option<String>, is_export: bool) {
        // A re-export names a child without `self::`.
        let child = || is_export.then(|| [&self.module, parts].concat());
        let Some(path) = self.absolute(parts).or_else(child) else {
            return;
        };

        match name.filter(|_| is_export) {
            Some(name) => {
                self.found.exports.insert(name, path);
            }
            None => {
                self.found.uses.insert(path);
            }
        }
    }
}

impl<'ast> Visit<'ast> for UseReader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[], !matches!(item.vis, Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();

        if let Some(path) = self.absolute(&parts).filter(|_| parts.len() > 1) {
            self.found.uses.insert(path);
        }

        visit::visit_path(self, path);
    }
}
