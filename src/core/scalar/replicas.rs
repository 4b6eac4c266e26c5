//! Numbers of pods: how many carry which share, and how much share so many pods may carry.

use super::Weight;

/// The highest weight that `available` canary pods may carry where `needed` are wanted:
/// `floor(100 * available / needed)`, at most 100.
///
/// Guards raising only. argo-rollouts#3941: a rollback sent 70 % to the only pod that was up. Nothing needed is nothing
/// allowed: `needed == 0` gives 0.
pub fn raise_cap(available: u32, needed: u32) -> Weight {
    if needed == 0 {
        return Weight::ZERO;
    }
    let percent = (u64::from(available) * 100 / u64::from(needed)).min(100);
    Weight::new(i64::try_from(percent).expect("at most 100")).expect("at most 100")
}

/// Numbers of canary and stable pods that stand for a weight where no router splits the requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    pub canary: u32,
    pub stable: u32,
}

/// The split of `all` pods that is nearest to `weight` (C2). `surge`: one pod more may be used.
///
/// Candidates are rounding up and down with `all` pods, then both with one pod more (still counted on `all`); the first of
/// the nearest wins. A role gets no pod at all only where its share is 0, or where one pod cannot be shared.
pub fn basic_split(all: u32, weight: Weight, surge: bool) -> Split {
    if all == 0 {
        return Split { canary: 0, stable: 0 };
    }
    let n = i64::from(all);
    let w = i64::from(weight.percent());
    let zero_allowed = w == 0 || w == 100 || (all == 1 && !surge);
    let product = n * w;
    let (floor, ceil) = (product / 100, (product + 99) / 100);
    let exact_tie = product % 100 == 50;
    let mut best: Option<(i64, i64, i64)> = None;
    for total in if surge { vec![n, n + 1] } else { vec![n] } {
        let mut candidates = Vec::new();
        if ceil < total || zero_allowed {
            candidates.push(ceil);
        }
        if !exact_tie && (floor != 0 || zero_allowed) {
            candidates.push(floor);
        }
        for canary in candidates {
            // |canary/total - w/100| as a fraction over 100 * total; compared crosswise, so exact.
            let off = (canary * 100 - w * total).abs();
            if best.is_none_or(|(_, other_total, other_off)| off * other_total < other_off * total) {
                best = Some((canary, total, off));
            }
        }
    }
    // With two pods and more there is always a candidate; with one pod and a surge the pair is one each.
    let (canary, total, _) = best.unwrap_or((1, n + i64::from(surge), 0));
    let pods = |count: i64| u32::try_from(count.max(0)).expect("not more than all pods and one");
    Split { canary: pods(canary), stable: pods(total - canary) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_follows_available_pods() {
        let cases = [(0, 4, 0), (1, 4, 25), (3, 4, 75), (4, 4, 100), (9, 4, 100), (1, 3, 33), (5, 0, 0)];
        for (available, needed, percent) in cases {
            assert_eq!(raise_cap(available, needed).percent(), percent, "{available} of {needed}");
        }
    }

    /// C3, all of them.
    #[test]
    fn the_reference_vectors_of_the_basic_split_hold() {
        let vectors = "1,49,0>0/1 1,50,0>1/0 1,1,1>1/1 1,99,1>1/1 1,100,1>1/0 2,1,0>1/1 2,99,0>1/1 2,1,1>1/2 2,50,1>1/1 \
             2,99,1>2/1 3,10,0>1/2 3,49,0>1/2 3,50,0>2/1 3,25,1>1/3 3,33,1>1/2 3,49,1>2/2 10,1,0>1/9 10,14,0>1/9 \
             10,15,0>2/8 10,99,0>9/1 10,1,1>1/10 10,18,1>2/9 10,20,1>2/8 10,23,1>2/8 10,24,1>3/8 10,99,1>10/1 10,100,1>10/0";
        let mut wrong = Vec::new();
        for vector in vectors.split_whitespace() {
            let numbers: Vec<i64> = vector.split([',', '>', '/']).map(|n| n.parse().expect("a number")).collect();
            let [all, weight, surge, canary, stable] = numbers[..] else { unreachable!("five numbers") };
            let split =
                basic_split(u32::try_from(all).expect("small"), Weight::new(weight).expect("a percentage"), surge > 0);
            if (i64::from(split.canary), i64::from(split.stable)) != (canary, stable) {
                wrong.push(format!("{vector} gave {}/{}", split.canary, split.stable));
            }
        }
        assert_eq!(wrong, Vec::<String>::new());
    }
}
