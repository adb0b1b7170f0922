/** Pictures of the calls and codecs that were measured alone. */
import type { MicroTrial } from '../results.js';
import type { Picture, Point } from './pictures.js';

const note = 'Error bars: 95 % confidence interval.';

function pointOf({ nanosecondsPerCall: value, nanosecondsError: error }: MicroTrial): Point {
  // A logarithmic axis has no place for 0: an error that reaches it is cut off.
  return { value, low: Math.max(value - error, value / 10), high: value + error };
}

function byPieces(micro: readonly MicroTrial[]): Picture {
  const trials = micro.filter(({ pieces }) => pieces !== null);
  const pieces = [...new Set(trials.map((trial) => trial.pieces ?? 0))].sort((a, b) => a - b);
  const names = [...new Set(trials.map(({ name }) => name))];
  return {
    id: 'micro-pieces',
    title: 'A call by pieces of its vector',
    context: '',
    note: `Lines: nanoseconds a call. ${note}`,
    form: 'lines',
    valueTitle: 'ns a call',
    valueScale: 'logarithmic',
    categoryTitle: 'pieces',
    categories: pieces.map(String),
    series: names.map((name) => ({
      name,
      points: pieces.map((count) => {
        const trial = trials.find((one) => one.name === name && one.pieces === count);
        return trial === undefined ? null : pointOf(trial);
      }),
    })),
  };
}

function alone(micro: readonly MicroTrial[]): Picture {
  const trials = micro.filter(({ pieces }) => pieces === null);
  return {
    id: 'micro-calls',
    title: 'Calls and codecs alone',
    context: '',
    note: `Bars: nanoseconds a call. ${note}`,
    form: 'rows',
    valueTitle: 'ns a call',
    valueScale: 'logarithmic',
    categoryTitle: '',
    categories: trials.map(({ name }) => name),
    series: [{ name: 'ns a call', points: trials.map(pointOf) }],
  };
}

export function microPictures(micro: readonly MicroTrial[]): Picture[] {
  return [byPieces(micro), alone(micro)].filter(({ categories }) => categories.length > 0);
}
