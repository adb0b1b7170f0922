import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { writeReport } from '../report/index.js';
import type { Results } from '../results.js';
import { temporaryFolder } from '../../test/support/folder.js';
import { results } from './support/results.js';

async function written(t: TestContext, of: Results) {
  const folder = join(await temporaryFolder(t), 'made', 'here');
  await writeReport(of, folder);
  assert.deepEqual((await readdir(folder)).sort(), ['results.html', 'results.json', 'results.md']);
  const [json, markdown, html] = await Promise.all(
    ['results.json', 'results.md', 'results.html'].map((name) =>
      readFile(join(folder, name), 'utf8'),
    ),
  );
  assert.ok(json !== undefined && markdown !== undefined && html !== undefined);
  return { json, markdown, html };
}

/** What is between the tags of the page's body, without its scripts. */
function textOf(html: string): string {
  const start = html.indexOf('<body>');
  const end = html.indexOf('</main>');
  assert.ok(start > 0 && end > start);
  return html
    .slice(start, end)
    .replaceAll('&nbsp;', ' ')
    .replaceAll(/<[^>]*>/g, '\n')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

/** 1,230 for 1234.5: by arithmetic of its own. */
function threeDigits(value: number): string {
  const [whole = '', fraction] = Number(value.toPrecision(3)).toFixed(decimals(value)).split('.');
  const grouped = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

function decimals(value: number): number {
  const magnitude = Math.floor(Math.log10(Number(value.toPrecision(3))));
  return Math.max(0, 2 - magnitude);
}

function signed(share: number): string {
  const tenths = (share * 100).toFixed(1);
  return share > 0 ? `+${tenths}` : tenths.replace('-', '−');
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Every figure that a reader of both reports has to find. */
function expectedFigures({ trials, comparisons, micro }: Results): string[] {
  const ofTrials = trials.flatMap(({ samples, latencyMicroseconds, gain }) => {
    const averages = (
      [
        'requestsPerSecond',
        'systemCallsPerRequest',
        'segmentsPerReply',
        'serverMicrosecondsPerRequest',
        'clientMicrosecondsPerRequest',
      ] as const
    ).flatMap((name) => {
      const values = samples.map((sample) => sample[name]).filter((value) => value !== null);
      return values.length === 0 ? [] : [threeDigits(mean(values))];
    });
    const latencies = Object.values(latencyMicroseconds ?? {}).map(threeDigits);
    if (gain === null) return [...averages, ...latencies];
    return [
      ...averages,
      ...latencies,
      `${signed(gain.average)} %`,
      `${signed(gain.low)} to ${signed(gain.high)} %`,
      `runs ${signed(gain.worst)} to ${signed(gain.best)} %`,
      gain.verdict,
    ];
  });
  const ofMicro = micro.flatMap((trial) => [
    threeDigits(trial.nanosecondsPerCall),
    threeDigits(trial.nanosecondsError),
  ]);
  const ofComparisons = comparisons.flatMap(({ gain }) => [
    `${signed(gain.average)} %`,
    `${signed(gain.low)} to ${signed(gain.high)} %`,
  ]);
  return [...ofTrials, ...ofComparisons, ...ofMicro];
}

describe('the report', () => {
  it('is JSON with all that the run brought', async (t) => {
    const { json } = await written(t, results);
    assert.deepEqual(JSON.parse(json), results);
  });

  it('has every figure of the JSON in its Markdown and in the tables of its page', async (t) => {
    const { markdown, html } = await written(t, results);
    const figures = expectedFigures(results);
    assert.ok(figures.length > 30);
    const cells = new Set(
      markdown.split(/(?<!\\)\||\n|<br>/).map((one) => one.trim().replaceAll('\\', '')),
    );
    const texts = new Set(textOf(html).split('\n'));
    for (const figure of figures) {
      assert.ok(cells.has(figure), `${figure} in Markdown`);
      assert.ok(texts.has(figure), `${figure} in HTML`);
    }
  });

  it('tells on its page the machine, the command and what was left out', async (t) => {
    const { html } = await written(t, results);
    const texts = new Set(textOf(html).split('\n'));
    const { machine, command, skipped } = results;
    const facts = [machine.processor, machine.kernel, machine.node, command];
    for (const fact of [...facts, ...skipped.flatMap(({ what, why }) => [what, why])]) {
      assert.ok(texts.has(fact), fact);
    }
  });

  it('has no text of the results between tags unescaped', async (t) => {
    const hostile = `</script><script>throw 1</script><img src=x onerror=alert(1)> "&' <!--`;
    const [first, ...others] = results.trials;
    assert.ok(first !== undefined);
    const { html } = await written(t, {
      ...results,
      version: hostile,
      commit: hostile,
      command: hostile,
      startedAt: hostile,
      machine: { ...results.machine, processor: hostile, kernel: hostile, node: hostile },
      trials: [
        { ...first, candidate: { type: 'peer', name: hostile, version: hostile } },
        ...others,
      ],
      micro: [{ name: hostile, pieces: null, nanosecondsPerCall: 1, nanosecondsError: 1 }],
      skipped: [{ what: hostile, why: hostile }],
    });
    assert.doesNotMatch(html, /throw 1<|<img|<!--/);
    assert.ok(textOf(html).split('\n').includes(hostile));
  });

  it('needs nothing from anywhere', async (t) => {
    const { html } = await written(t, results);
    assert.doesNotMatch(
      html,
      /<(link|img|iframe|script[^>]* src)\b|@import|url\(|sourceMappingURL/,
    );
    assert.match(html, /Content-Security-Policy" content="default-src 'none';/);
  });

  it('is written of a run that measured nothing', async (t) => {
    const { html } = await written(t, {
      ...results,
      trials: [],
      comparisons: [],
      micro: [],
      skipped: [],
    });
    assert.match(html, /Machine and run/);
  });
});
