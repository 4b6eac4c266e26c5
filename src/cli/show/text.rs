//! Lines for a person: pieces of text with a tone, put into columns, painted last.
//!
//! A tone is never the only carrier of a meaning: what is good or bad is said by a word, and colour repeats it.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Waits for a person or a time.
    Waits,
    Bad,
    /// Not what one looks for first.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    /// The tone of a phase or state, by its word.
    pub(crate) fn of(word: &str) -> Self {
        match word {
            "Healthy" | "Successful" | "Running" | "Accepted" | "Ready" => Self::Good,
            "Progressing" | "Pending" | "Starting" | "Unknown" => Self::Busy,
            "Paused" | "Inconclusive" => Self::Waits,
            "Degraded" | "Failed" | "Error" | "Refused" => Self::Bad,
            "ScaledDown" | "Terminating" | "Succeeded" => Self::Faint,
            // What a container waits for, such as CrashLoopBackOff.
            other if other.ends_with("BackOff") || other.starts_with("Err") || other.ends_with("Error") => Self::Bad,
            _ => Self::Plain,
        }
    }

    fn style(self) -> Style {
        let colour = |c: AnsiColor| Style::new().fg_color(Some(c.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Good => colour(AnsiColor::Green),
            Self::Busy => colour(AnsiColor::Cyan),
            Self::Waits => colour(AnsiColor::Yellow),
            Self::Bad => colour(AnsiColor::Red),
            Self::Faint => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// Text with a tone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    text: String,
    tone: Tone,
}

impl Piece {
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// A piece without a tone.
pub(crate) fn plain(text: impl Into<String>) -> Piece {
    toned(text, Tone::Plain)
}

/// A piece that is toned by its own word.
pub(crate) fn word(text: impl Into<String>) -> Piece {
    let text = text.into();
    let tone = Tone::of(&text);
    toned(text, tone)
}

/// A piece with a tone. Text of the cluster may hold anything: what would steer a terminal or break a line is taken out.
pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Piece {
    let text: String = text.into();
    let text = if text.contains(char::is_control) {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    } else {
        text
    };
    Piece { text, tone }
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Line(pub(crate) Vec<Piece>);

impl Line {
    /// A line of plain text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self(vec![plain(text)])
    }

    /// `Label      value`, with values below each other.
    pub(crate) fn field(label: &str, value: impl IntoIterator<Item = Piece>) -> Self {
        let mut pieces = vec![toned(format!("{label:<12}"), Tone::Strong)];
        pieces.extend(value);
        Self(pieces)
    }
}

/// Rows in columns with two blanks between, no blanks at the ends of lines.
pub(crate) fn columns(rows: Vec<Vec<Piece>>) -> Vec<Line> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(Piece::width).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count).map(width).collect();
    let pad = |row: Vec<Piece>| {
        let last = row.iter().rposition(|piece| !piece.text.is_empty()).unwrap_or(0);
        let mut line = Vec::new();
        for (at, piece) in row.into_iter().enumerate().take(last + 1) {
            let missing = if at < last { widths[at] - piece.width() + 2 } else { 0 };
            line.push(piece);
            if missing > 0 {
                line.push(plain(" ".repeat(missing)));
            }
        }
        Line(line)
    };
    rows.into_iter().map(pad).collect()
}

/// A row of headings.
pub(crate) fn heading(names: &[&str]) -> Vec<Piece> {
    names.iter().map(|name| toned(*name, Tone::Strong)).collect()
}

/// The text of the lines, each ended; with the codes of a terminal when `colour`.
pub(crate) fn paint(lines: &[Line], colour: bool) -> String {
    let mut out = String::new();
    for line in lines {
        for piece in &line.0 {
            let style = piece.tone.style();
            if colour && piece.tone != Tone::Plain {
                out.extend([style.render().to_string(), piece.text.clone(), style.render_reset().to_string()]);
            } else {
                out.push_str(&piece.text);
            }
        }
        out.push('\n');
    }
    out
}

/// How long ago, as kubectl shows ages: `45s`, `3m12s`, `2h5m`, `3d`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: i64, unit: char, small: i64, small_unit: char| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{small_unit}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, 'm', seconds % 60, 's'),
        () if hours < 2 => format!("{minutes}m"),
        () if hours < 10 => two(hours, 'h', minutes % 60, 'm'),
        () if days < 2 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

/// `ago`, or nothing when there is no time.
pub(crate) fn age(then: Option<Timestamp>, now: Timestamp) -> String {
    then.map(|then| ago(then, now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short_and_lose_precision_as_they_grow() {
        let at = |seconds: i64| Timestamp::from_second(seconds).expect("a time");
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (192, "3m12s"),
            (240, "4m"),
            (3_700, "61m"),
            (7_500, "2h5m"),
            (90_000, "25h"),
            (300_000, "3d"),
        ] {
            assert_eq!(ago(at(0), at(seconds)), text);
        }
        assert_eq!(ago(at(5), at(0)), "0s", "clocks of two machines differ");
    }

    #[test]
    fn columns_are_aligned_and_colour_changes_no_column() {
        let rows = vec![heading(&["NAME", "STATE"]), vec![plain("a-long-name"), word("Healthy")]];
        let lines = columns(rows);
        assert_eq!(paint(&lines, false), "NAME         STATE\na-long-name  Healthy\n");
        assert_eq!(
            paint(&lines, true),
            "\u{1b}[1mNAME\u{1b}[0m         \u{1b}[1mSTATE\u{1b}[0m\na-long-name  \u{1b}[32mHealthy\u{1b}[0m\n"
        );
    }

    #[test]
    fn text_of_the_cluster_cannot_steer_the_terminal() {
        assert_eq!(paint(&[Line::text("a\u{1b}[2Jb\nc")], true), "a [2Jb c\n");
    }
}
