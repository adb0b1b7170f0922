import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { writeReport } from '../report/index.js';
import type { Results } from '../results.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { chromiumPath } from '../../test/support/peers.js';
import { results } from './support/results.js';

type Scheme = 'light' | 'dark';

interface Opened {
  readonly page: Page;
  /** What went wrong, and what was fetched besides the page. */
  readonly complaints: readonly string[];
}

async function launch(t: TestContext): Promise<Browser | undefined> {
  const executablePath = chromiumPath(t);
  if (executablePath === undefined) return undefined;
  const browser = await chromium.launch({ executablePath });
  t.after(() => browser.close());
  return browser;
}

async function open(t: TestContext, browser: Browser, of: Results, scheme: Scheme) {
  const folder = await temporaryFolder(t);
  await writeReport(of, folder);
  const url = pathToFileURL(join(folder, 'results.html')).href;
  const page = await browser.newPage({ colorScheme: scheme });
  const complaints: string[] = [];
  page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('request', (request) => {
    if (request.url() !== url) complaints.push(`fetched ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints } satisfies Opened;
}

interface Drawn {
  /** For each series, how many pixels between the axes are of its colour. */
  readonly marks: Readonly<Record<string, number>>;
  /** A digest of all that is seen. */
  readonly look: string;
}

async function pictures(page: Page): Promise<Drawn[]> {
  const drawn = await page.evaluate<{ marks: Record<string, number>; image: string }[]>(`
    [...document.querySelectorAll('canvas')].map((canvas) => {
      const chart = Chart.getChart(canvas);
      const { left, top, width, height } = chart.chartArea;
      const context = canvas.getContext('2d');
      const { data } = context.getImageData(left, top, width, height);
      const counts = new Map();
      for (let index = 0; index < data.length; index += 4) {
        const [red, green, blue] = data.subarray(index, index + 3);
        const colour = '#' + (red * 65536 + green * 256 + blue).toString(16).padStart(6, '0');
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
      }
      const marks = chart.data.datasets.map(({ label, backgroundColor }) => [
        label,
        counts.get(backgroundColor) ?? 0,
      ]);
      return { marks: Object.fromEntries(marks), image: canvas.toDataURL() };
    })`);
  return drawn.map(({ marks, image }) => ({
    marks,
    look: createHash('sha256').update(image).digest('hex'),
  }));
}

interface Latencies {
  readonly ticks: readonly (readonly [string, number])[];
  readonly radii: readonly number[];
  /** Share of requests, as its place on the axis, and microseconds. */
  readonly curves: readonly (readonly (readonly [number, number])[])[];
}

const titles = [
  'Requests a second',
  'Gain over plain',
  'TCP segments a reply',
  'System calls a request',
  'Server CPU time a request',
  'Against other servers',
  'Latency',
  'A call by pieces of its vector',
  'Calls and codecs alone',
];

describe('the page of the report, in Chromium', () => {
  for (const scheme of ['light', 'dark'] as const) {
    it(`opens without a complaint and draws every picture, in ${scheme} colours`, async (t) => {
      const browser = await launch(t);
      if (browser === undefined) return;
      const { page, complaints } = await open(t, browser, results, scheme);
      assert.deepEqual(await page.locator('figure h3').allTextContents(), titles);
      const drawn = await pictures(page);
      assert.equal(drawn.length, titles.length);
      for (const [index, { marks }] of drawn.entries()) {
        const title = titles[index] ?? '';
        assert.notDeepEqual(marks, {}, title);
        for (const [name, pixels] of Object.entries(marks)) {
          assert.ok(pixels > 10, `${title}: ${name} has ${pixels} pixels`);
        }
      }
      assert.deepEqual(complaints, []);
    });
  }

  it('draws in other colours when the scheme changes', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page, complaints } = await open(t, browser, results, 'light');
    const backgroundOf = () =>
      page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    const [light, lightBackground] = [await pictures(page), await backgroundOf()];
    // Heard after the page's own listener, so when all is drawn anew.
    const changed = page.evaluate(
      `new Promise((resolve) => {
        matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => resolve());
      })`,
    );
    await page.emulateMedia({ colorScheme: 'dark' });
    await changed;
    const [dark, darkBackground] = [await pictures(page), await backgroundOf()];
    assert.notEqual(lightBackground, darkBackground);
    assert.equal(dark.length, light.length);
    for (const [index, { look }] of dark.entries()) assert.notEqual(look, light[index]?.look);
    assert.deepEqual(complaints, []);
  });

  it('shows the workload and the link that are chosen', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page, complaints } = await open(t, browser, results, 'light');
    const contexts = () => page.locator('figure .context').allTextContents();
    assert.deepEqual(
      new Set(await contexts()),
      new Set([
        '4 KiB reads, 1 connection, depth 64, simple headers',
        'TCP, loopback, 4 KiB reads, 1 connection, depth 64, simple headers',
      ]),
    );
    const before = await pictures(page);
    await page.getByLabel('workload').selectOption({
      label: '4 KiB reads, 1 connection, depth 1, simple headers',
    });
    assert.deepEqual(
      new Set(await contexts()),
      new Set(['4 KiB reads, 1 connection, depth 1, simple headers']),
    );
    assert.notEqual((await pictures(page))[0]?.look, before[0]?.look);
    assert.deepEqual(complaints, []);
  });

  it('says every picture in words', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page } = await open(t, browser, results, 'light');
    const rates = page.getByRole('img').first();
    assert.equal(
      await rates.getAttribute('aria-label'),
      'Requests a second, 4 KiB reads, 1 connection, depth 64, simple headers. In requests a second. ' +
        'TCP, loopback: plain 40,700, cork 36,200, batched 75,500.',
    );
    assert.equal(await page.getByRole('img').count(), titles.length);
    assert.equal(await page.getByRole('table').count(), 8);
    assert.equal(
      await page.getByRole('table').first().getByRole('rowheader').first().textContent(),
      'cork',
    );
  });

  it('puts bars and the ends of their error bars where the axis has them', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page } = await open(t, browser, results, 'light');
    const { pixels, drawn } = await page.evaluate<Record<'pixels' | 'drawn', number[]>>(`(() => {
      const chart = Chart.getChart(document.querySelector('canvas'));
      const index = chart.data.datasets.findIndex(({ label }) => label === 'batched');
      const [bar] = chart.getDatasetMeta(index).data;
      return {
        pixels: [74300, 75450, 76600].map((rate) => chart.scales.y.getPixelForValue(rate)),
        drawn: [bar.yMin, bar.y, bar.yMax],
      };
    })()`);
    assert.deepEqual(drawn, pixels);
    assert.deepEqual(
      drawn.toSorted((a, b) => b - a),
      drawn,
    );
    assert.equal(new Set(drawn).size, 3);
  });

  it('puts the points of a latency curve where its axes have them, and ends it with them', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page } = await open(t, browser, results, 'light');
    const { ticks, radii, curves } = await page.evaluate<Latencies>(`(() => {
      const chart = Object.values(Chart.instances).find(({ canvas }) =>
        canvas.getAttribute('aria-label').startsWith('Latency'));
      const { x, y } = chart.scales;
      return {
        ticks: x.ticks.map(({ value, label }) => [label, Number(value.toFixed(3))]),
        radii: chart.getDatasetMeta(0).data.map(({ options }) => options.radius),
        curves: chart.data.datasets.map((_, index) =>
          chart.getDatasetMeta(index).data
            .filter((point) => !point.skip)
            .map((point) => [
              Number(x.getValueForPixel(point.x).toFixed(3)),
              Math.round(y.getValueForPixel(point.y)),
            ])),
      };
    })()`);
    assert.deepEqual(ticks, [
      ['50 %', 0.301],
      ['99 %', 2],
      ['99.9 %', 3],
    ]);
    assert.deepEqual(radii, [5, 0, 5, 5], 'what the axis names is marked');
    const [start, middle, late, end] = [0.301, 1.301, 2, 3];
    assert.deepEqual(curves, [
      [
        [start, 1570],
        [middle, 1990],
        [late, 2230],
        [end, 4410],
      ],
      [
        [start, 833],
        [middle, 1010],
        [late, 1290],
      ],
    ]);
    const words = await page.getByRole('img', { name: /^Latency/ }).getAttribute('aria-label');
    assert.match(
      words ?? '',
      / In µs\. 50 %: plain 1,570, batched 833\. 99 %: .*99\.9 %: plain 4,410\.$/,
    );
  });

  it('runs no script that the results bring along', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const hostile = '</script><script>window.struck = 1</script><img src=x onerror="struck = 1">';
    const { page, complaints } = await open(
      t,
      browser,
      {
        ...results,
        skipped: [{ what: hostile, why: hostile }],
        micro: [{ name: hostile, pieces: null, nanosecondsPerCall: 1, nanosecondsError: 1 }],
      },
      'dark',
    );
    assert.equal(await page.evaluate('window.struck'), undefined);
    assert.equal(await page.getByRole('table').getByText(hostile, { exact: true }).count(), 3);
    assert.deepEqual(
      await page.evaluate('JSON.parse(document.getElementById("results").textContent).skipped'),
      [{ what: hostile, why: hostile }],
    );
    assert.deepEqual(complaints, []);
  });

  it('opens without a complaint after a run that measured nothing', async (t) => {
    const browser = await launch(t);
    if (browser === undefined) return;
    const { page, complaints } = await open(
      t,
      browser,
      { ...results, trials: [], comparisons: [], micro: [], skipped: [] },
      'light',
    );
    assert.equal(await page.getByRole('img').count(), 0);
    assert.equal(await page.getByLabel('workload').isVisible(), false);
    assert.deepEqual(complaints, []);
  });
});
