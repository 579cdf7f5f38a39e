//! The structure of src: imports point down, no two files import each other, and clap and `unsafe`
//! stay in their places. CONTRIBUTING.md describes it under "Structure".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, from the bottom; a file imports from its own layer and from those below.
const LAYERS: [&[&str]; 7] = [
    &["error", "poll", "shutdown", "units", "test_rng"],
    &["resolver", "http", "process"],
    &["net"],
    &["transfer", "report", "test_run"],
    &["service"],
    &["client", "server", "relay", "check", "datagram", "fetch", "lookup", "tour"],
    &["command", "flags", "usage", "logging", "main", "lib"],
];

/// Where the command line is described.
const CLAP: [&str; 3] = ["command", "flags", "usage"];

/// Where `unsafe` is allowed: system calls that no crate wraps.
const UNSAFE: [&str; 3] = ["datagram/linux/", "process/", "net/tcp_info.rs"];

/// One file of src, without its tests and comments.
struct File {
    /// Path below src.
    path: String,
    /// Module path: `net::tls::client`.
    module: Vec<String>,
    /// Line number and code, from 1.
    lines: Vec<(usize, String)>,
}

/// A path that a file names, resolved from the root of the crate.
struct Import {
    line: usize,
    text: String,
    path: Vec<String>,
    /// `pub use`: a name passed on, not a dependency of the code.
    reexport: bool,
}

fn sources() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![src.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if !path.ends_with("tests.rs") => files.push(read(&src, &path)),
                false => {}
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn read(src: &Path, path: &PathBuf) -> File {
    let below = path.strip_prefix(src).unwrap().to_str().unwrap().to_string();
    let mut module: Vec<_> = below.trim_end_matches(".rs").split('/').map(String::from).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code
        .lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default().to_string()));
    File { path: below, module, lines: lines.collect() }
}

impl File {
    /// The folder, or the file where src itself is the folder.
    fn top(&self) -> &str {
        &self.module[0]
    }

    /// Everything the file names by `use`, and by `crate::` or `super::` in its code.
    fn imports(&self) -> Vec<Import> {
        let mut found = Vec::new();
        let mut lines = self.lines.iter();
        while let Some((at, line)) = lines.next() {
            let mut statement = line.trim().to_string();
            let Some(start) = use_keyword(&statement) else {
                found.extend(self.inline_paths(*at, line));
                continue;
            };
            while !statement.contains(';') {
                let Some((_, more)) = lines.next() else { break };
                statement.push_str(more.trim());
            }
            let reexport = statement.starts_with("pub");
            let tree = statement[start..].trim_end_matches(';').to_string();
            for path in expand(&tree) {
                if let Some(path) = self.resolve(&path) {
                    found.push(Import { line: *at, text: statement.clone(), path, reexport });
                }
            }
        }
        found
    }

    fn inline_paths(&self, at: usize, line: &str) -> Vec<Import> {
        let mut found = Vec::new();
        for root in ["crate::", "super::"] {
            for (start, _) in line.match_indices(root) {
                let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let preceded = line[..start].chars().last().is_some_and(is_name);
                let path: String = line[start..].chars().take_while(|c| is_name(*c)).collect();
                if let Some(path) = self.resolve(&path).filter(|_| !preceded) {
                    found.push(Import {
                        line: at,
                        text: line.trim().into(),
                        path,
                        reexport: false,
                    });
                }
            }
        }
        found
    }

    /// From the root of the crate; nothing for another crate's path.
    fn resolve(&self, path: &str) -> Option<Vec<String>> {
        let mut names: Vec<_> = path.split("::").filter(|name| !name.is_empty()).collect();
        let mut base = self.module.clone();
        match names.first() {
            Some(&"crate") => base.clear(),
            Some(&"super") => {
                base.pop();
            }
            _ => return None,
        }
        names.remove(0);
        while names.first() == Some(&"super") {
            base.pop();
            names.remove(0);
        }
        base.extend(names.into_iter().map(String::from));
        Some(base)
    }
}

/// Where the path of a `use` begins, whatever its visibility.
fn use_keyword(statement: &str) -> Option<usize> {
    ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
        .into_iter()
        .find_map(|word| statement.starts_with(word).then_some(word.len()))
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some(open) = tree.find('{') else {
        return vec![tree.split(" as ").next().unwrap_or_default().trim().to_string()];
    };
    let (head, inner) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let mut depth = 0;
    let parts = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(part.trim())).map(|rest| format!("{head}{rest}")).collect()
}

fn layer(top: &str) -> usize {
    LAYERS
        .iter()
        .position(|tops| tops.contains(&top))
        .unwrap_or_else(|| panic!("src/{top} has no layer"))
}

/// The file that defines a path: its longest prefix that is a module.
fn file_of<'a>(files: &'a BTreeMap<String, &File>, path: &[String]) -> Option<&'a File> {
    (1..=path.len()).rev().find_map(|n| files.get(&path[..n].join("::")).copied())
}

fn by_module(files: &[File]) -> BTreeMap<String, &File> {
    files.iter().map(|file| (file.module.join("::"), file)).collect()
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "{} broken rules:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn imports_point_down_the_layers() {
    let files = sources();
    let modules = by_module(&files);
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.module.len() > 1 || layer(file.top()) < 6) {
        for import in file.imports() {
            let known =
                modules.contains_key(&import.path[0]) || file_of(&modules, &import.path).is_some();
            if known && layer(&import.path[0]) > layer(file.top()) {
                broken.push(format!("src/{}:{}: {}", file.path, import.line, import.text));
            }
        }
    }
    report(&broken);
}

#[test]
fn folders_of_one_layer_import_in_one_direction() {
    let files = sources();
    let mut edges: BTreeMap<(String, String), String> = BTreeMap::new();
    for file in &files {
        for import in file.imports() {
            let (from, to) = (file.top().to_string(), import.path[0].clone());
            if from != to {
                let place = format!("src/{}:{}: {}", file.path, import.line, import.text);
                edges.entry((from, to)).or_insert(place);
            }
        }
    }
    let both =
        edges.iter().filter(|((from, to), _)| edges.contains_key(&(to.clone(), from.clone())));
    report(&both.map(|(_, place)| place.clone()).collect::<Vec<_>>());
}

#[test]
fn no_two_files_import_each_other() {
    let files = sources();
    let modules = by_module(&files);
    let mut edges: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for file in &files {
        for import in file.imports().into_iter().filter(|import| !import.reexport) {
            let Some(target) = file_of(&modules, &import.path) else { continue };
            if target.path != file.path {
                let place = format!("src/{}:{}: {}", file.path, import.line, import.text);
                edges.entry((&file.path, &target.path)).or_insert(place);
            }
        }
    }
    let both = edges.iter().filter(|((from, to), _)| edges.contains_key(&(*to, *from)));
    report(&both.map(|(_, place)| place.clone()).collect::<Vec<_>>());
}

#[test]
fn clap_stays_in_command_flags_and_usage() {
    let mut broken = Vec::new();
    for file in sources().iter().filter(|file| !CLAP.contains(&file.top())) {
        let uses = file
            .lines
            .iter()
            .filter(|(_, line)| line.contains("clap::") || line.contains("use clap"));
        broken.extend(uses.map(|(at, line)| format!("src/{}:{at}: {}", file.path, line.trim())));
    }
    report(&broken);
}

#[test]
fn unsafe_stays_in_its_places() {
    let mut broken = Vec::new();
    for file in sources() {
        let words = |line: &str| {
            line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
        };
        let allowed = UNSAFE.iter().any(|place| file.path.starts_with(place));
        let uses = file.lines.iter().filter(|(_, line)| !allowed && words(line));
        broken.extend(uses.map(|(at, line)| format!("src/{}:{at}: {}", file.path, line.trim())));
    }
    report(&broken);
}

#[test]
fn every_folder_of_src_has_a_layer() {
    let tops: BTreeSet<_> = sources().iter().map(|file| file.top().to_string()).collect();
    tops.iter().for_each(|top| assert!(layer(top) < LAYERS.len()));
}
