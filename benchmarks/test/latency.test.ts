import assert from 'node:assert/strict';
import { test } from 'node:test';
import { build } from 'hdr-histogram-js';
import { curveOf, latencyOf, latencyPercentiles } from '../statistics/latency.js';

/** So many requests of 1, 2, 3 … µs, or another step. */
function histogramOf(requests: number, stepNanoseconds = 1000) {
  const histogram = build({ highestTrackableValue: 60e9, numberOfSignificantValueDigits: 3 });
  for (let number = 1; number <= requests; number++) {
    histogram.recordValue(number * stepNanoseconds);
  }
  return histogram;
}

/** To the precision of the histogram. */
function isNear(found: number | undefined, expected: number): boolean {
  return found !== undefined && Math.abs(found / expected - 1) < 0.003;
}

test('the curve has the time of each percentile, in microseconds of three digits', () => {
  const curve = curveOf(histogramOf(100_000));
  for (const [index, microseconds] of curve.entries()) {
    const expected = (latencyPercentiles[index] ?? NaN) * 1000;
    assert.ok(isNear(microseconds, expected), `${microseconds} is not ${expected}`);
    assert.equal(microseconds, Number(microseconds.toPrecision(3)));
  }
});

test('the curve ends where fewer than ten requests took longer', () => {
  const lastOf = (requests: number) =>
    latencyPercentiles[curveOf(histogramOf(requests)).length - 1];
  assert.equal(lastOf(100_000), 99.99);
  assert.equal(lastOf(94_000), 99.98);
  assert.equal(lastOf(1000), 99);
  assert.equal(lastOf(11), 10);
  assert.deepEqual(curveOf(histogramOf(9)), []);
});

test('runs are one curve together, not the average of theirs', () => {
  const both = histogramOf(1000);
  both.add(histogramOf(1000, 1_000_000));
  const curve = curveOf(both);
  // Half of the requests took at most 1 ms; the average of the two medians would be 250 ms.
  assert.ok(isNear(curve[latencyPercentiles.indexOf(50)], 1000));
  const { p50, p99, p999 } = latencyOf(both);
  assert.ok(isNear(p50, 1000) && isNear(p99, 980_000));
  assert.equal(p999, null, 'two requests took longer');
});

test('the curve is small in the results, as they are written', () => {
  const curve = curveOf(histogramOf(1_000_000, 10));
  assert.equal(curve.length, latencyPercentiles.length);
  // It is two levels deeper there, and every line ends with a character more.
  const more = 4 + 1;
  const lines = JSON.stringify({ latencyCurve: curve }, null, 2).split('\n').slice(1, -1);
  const bytes = lines.reduce((sum, line) => sum + more + line.length, 0);
  assert.ok(bytes < 400, `${bytes} bytes`);
});
