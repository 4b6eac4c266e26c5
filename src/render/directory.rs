//! A directory of manifests: which of its files count, and the objects in them.

use super::File;
use crate::core::question::{RenderError, RenderQuestion, Rendered, RenderedObject};
use crate::manifest::{self, Format, Limits};
use gix::bstr::BStr;
use gix::glob::wildmatch;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects of one Application. Argo CD users run with up to some thousands; a status and an inventory hold no more.
const MAX_OBJECTS: usize = 5_000;
const MAX_PATTERN_BYTES: usize = 512;
const MAX_ALTERNATIVES: usize = 64;

/// What the name of a file says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// No manifest, or excluded.
    No,
    Manifest,
    /// The mark of another renderer, which is not there yet.
    Refused(&'static str),
}

/// Which files of a tree are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    recurse: bool,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Selection {
    /// # Errors
    /// When a glob is too long or too branched to be one.
    pub fn of(question: &RenderQuestion) -> Result<Self, RenderError> {
        let globs = |field: &str, pattern: &str| {
            alternatives(pattern).ok_or_else(|| RenderError {
                file: String::new(),
                line: 0,
                message: format!(
                    "spec.source.directory.{field} is longer than {MAX_PATTERN_BYTES} bytes, has unclosed braces, or stands for more than {MAX_ALTERNATIVES} patterns; shorten it"
                ),
            })
        };
        Ok(Self {
            recurse: question.recurse,
            include: globs("include", &question.include)?,
            exclude: globs("exclude", &question.exclude)?,
        })
    }

    /// Whether directories inside the tree are looked into.
    pub fn recurse(&self) -> bool {
        self.recurse
    }

    /// Judges a file by its path relative to the tree. As with Argo CD, a star crosses slashes.
    pub fn wants(&self, path: &str) -> Wanted {
        let any = |globs: &[String]| {
            globs.iter().any(|g| wildmatch(BStr::new(g), BStr::new(path), gix::glob::wildmatch::Mode::empty()))
        };
        if any(&self.exclude) || !self.include.is_empty() && !any(&self.include) {
            return Wanted::No;
        }
        match path.rsplit('/').next().unwrap_or(path) {
            "kustomization.yaml" | "kustomization.yml" | "Kustomization" => Wanted::Refused(
                "Kustomize is not supported yet; commit what `kustomize build` prints, or exclude this directory",
            ),
            "Chart.yaml" => Wanted::Refused(
                "Helm is not supported yet; commit what `helm template` prints, or exclude this directory",
            ),
            name if Format::of(name).is_some() => Wanted::Manifest,
            _ => Wanted::No,
        }
    }
}

/// `{a,b}` as the patterns it stands for. An empty pattern stands for none.
fn alternatives(pattern: &str) -> Option<Vec<String>> {
    if pattern.is_empty() {
        return Some(Vec::new());
    }
    if pattern.len() > MAX_PATTERN_BYTES {
        return None;
    }
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        let Some(begin) = text.find('{') else {
            done.push(text);
            continue;
        };
        // The innermost pair first, so that what is split has no braces in it.
        let end = begin + text[begin..].find('}')?;
        let begin = text[..end].rfind('{').expect("one was found before");
        for choice in text[begin + 1..end].split(',') {
            open.push(format!("{}{choice}{}", &text[..begin], &text[end + 1..]));
        }
        if open.len() + done.len() > MAX_ALTERNATIVES {
            return None;
        }
    }
    Some(done)
}

/// The objects of the files, in file order.
///
/// # Errors
/// All files that cannot be read, all objects that are there twice, more than 5,000 objects.
pub fn render(files: &[File], limits: &Limits) -> Result<Rendered, Vec<RenderError>> {
    let mut rendered = Rendered { objects: Vec::new(), warnings: Vec::new() };
    let mut errors = Vec::new();
    let mut places: BTreeMap<[String; 4], (&str, u64)> = BTreeMap::new();
    for File { path, bytes } in files {
        let format = Format::of(path).unwrap_or(Format::Yaml);
        match manifest::read(bytes, format, limits) {
            Ok(found) => {
                rendered.warnings.extend(found.warnings.into_iter().map(|(line, w)| format!("{path}:{line}: {w}")));
                for manifest in found.objects {
                    if let Some((file, line)) = places.insert(identity(&manifest.object), (path, manifest.line)) {
                        errors.push(RenderError {
                            file: path.clone(),
                            line: manifest.line,
                            message: format!(
                                "{} {} is also in {file}, line {line}; keep one of them",
                                manifest.object["kind"].as_str().unwrap_or_default(),
                                manifest.object["metadata"]["name"].as_str().unwrap_or_default(),
                            ),
                        });
                    }
                    let object = Arc::new(manifest.object);
                    rendered.objects.push(RenderedObject { file: path.clone(), object });
                }
            }
            Err(found) => errors.extend(found.into_iter().map(|e| RenderError {
                file: path.clone(),
                line: e.line,
                message: e.problem.to_string(),
            })),
        }
    }
    if rendered.objects.len() > MAX_OBJECTS {
        errors.push(RenderError {
            file: String::new(),
            line: 0,
            message: format!(
                "{} objects, at most {MAX_OBJECTS} are possible; split the Application",
                rendered.objects.len()
            ),
        });
    }
    if errors.is_empty() { Ok(rendered) } else { Err(errors) }
}

/// Group, kind, namespace and name: two objects that are equal in these are the same object, whatever their version.
fn identity(object: &Value) -> [String; 4] {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let meta = &object["metadata"];
    [group.to_owned(), text(&object["kind"]), text(&meta["namespace"]), text(&meta["name"])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(recurse: bool, include: &str, exclude: &str) -> RenderQuestion {
        RenderQuestion {
            url: String::new(),
            secret: None,
            tree: String::new(),
            recurse,
            include: include.to_owned(),
            exclude: exclude.to_owned(),
        }
    }

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
    }

    fn object(name: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
    }

    #[test]
    fn manifests_are_taken_by_ending_and_globs_narrow_that() {
        let all = Selection::of(&question(true, "", "")).expect("no globs");
        assert_eq!(all.wants("a.yaml"), Wanted::Manifest);
        assert_eq!(all.wants("sub/a.json"), Wanted::Manifest);
        assert_eq!(all.wants("README.md"), Wanted::No);
        let some = Selection::of(&question(true, "*.{yaml,yml}", "{test/*,b.yaml}")).expect("globs");
        assert_eq!(some.wants("sub/a.yml"), Wanted::Manifest);
        assert_eq!(some.wants("a.json"), Wanted::No);
        assert_eq!(some.wants("test/a.yaml"), Wanted::No);
        assert_eq!(some.wants("b.yaml"), Wanted::No);
    }

    #[test]
    fn other_renderers_are_refused_by_name_unless_excluded() {
        let all = Selection::of(&question(true, "", "")).expect("no globs");
        assert!(matches!(all.wants("base/kustomization.yaml"), Wanted::Refused(why) if why.contains("Kustomize")));
        assert!(matches!(all.wants("Chart.yaml"), Wanted::Refused(why) if why.contains("Helm")));
        let without = Selection::of(&question(true, "", "base/*")).expect("a glob");
        assert_eq!(without.wants("base/kustomization.yaml"), Wanted::No);
    }

    #[test]
    fn a_glob_that_explodes_is_refused() {
        assert_eq!(alternatives("{a,b}{c,d}").map(|v| v.len()), Some(4));
        assert_eq!(alternatives("{a,{b,c}}").map(|v| v.len()), Some(3 + 1));
        assert!(alternatives(&"{a,b}".repeat(10)).is_none() && alternatives("{a").is_none());
        assert!(Selection::of(&question(false, &"a".repeat(600), "")).is_err());
    }

    #[test]
    fn all_bad_files_are_reported_together() {
        let files =
            [file("a.yaml", "a: b: c\n"), file("b.yaml", &object("x")), file("c.json", "{"), file("d.yaml", "a: 1")];
        let errors = render(&files, &Limits::default()).expect_err("three bad files");
        assert_eq!(errors.iter().map(|e| e.file.as_str()).collect::<Vec<_>>(), ["a.yaml", "c.json", "d.yaml"]);
    }

    #[test]
    fn the_same_object_in_two_files_is_refused_with_both_places() {
        let files = [file("a.yaml", &object("x")), file("b.yaml", &format!("---\n{}", object("x")))];
        let errors = render(&files, &Limits::default()).expect_err("twice");
        assert_eq!(errors[0].message, "ConfigMap x is also in a.yaml, line 1; keep one of them");
        assert_eq!((errors[0].file.as_str(), errors[0].line), ("b.yaml", 2));
    }

    #[test]
    fn warnings_carry_file_and_line() {
        let files = [file("a.yaml", &format!("{}data:\n  k: a\n  k: b\n", object("x")))];
        let rendered = render(&files, &Limits::default()).expect("readable");
        assert_eq!(rendered.objects.len(), 1);
        assert!(rendered.warnings[0].starts_with("a.yaml:6: "), "{:?}", rendered.warnings);
    }
}
