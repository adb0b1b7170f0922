import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LimitedLogger } from '../../../lib/server/log/limited-logger.js';
import type { Logger } from '../../../lib/server/log/logger.js';

function recorder(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const record = (level: string) => (_: object, message: string) => {
    lines.push(`${level} ${message}`);
  };
  return {
    lines,
    logger: {
      debug: record('debug'),
      info: record('info'),
      warn: record('warn'),
      error: record('error'),
    },
  };
}

describe('the limited logger', () => {
  it('passes on a burst, then suppresses and reports the rest by level', () => {
    const { logger, lines } = recorder();
    const limited = new LimitedLogger(logger, { burst: 3, linesPerSecond: 1, now: () => 0 });
    for (let count = 0; count < 10; count++) limited.warn({}, `w${count}`);
    limited.error({}, 'e');
    assert.deepEqual(lines, ['warn w0', 'warn w1', 'warn w2']);
    limited.flush();
    assert.deepEqual(lines.slice(3), [
      'warn 7 more log lines were suppressed',
      'error 1 more log lines were suppressed',
    ]);
  });

  it('passes on as many lines a second as it was told', () => {
    let now = 0;
    const { logger, lines } = recorder();
    const limited = new LimitedLogger(logger, { burst: 1, linesPerSecond: 10, now: () => now });
    for (; now < 1000; now += 10) limited.info({}, 'line');
    limited.flush();
    assert.equal(lines.filter((line) => line === 'info line').length, 10);
  });

  it('never limits debug lines, which an operator has asked for', () => {
    const { logger, lines } = recorder();
    const limited = new LimitedLogger(logger, { burst: 1, linesPerSecond: 1, now: () => 0 });
    for (let count = 0; count < 10; count++) limited.debug({}, 'line');
    assert.equal(lines.length, 10);
  });
});

describe('a logger that fails', () => {
  for (const [how, fail] of [
    ['throws', () => assert.fail('full')],
    ['rejects', () => Promise.reject(new Error('full'))],
  ] as const) {
    it(`that ${how} loses lines, which are counted and reported when it works again`, async () => {
      const { logger, lines } = recorder();
      let works = false;
      const warn = (details: object, message: string): unknown =>
        works ? logger.warn(details, message) : fail();
      const limited = new LimitedLogger({ ...logger, warn });
      limited.warn({}, 'one');
      limited.warn({}, 'two');
      await new Promise(setImmediate);
      works = true;
      limited.flush();
      assert.deepEqual(lines, ['warn 2 log lines were lost: the logger failed: full']);
    });
  }
});
