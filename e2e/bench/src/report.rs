//! Figures beside what the incumbent needs for the same.

use serde::Serialize;
use std::fmt;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) measured: f64,
    /// What is aimed at; at most.
    pub(crate) target: Option<f64>,
    /// Argo Rollouts 1.10.1 on a machine of this size.
    pub(crate) incumbent: Option<f64>,
    /// What the figure is made of.
    pub(crate) detail: String,
}

/// All figures of a run, in the order in which they were taken.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) figures: Vec<Figure>,
}

impl Report {
    /// Adds a figure and shows it.
    pub(crate) fn add(&mut self, figure: Figure) {
        println!("{figure}");
        self.figures.push(figure);
    }

    /// Figures that missed their target.
    pub(crate) fn missed(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(|f| f.target.is_some_and(|t| f.measured > t))
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<58} {:>9.1} {:<9}", self.what, self.measured, self.unit)?;
        if let Some(target) = self.target {
            write!(f, " target {target} {}", if self.measured <= target { "met" } else { "MISSED" })?;
        }
        if let Some(incumbent) = self.incumbent {
            write!(f, "; incumbent {incumbent}, ratio {:.2}", self.measured / incumbent)?;
        }
        if self.detail.is_empty() { Ok(()) } else { write!(f, "; {}", self.detail) }
    }
}

/// The middle of several values; of two middle ones the greater.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_by_more_only() {
        let figure = |measured| Figure {
            what: "x".into(),
            unit: "s",
            measured,
            target: Some(2.0),
            incumbent: Some(4.0),
            detail: String::new(),
        };
        let report = Report { figures: vec![figure(2.0), figure(2.5)] };
        assert_eq!(report.missed().count(), 1);
        assert!(report.figures[1].to_string().contains("MISSED; incumbent 4, ratio 0.62"));
    }

    #[test]
    fn the_median_is_a_value_that_was_measured() {
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
