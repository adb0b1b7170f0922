/** What a reader has to know to read averages and gains: said at the terminal and in reports. */

export const gainNote =
  'A gain compares runs of the same round; their ratios are averaged by logarithm. The range is the 99 % confidence interval of that average, and the verdict says where it lies: of a hundred verdicts one to three are wrong by chance all the same.';

export const mishapNote =
  'Now and then a run reaches less than 85 % of the median of its trial, and lies more than five median absolute deviations below it. Averages and gains leave such a mishap out, unless more than a third of the runs are so slow; the worst, the best and latencies do not.';
