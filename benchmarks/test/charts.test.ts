import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { logarithmicAxisOf } from '../report/browser-chart.js';
import { albumOf } from '../report/charts.js';
import type { Picture } from '../report/pictures.js';
import type { Workload } from '../results.js';
import { ours, results, sample, trial, workload } from './support/results.js';

/** A trial of `plain` that varies from the others in its workload. */
function plain(varied: Partial<Workload>, ...rates: number[]) {
  return trial(ours('plain'), {
    workload: { ...workload, ...varied },
    samples: rates.map((rate) => sample(rate)),
  });
}

function pictureOf(pictures: readonly Picture[] | undefined, id: string): Picture {
  const picture = pictures?.find((one) => one.id === id);
  assert.ok(picture !== undefined, `no picture ${id}`);
  return picture;
}

describe('the pictures of a run', () => {
  const album = albumOf({
    ...results,
    trials: [
      plain({ depth: 64 }, 40_000, 42_000),
      plain({ depth: 1 }, 10_000),
      plain({ depth: 16 }, 30_000),
      plain({ connections: 8 }, 80_000, 88_000),
      plain({ link: 'unix', depth: 64 }, 50_000),
      plain({ kind: 'read-64k', depth: 1 }, 5_000),
    ],
  });
  const opened = album.settings[album.opened];

  it('open with the workload that was measured on most links, if equal the deepest', () => {
    assert.equal(opened?.label, '4 KiB reads, 1 connection, depth 64, simple headers');
    const shallow = plain({ depth: 1 }, 1);
    const deep = plain({ depth: 64, link: 'unix' }, 1);
    const many = plain({ depth: 64, connections: 8 }, 1);
    const equals = albumOf({ ...results, trials: [shallow, many, deep] });
    assert.equal(equals.settings[equals.opened]?.label, opened.label);
  });

  it('show the links side by side, the average between the lowest and the highest run', () => {
    const { categories, series } = pictureOf(opened?.pictures, 'rates');
    assert.deepEqual(categories, ['Unix socket', 'TCP, loopback']);
    assert.deepEqual(series, [
      {
        name: 'plain',
        points: [
          { value: 50_000, low: 50_000, high: 50_000 },
          { value: 41_000, low: 40_000, high: 42_000 },
        ],
      },
    ]);
  });

  it('leave outliers out of the average and of the error bar', () => {
    const { series } = pictureOf(
      albumOf({ ...results, trials: [plain({}, 100, 102, 20, 104, 98)] }).settings[0]?.pictures,
      'rates',
    );
    assert.deepEqual(series[0]?.points, [{ value: 101, low: 98, high: 104 }]);
  });

  it('compare other servers with what we serve with by default on the link', () => {
    const nbdkit = { type: 'peer', name: 'nbdkit', version: '' } as const;
    const pipes = { workload: { ...workload, link: 'pipe' } as const };
    const trials = [
      trial(ours('plain'), pipes),
      trial(ours('stream'), pipes),
      trial(nbdkit, pipes),
    ];
    const { settings } = albumOf({ ...results, trials });
    const { series } = pictureOf(settings[0]?.pictures, 'peers');
    assert.deepEqual(
      series.map(({ name }) => name),
      ['stream', 'nbdkit'],
    );
  });

  it('show how a link scales with depth, and with connections, all else being equal', () => {
    const tcp = opened?.links.find(({ label }) => label === 'TCP, loopback');
    const byDepth = pictureOf(tcp?.pictures, 'by-depth');
    assert.equal(byDepth.context, 'TCP, loopback, 4 KiB reads, 1 connection, simple headers');
    assert.deepEqual(byDepth.categories, ['1', '16', '64']);
    const values = byDepth.series[0]?.points.map((point) => point?.value);
    assert.deepEqual(values, [10_000, 30_000, 41_000]);
    const byConnections = pictureOf(tcp?.pictures, 'by-connections');
    assert.equal(byConnections.context, 'TCP, loopback, 4 KiB reads, depth 64, simple headers');
    assert.deepEqual(byConnections.categories, ['1', '8']);
  });

  it('show no line through a single point', () => {
    const unix = opened?.links.find(({ label }) => label === 'Unix socket');
    assert.deepEqual(unix?.pictures, []);
  });

  it('show nothing that was not measured', () => {
    assert.deepEqual(
      opened?.pictures.map(({ id }) => id),
      ['rates'],
    );
  });

  it('show gains as ratios with their confidence interval, but none of plain', () => {
    const { settings, opened: first } = albumOf(results);
    const { series } = pictureOf(settings[first]?.pictures, 'gains');
    assert.deepEqual(series, [
      { name: 'cork', points: [{ value: 0.889, low: 0.872, high: 0.906 }] },
      { name: 'batched', points: [{ value: 1.853, low: 1.821, high: 1.884 }] },
    ]);
  });

  it('cut error bars that tell nothing', () => {
    const gain = {
      average: 1,
      worst: -1,
      best: 3,
      low: -1,
      high: 2e10,
      verdict: 'no difference shown',
    } as const;
    const trials = [trial(ours('plain')), trial(ours('cork'), { gain })];
    const { settings } = albumOf({ ...results, trials });
    const picture = pictureOf(settings[0]?.pictures, 'gains');
    assert.deepEqual(picture.series[0]?.points, [{ value: 2, low: 0.2, high: 20 }]);
  });

  it('have logarithmic axes that start below the lowest bar, with 1 on those of ratios', () => {
    const { settings, opened: first } = albumOf(results);
    const axisOf = (id: string) => logarithmicAxisOf(pictureOf(settings[first]?.pictures, id));
    assert.deepEqual(axisOf('rates'), {
      min: 30_000,
      max: 80_000,
      ticks: [30_000, 40_000, 50_000, 60_000, 80_000],
    });
    assert.deepEqual(axisOf('gains'), { min: 0.8, max: 2, ticks: [0.8, 1, 1.2, 1.5, 2] });
  });

  it('show latencies with each nine as wide as the one before, as far as they are known', () => {
    const { settings, opened: first } = albumOf(results);
    const { categories, spread, series } = pictureOf(
      settings[first]?.links[0]?.pictures,
      'latency',
    );
    // No candidate has a value at 99.99 %.
    assert.deepEqual(categories, ['50 %', '95 %', '99 %', '99.9 %']);
    const positions = spread?.positions.map((position) => position.toFixed(3));
    assert.deepEqual(positions, ['0.301', '1.301', '2.000', '3.000']);
    assert.deepEqual(
      categories.filter((category) => spread?.labelled.includes(category)),
      ['50 %', '99 %', '99.9 %'],
    );
    const values = series.map(({ name, points }) => [name, points.map((point) => point?.value)]);
    assert.deepEqual(values, [
      ['plain', [1570, 1990, 2230, 4410]],
      ['batched', [833, 1010, 1290, undefined]],
    ]);
  });

  it('leave a gap where a call was not measured, and keep errors off the zero of their axis', () => {
    const micro = [
      { name: 'send', pieces: 2, nanosecondsPerCall: 200, nanosecondsError: 300 },
      { name: 'sendmsg', pieces: 2, nanosecondsPerCall: 900, nanosecondsError: 100 },
      { name: 'sendmsg', pieces: 16, nanosecondsPerCall: 1900, nanosecondsError: 100 },
    ];
    const { categories, series } = pictureOf(
      albumOf({ ...results, micro }).pictures,
      'micro-pieces',
    );
    assert.deepEqual(categories, ['2', '16']);
    assert.deepEqual(series, [
      { name: 'send', points: [{ value: 200, low: 20, high: 500 }, null] },
      {
        name: 'sendmsg',
        points: [
          { value: 900, low: 800, high: 1000 },
          { value: 1900, low: 1800, high: 2000 },
        ],
      },
    ]);
  });
});
