//! The shortest list of writes that still shows a difference.

/// A list that is being shortened: first by half of it, then by smaller parts, at last by single writes.
///
/// [`Self::shorter`] is tried, [`Self::tell`] says what came of it; what remains is always a list that was tried.
#[derive(Debug)]
pub(super) struct Shortening<T> {
    list: Vec<T>,
    part: usize,
    at: usize,
    /// A list of this size of part was good.
    went_on: bool,
}

impl<T: Clone> Shortening<T> {
    /// Begins with a list that shows the difference.
    pub(super) fn of(list: Vec<T>) -> Self {
        let part = list.len().div_ceil(2);
        Self { list, part, at: 0, went_on: false }
    }

    /// The next list to try; `None` when nothing more can be left out.
    pub(super) fn shorter(&mut self) -> Option<Vec<T>> {
        if self.at >= self.list.len() {
            // Single writes are tried again when one went: another may have stayed for its sake only.
            self.part = if self.part == 1 && self.went_on { 1 } else { self.part / 2 };
            (self.at, self.went_on) = (0, false);
        }
        if self.part == 0 || self.list.len() == 1 {
            return None;
        }
        let (before, after) = (&self.list[..self.at], &self.list[(self.at + self.part).min(self.list.len())..]);
        Some([before, after].concat())
    }

    /// What came of the list that [`Self::shorter`] gave: how many of its writes show the difference; `None` when it does not.
    pub(super) fn tell(&mut self, tried: Vec<T>, needed: Option<usize>) {
        match needed {
            Some(needed) => {
                self.list = tried;
                self.list.truncate(needed);
                self.went_on = true;
            }
            None => self.at += self.part,
        }
    }

    pub(super) fn into_list(self) -> Vec<T> {
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_what_the_difference_needs() {
        let mut shortening = Shortening::of((0..40).collect());
        let needed = |list: &[u32]| {
            let at = |n| list.iter().position(|x| *x == n);
            Some(at(3)?.max(at(17)?) + 1)
        };
        while let Some(list) = shortening.shorter() {
            let needed = needed(&list);
            shortening.tell(list, needed);
        }
        assert_eq!(shortening.into_list(), [3, 17]);
    }
}
