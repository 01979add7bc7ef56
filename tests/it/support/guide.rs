//! README.md and the pages of docs/.

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documentation.
pub(crate) struct Page {
    /// Its path in the repository: `README.md`, `docs/dump.md`.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
}

/// A fenced block of a page.
pub(crate) struct Block {
    /// What follows the backticks: `sh`, `toml`.
    pub(crate) info: String,
    /// The number of its first line of text, from 1.
    pub(crate) line: usize,
    /// Its lines.
    pub(crate) text: String,
}

/// README.md, and the pages of docs/ in the order of their names.
pub(crate) fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = fs::read_dir(root.join("docs"))
        .expect("docs/")
        .map(|entry| Path::new("docs").join(entry.expect("an entry").file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    paths.push(PathBuf::from("README.md"));
    paths.sort();

    let read = |path: PathBuf| {
        let text = fs::read_to_string(root.join(&path)).expect("a page");
        Page { path, text }
    };

    paths.into_iter().map(read).collect()
}

impl Page {
    /// Its fenced blocks.
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), &mut open) {
                (Some(info), None) => {
                    open = Some(Block {
                        info: info.trim().to_owned(),
                        line: number + 2,
                        text: String::new(),
                    });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                (None, None) => {}
            }
        }
        assert!(
            open.is_none(),
            "{}: a block is not closed",
            self.path.display()
        );

        blocks
    }

    /// Its lines outside fenced blocks, with their numbers from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_code = false;
        let mut lines = Vec::new();
        for (number, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                lines.push((number + 1, line));
            }
        }

        lines
    }

    /// The names that links to its headings use, as GitHub and mdbook generate them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let headings = self
            .prose()
            .into_iter()
            .filter_map(|(_, line)| line.strip_prefix('#'));

        headings
            .map(|line| {
                let text = line.trim_start_matches('#').trim().to_lowercase();
                text.chars()
                    .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
                    .map(|letter| if letter == ' ' { '-' } else { letter })
                    .collect()
            })
            .collect()
    }
}
