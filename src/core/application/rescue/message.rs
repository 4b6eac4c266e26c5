//! The text of the commit that puts a path back, and the trailers by which we know our own commits again.
//!
//! The text is made of what others wrote (subjects, reasons, names), so all of it is flattened to one line, cut, and kept
//! from doing anything on a forge: no mention, no link to an issue, no command to a CI system, no line that reads as a
//! trailer (R22). The trailers are what a second attempt, another controller and the loop guard look for (R2, R14).

use crate::core::question::PastCommit;
use std::fmt::Write as _;

const REVERTS: &str = "Gitops-Reverts";
const RESTORES: &str = "Gitops-Restores";
const APPLICATION: &str = "Gitops-Application";
const FAILURE: &str = "Gitops-Failure";
const CONTROLLER: &str = "Gitops-Controller";

/// Longer lists are cut: the range in the trailer has them all.
const MAX_LISTED_COMMITS: usize = 20;
const MAX_EVIDENCE_LINES: usize = 10;
const MAX_LINE_CHARS: usize = 200;
/// What git and the forges show of a subject without cutting it.
const MAX_SUBJECT_CHARS: usize = 72;

/// What the commit says.
#[derive(Debug, Clone, Copy)]
pub struct RevertMessage<'a> {
    pub namespace: &'a str,
    pub application: &'a str,
    /// The path that is put back; empty for the whole repository.
    pub path: &'a str,
    /// The commit whose tree the path gets: 40 hex digits.
    pub good: &'a str,
    /// The tip that is reverted: 40 hex digits.
    pub tip: &'a str,
    /// What this commit takes back under the path, newest first.
    pub undone: &'a [PastCommit],
    /// One line: `AnalysisFailed: success-rate was 0.71, at least 0.95 is wanted`.
    pub failure: &'a str,
    /// What was seen, a line each: conditions, values of the analysis. Never logs, never secrets (R21).
    pub evidence: &'a [String],
    /// Which controller did it, as configured.
    pub controller: &'a str,
}

impl RevertMessage<'_> {
    /// The whole message, ending with its trailers.
    pub fn text(&self) -> String {
        let failure = one_line(self.failure, MAX_LINE_CHARS);
        let application = format!("{}/{}", one_line(self.namespace, 63), one_line(self.application, 253));
        let subject = format!("Revert {application} to {}: {failure}", short(self.good));
        let mut text = cut(&subject, MAX_SUBJECT_CHARS);
        let place = match one_line(self.path, MAX_LINE_CHARS) {
            path if path.is_empty() || path == "." => "the whole repository".to_owned(),
            path => format!("the path {path}"),
        };
        let _ = write!(
            text,
            "\n\nRevision {} failed: {failure}\nThis commit puts {place} back to its content at {}. Nothing else is changed.\n",
            short(self.tip),
            short(self.good),
        );
        if !self.evidence.is_empty() {
            text.push_str("\nSeen:\n");
            for line in self.evidence.iter().take(MAX_EVIDENCE_LINES) {
                let _ = writeln!(text, "- {}", one_line(line, MAX_LINE_CHARS));
            }
        }
        if !self.undone.is_empty() {
            text.push_str("\nTaken back:\n");
            for commit in self.undone.iter().take(MAX_LISTED_COMMITS) {
                let subject = commit.message.lines().next().unwrap_or_default();
                let _ = writeln!(text, "- {} {}", short(&commit.commit), one_line(subject, 100));
            }
            if let Some(more) = self.undone.len().checked_sub(MAX_LISTED_COMMITS).filter(|n| *n > 0) {
                let _ = writeln!(text, "- and {more} more");
            }
        }
        let _ = write!(
            text,
            "\n{REVERTS}: {}..{}\n{RESTORES}: {}\n{APPLICATION}: {application}\n{FAILURE}: {failure}\n{CONTROLLER}: {}\n",
            one_line(self.good, 40),
            one_line(self.tip, 40),
            one_line(self.good, 40),
            one_line(self.controller, 100),
        );
        text
    }
}

/// The trailers of a commit that some controller made to put an Application back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevertTrailers {
    /// `<good>..<tip>`
    pub reverts: String,
    /// The commit whose content came back.
    pub restores: String,
    /// `namespace/name`
    pub application: String,
    pub controller: String,
}

impl RevertTrailers {
    /// Reads them from a commit's message; `None` when it is not such a commit. Only the last paragraph counts.
    pub fn read(message: &str) -> Option<Self> {
        let last = message.trim_end().rsplit("\n\n").next()?;
        let value = |key: &str| {
            last.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':').map(|v| v.trim().to_owned()))
        };
        Some(Self {
            reverts: value(REVERTS)?,
            restores: value(RESTORES)?,
            application: value(APPLICATION)?,
            controller: value(CONTROLLER).unwrap_or_default(),
        })
    }
}

fn short(commit: &str) -> String {
    commit.chars().filter(char::is_ascii_hexdigit).take(7).collect()
}

fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max - 3).collect();
    format!("{}...", kept.trim_end())
}

/// Foreign text as one harmless line of at most `max` characters.
fn one_line(text: &str, max: usize) -> String {
    // Bounded before anything else looks at it.
    let mut flat = String::new();
    let mut gap = false;
    for c in text.chars().take(max * 4) {
        // Bidirectional and other format characters make text look like something that it is not.
        if c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
        {
            gap = true;
            continue;
        }
        if gap && !flat.is_empty() {
            flat.push(' ');
        }
        gap = false;
        flat.push(match c {
            '[' => '(', // `[skip ci]` and its like are commands
            ']' => ')',
            c => c,
        });
    }
    let chars: Vec<char> = flat.chars().collect();
    let mut safe = String::with_capacity(flat.len());
    for (i, &c) in chars.iter().enumerate() {
        safe.push(c);
        let next = chars.get(i + 1).copied().unwrap_or(' ');
        let before = i.checked_sub(1).map_or(' ', |b| chars[b]);
        let mention = c == '@' && next.is_alphanumeric() && !before.is_alphanumeric();
        // Issues, merge requests, epics, milestones, snippets; `GH-7`.
        let link = matches!(c, '#' | '!' | '&' | '%' | '$') && next.is_ascii_digit()
            || c == '-' && next.is_ascii_digit() && safe.to_ascii_lowercase().ends_with("gh-");
        if mention || link {
            safe.push(' ');
        }
    }
    cut(&safe, max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "1111111111111111111111111111111111111111";
    const TIP: &str = "2222222222222222222222222222222222222222";

    fn past(commit: &str, message: &str) -> PastCommit {
        PastCommit { commit: commit.to_owned(), tree: None, message: message.to_owned() }
    }

    fn message<'a>(undone: &'a [PastCommit], failure: &'a str, evidence: &'a [String]) -> RevertMessage<'a> {
        RevertMessage {
            namespace: "shop",
            application: "web",
            path: "apps/web",
            good: GOOD,
            tip: TIP,
            undone,
            failure,
            evidence,
            controller: "tidegate",
        }
    }

    #[test]
    fn says_what_failed_what_comes_back_and_what_is_taken_back() {
        let undone = [past(TIP, "Version 3\n\nbody"), past("3333333333", "Raise replicas")];
        let evidence = ["success-rate: 0.71".to_owned()];
        let text = message(&undone, "AnalysisFailed", &evidence).text();
        assert_eq!(
            text,
            "Revert shop/web to 1111111: AnalysisFailed\n\n\
             Revision 2222222 failed: AnalysisFailed\n\
             This commit puts the path apps/web back to its content at 1111111. Nothing else is changed.\n\n\
             Seen:\n- success-rate: 0.71\n\n\
             Taken back:\n- 2222222 Version 3\n- 3333333 Raise replicas\n\n\
             Gitops-Reverts: 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222\n\
             Gitops-Restores: 1111111111111111111111111111111111111111\n\
             Gitops-Application: shop/web\n\
             Gitops-Failure: AnalysisFailed\n\
             Gitops-Controller: tidegate\n"
        );
    }

    #[test]
    fn its_trailers_are_read_again_and_those_of_others_are_not() {
        let read = RevertTrailers::read(&message(&[], "x", &[]).text()).expect("our own message");
        assert_eq!((read.restores.as_str(), read.application.as_str()), (GOOD, "shop/web"));
        assert_eq!(read.reverts, format!("{GOOD}..{TIP}"));
        assert_eq!(RevertTrailers::read("Version 2\n\nGitops-Restores: x\n\nSigned-off-by: me"), None);
    }

    #[test]
    fn foreign_text_mentions_links_and_commands_nothing() {
        assert_eq!(one_line("fixes #12 by @bob, GH-7 !3 [skip ci]", 200), "fixes # 12 by @ bob, GH- 7 ! 3 (skip ci)");
        assert_eq!(one_line("registry/web@sha256:ab", 200), "registry/web@sha256:ab");
        assert_eq!(one_line("a\u{202e}b\r\n\tc\u{1b}[31m", 200), "a b c (31m");
    }

    #[test]
    fn a_long_list_of_commits_is_cut_and_says_so() {
        let undone: Vec<_> = (0..25).map(|i| past(TIP, &format!("change {i}"))).collect();
        let text = message(&undone, "x", &[]).text();
        assert!(text.contains("- and 5 more\n") && !text.contains("change 20"), "{text}");
    }

    proptest! {
        /// R22: whatever others wrote, the last paragraph is our five trailers and nothing else.
        #[test]
        fn no_input_adds_or_changes_a_trailer(subject in "\\PC*|(.|\n)*", failure in "(.|\n)*", seen in "(.|\n)*") {
            let undone = [past(TIP, &subject)];
            let evidence = [seen];
            let text = message(&undone, &failure, &evidence).text();
            let last = text.trim_end().rsplit("\n\n").next().unwrap_or_default();
            prop_assert_eq!(last.lines().count(), 5);
            let read = RevertTrailers::read(&text).expect("our own message");
            prop_assert_eq!(read.application, "shop/web");
            prop_assert_eq!(read.restores, GOOD);
            prop_assert!(text.lines().next().unwrap_or_default().chars().count() <= MAX_SUBJECT_CHARS);
        }
    }
}
