//! The pages: README, docs and their like, line by line, with what stands in them as code.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the repository is.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A piece of code in a page.
#[derive(Debug, Clone)]
pub(super) struct Code {
    /// `file:line`, for people.
    pub(super) place: String,
    /// The language of the fence; none for a span between backticks.
    pub(super) fence: Option<String>,
    /// What stands there: the span, or one line of the fence.
    pub(super) text: String,
}

/// A page.
pub(super) struct Page {
    /// Its path in the repository.
    pub(super) path: PathBuf,
    /// Its lines.
    pub(super) lines: Vec<String>,
}

impl Page {
    /// Where a line is, counted from 0.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{}", self.path.display(), line + 1)
    }

    /// Everything that is code, in order.
    pub(super) fn code(&self) -> Vec<Code> {
        let mut found = Vec::new();
        let mut fence: Option<String> = None;
        for (number, line) in self.lines.iter().enumerate() {
            let place = self.place(number);
            if let Some(language) = line.trim_start().strip_prefix("```") {
                fence = fence.is_none().then(|| language.trim().to_owned());
            } else if fence.is_some() {
                found.push(Code { place, fence: fence.clone(), text: line.clone() });
            } else {
                let spans = line.split('`').skip(1).step_by(2);
                found.extend(spans.map(|span| Code {
                    place: place.clone(),
                    fence: None,
                    text: span.to_owned(),
                }));
            }
        }
        found
    }

    /// The lines that are no code, spans taken out.
    pub(super) fn prose(&self) -> Vec<(usize, String)> {
        let mut inside = false;
        let mut found = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                found.push((number, line.clone()));
            }
        }
        found
    }

    /// What its headings are called in links.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut known: Vec<String> = Vec::new();
        for (_, line) in self.prose() {
            let Some(heading) = line.strip_prefix('#') else { continue };
            let slug = slug(heading.trim_start_matches('#'));
            let same = known.iter().filter(|one| **one == slug).count();
            known.push(slug.clone());
            if same > 0 {
                known.push(format!("{slug}-{same}"));
            }
        }
        known
    }
}

/// A heading's name in links, as code hosts make it.
fn slug(heading: &str) -> String {
    heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'))
        .map(|char| if char == ' ' { '-' } else { char })
        .collect()
}

/// One page.
pub(super) fn page(path: &str) -> Page {
    let text = fs::read_to_string(root().join(path)).expect(path);
    Page { path: path.into(), lines: text.lines().map(str::to_owned).collect() }
}

/// All pages that people read.
pub(super) fn pages() -> Vec<Page> {
    let mut paths: Vec<String> =
        ["README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY", "client/README"]
            .map(|name| format!("{name}.md"))
            .to_vec();
    for folder in ["docs", "examples", "packaging"] {
        paths.extend(below(folder).into_iter().filter(|path| path.ends_with(".md")));
    }
    paths.sort();
    paths.iter().map(|path| page(path)).collect()
}

/// All files below a folder, as paths in the repository; none where there is no such folder.
pub(super) fn below(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.file_name().is_some_and(|name| name == "node_modules" || name == "target") {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if let Ok(inside) = path.strip_prefix(root()) {
                found.push(inside.display().to_string());
            }
        }
    }
    found
}

/// The text of all files of some kinds below some folders.
pub(super) fn text_of(folders: &[&str], ends: &[&str]) -> String {
    let files = folders.iter().flat_map(|folder| match root().join(folder).is_file() {
        true => vec![(*folder).to_owned()],
        false => below(folder),
    });
    files
        .filter(|file| ends.iter().any(|end| file.ends_with(end)))
        .filter_map(|file| fs::read_to_string(root().join(file)).ok())
        .collect::<Vec<_>>()
        .join("\n")
}
