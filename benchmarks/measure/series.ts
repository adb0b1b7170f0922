/** What was measured of one candidate in one row. Filled by run.ts. */
import type { Histogram } from 'hdr-histogram-js';
import type { Compared } from '../statistics/comparisons.js';
import type { Measurement } from './candidate-run.js';
import type { Candidate, Sample } from '../results.js';

export class Series implements Compared {
  readonly samples: Sample[] = [];
  readonly speeds: (readonly number[])[] = [];
  readonly seconds: number[] = [];
  histogram: Histogram | undefined;
  /** Why there is nothing more to come, and what there is does not count. */
  failure: string | undefined;
  readonly candidate: Candidate;

  constructor(candidate: Candidate) {
    this.candidate = candidate;
  }

  /** Of the row's round of that number, from 0 on, which measured for so long. */
  add({ sample, histogram }: Measurement, round: number, seconds: number): void {
    this.samples.push({ ...sample, round });
    // Of rounds that it had no part in there are no turns.
    while (this.speeds.length < round) {
      this.speeds.push([]);
      this.seconds.push(0);
    }
    this.speeds.push(sample.turns);
    this.seconds.push(seconds);
    if (this.histogram === undefined) this.histogram = histogram;
    else if (histogram !== undefined) this.histogram.add(histogram);
  }
}
