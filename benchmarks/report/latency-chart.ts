/** The picture of how long requests of one row took. */
import { candidateLabel, linkLabels, settingLabel } from './labels.js';
import type { Picture, Series } from './pictures.js';
import type { Row } from './summary.js';

const labelled = [50, 90, 99, 99.9, 99.99, 99.999];

function label(percentile: number): string {
  return `${percentile} %`;
}

/** A nine more is as far from the last one as that from the one before. */
function positionOf(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

/** Without a series where no latency is known. */
export function latencyPicture({ workload, trials }: Row, percentiles: readonly number[]): Picture {
  const known = trials.filter(({ latencyCurve }) => latencyCurve.length > 0);
  const longest = Math.max(0, ...known.map(({ latencyCurve }) => latencyCurve.length));
  const shown = percentiles.slice(0, longest);
  const series = known.map(({ candidate, latencyCurve }): Series => {
    const points = shown.map((_, index) => {
      const value = latencyCurve[index];
      return value === undefined ? null : { value, low: value, high: value };
    });
    return { name: candidateLabel(candidate), points };
  });
  return {
    id: 'latency',
    title: 'Latency',
    context: `${linkLabels[workload.link]}, ${settingLabel(workload)}`,
    note: 'Time from sending a request to having its reply, all runs together: so many of the requests took at most so long. A curve ends where fewer than ten requests took longer.',
    form: 'lines',
    valueTitle: 'µs',
    valueScale: 'logarithmic',
    categoryTitle: 'share of requests',
    categories: shown.map(label),
    spread: { positions: shown.map(positionOf), labelled: labelled.map(label) },
    series,
  };
}
