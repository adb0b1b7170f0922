import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { pino, type Logger } from 'pino';
import { logText } from '../../lib/cli/log-text.js';
import { NbdError } from '../../lib/errors.js';

/** What the log shows of the lines that `write` logs. */
function logged(write: (logger: Logger) => void, colors = false): string {
  let text = '';
  const destination = {
    write: (line: string) => {
      text += logText(line, colors);
    },
  };
  write(pino({ level: 'debug', base: null }, destination));
  return text;
}

describe('the log as text', () => {
  test('a line has the time, the level, the message and the fields', () => {
    const line = `{"level":40,"time":${new Date(2026, 0, 2, 3, 4, 5).getTime()},"peer":"a","msg":"b"}\n`;
    assert.equal(logText(line, false), '[03:04:05] WARN: b {"peer":"a"}\n');
    const text = logged((logger) => {
      logger.debug('one');
      logger.info({}, 'two');
      logger.error({ size: 3, list: [1, 2] }, 'three');
    });
    assert.deepEqual(text.replace(/\[\d\d:\d\d:\d\d\] /g, '').split('\n'), [
      'DEBUG: one',
      'INFO: two',
      'ERROR: three {"size":3,"list":[1,2]}',
      '',
    ]);
  });

  test('an error and its causes are on indented lines', () => {
    const cause = Object.assign(new Error('no\nspace'), { errno: -28 });
    const err = new NbdError('NBDCORK_LIST_UNAVAILABLE', 'outer', cause);
    const text = logged((logger) => {
      logger.error({ err, export: 'a' }, 'failed');
    });
    const [first, ...rest] = text.trimEnd().split('\n');
    assert.match(first ?? '', /^\[[\d:]+\] ERROR: failed \{"export":"a"\}$/);
    assert.match(rest[0] ?? '', /^ {4}NbdError: outer$/);
    assert.ok(rest.includes('    caused by: Error: no'), text);
    assert.ok(rest.includes('    space'), text);
    assert.match(rest.at(-1) ?? '', /^ {4}\{"code":"NBDCORK_LIST_UNAVAILABLE"/);
    for (const line of rest) assert.match(line, /^ {4}/);
  });

  test('a thrown value that is not an error is a field', () => {
    const text = logged((logger) => {
      logger.error({ err: 'text' }, 'failed');
    });
    assert.match(text, /ERROR: failed \{"err":"text"\}\n$/);
  });

  test('nothing looks like another line or controls a terminal', () => {
    const hostile = 'x\n[12:00:00] INFO: forged\r\u001b[2J\u009b2J\u2028\u202e';
    const text = logged((logger) => {
      logger.warn({ name: hostile, [hostile]: 1 }, hostile);
      logger.warn({ err: new Error(hostile) }, 'failed');
    });
    // eslint-disable-next-line no-control-regex -- what a terminal obeys
    assert.doesNotMatch(text, /[\r\u001b\u009b\u2028\u202e]/);
    assert.equal(text.match(/^\[/gm)?.length, 2);
    assert.match(text, /^\[[\d:]+\] WARN: x\\n\[12:00:00\] INFO: forged\\u\{d\}\\u\{1b\}\[2J/);
  });

  test('colors are reset where they end', () => {
    const text = logged((logger) => {
      logger.warn({ peer: 'a' }, 'b');
    }, true);
    const rest = text.slice(text.indexOf(' ') + 1);
    assert.equal(
      rest,
      '\u001b[33mWARN\u001b[39m: \u001b[36mb\u001b[39m \u001b[90m{"peer":"a"}\u001b[39m\n',
    );
  });
});
