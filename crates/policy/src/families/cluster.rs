//! Agglomerative clustering under a bound on the size of a cluster.

use hotset_base::Families;

use super::Affinity;

/// Groups experts of high affinity, at most `size` of them (at least 1) in a family.
///
/// Agglomerative clustering with average linkage (Sokal and Michener 1958) under a bound on the size: the two
/// families with the largest mean affinity between their members become one, as long as any two fit together.
/// Equal affinities go by expert number.
pub fn cluster(affinity: &Affinity, size: usize) -> Families {
    Families::group(&average_linkage(affinity, size.max(1)))
}

/// Clusters that may still grow; a cluster has the number of its first expert.
struct Clusters {
    experts: usize,
    /// `[experts, experts]`: sum of affinities between the members of two clusters.
    sums: Vec<f32>,
    /// `[experts]`: members; 0 where a cluster went into another.
    sizes: Vec<usize>,
    /// `[experts]`: the best partner that fits, with the mean affinity.
    best: Vec<Option<(f32, usize)>>,
    bound: usize,
}

/// `[experts]`: a label for each, equal inside a cluster.
///
/// The mean affinity of a merged pair to a third is never more than the larger of the two, so a merge can only take
/// a partner away: only those that had one of the pair for a partner look for a new one. Time: about `experts^2`,
/// `experts^3` at worst.
fn average_linkage(affinity: &Affinity, bound: usize) -> Vec<u16> {
    let experts = affinity.experts();
    let mut labels: Vec<u16> = (0..experts as u16).collect();
    let sums = (0..experts * experts).map(|i| affinity.between(i / experts, i % experts)).collect();
    let mut clusters = Clusters { experts, sums, sizes: vec![1; experts], best: vec![None; experts], bound };
    (0..experts).for_each(|cluster| clusters.look(cluster));
    while let Some((kept, gone)) = clusters.closest() {
        clusters.merge(kept, gone);
        labels.iter_mut().filter(|label| usize::from(**label) == gone).for_each(|label| *label = kept as u16);
    }
    labels
}

impl Clusters {
    /// Finds the best partner of a cluster, the first of equal ones.
    fn look(&mut self, cluster: usize) {
        let mut best: Option<(f32, usize)> = None;
        for other in (0..self.experts).filter(|&other| other != cluster && self.fit(cluster, other)) {
            let mean =
                self.sums[cluster * self.experts + other] / (self.sizes[cluster] * self.sizes[other]) as f32;
            if best.is_none_or(|(value, _)| mean > value) {
                best = Some((mean, other));
            }
        }
        self.best[cluster] = best;
    }

    fn fit(&self, a: usize, b: usize) -> bool {
        let (a, b) = (self.sizes[a], self.sizes[b]);
        a > 0 && b > 0 && a + b <= self.bound
    }

    /// The closest pair that fits, the smaller number first.
    fn closest(&self) -> Option<(usize, usize)> {
        let mut closest: Option<(f32, usize, usize)> = None;
        for (cluster, best) in self.best.iter().enumerate() {
            let Some((mean, other)) = *best else { continue };
            if closest.is_none_or(|(value, ..)| mean > value) {
                closest = Some((mean, cluster.min(other), cluster.max(other)));
            }
        }
        closest.map(|(_, kept, gone)| (kept, gone))
    }

    fn merge(&mut self, kept: usize, gone: usize) {
        let n = self.experts;
        for other in 0..n {
            let sum = self.sums[kept * n + other] + self.sums[gone * n + other];
            self.sums[kept * n + other] = sum;
            self.sums[other * n + kept] = sum;
        }
        self.sizes[kept] += self.sizes[gone];
        self.sizes[gone] = 0;
        self.best[gone] = None;
        for cluster in 0..n {
            let lost = self.best[cluster].is_some_and(|(_, other)| other == kept || other == gone);
            if cluster == kept || lost {
                self.look(cluster);
            }
        }
    }
}
