/** Notes on averages and gains, for the terminal and the reports. */

export const gainNote =
  'A gain compares turns of a fraction of a second that were taken together: the middle half of their ratios, averaged by logarithm, where there are twelve. What happens in few turns, such as a stall, shows in latencies and rates, not in gains. The range is the 99 % confidence interval of that average. Faster and slower mean that all of it is more than 3 % away from none: a difference is not shown where it is smaller than that, or too uncertain.';

export const outlierNote =
  'Now and then a run reaches less than 85 % of the median of its trial, and lies more than five median absolute deviations below it. Averages leave out such runs, and gains of fewer than twelve turns such turns, unless more than a third are so slow; the worst, the best and latencies are of all runs.';

/** Before everything else, where it is so. */
export const interruptedNote =
  'This run was interrupted: the results are of fewer runs than requested.';
