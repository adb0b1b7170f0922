import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { LogOutput } from '../../lib/cli/log-output.js';
import { temporaryFolder } from '../support/folder.js';
import { until } from '../support/server.js';

const droppedLine = (count: number, reason: string): string => `dropped ${count}: ${reason}\n`;

/** Both ends of a named pipe; the reading end never blocks. */
async function pipe(t: TestContext): Promise<{ readonly reader: number; readonly writer: number }> {
  const path = join(await temporaryFolder(t), 'pipe');
  await once(spawn('mkfifo', [path]), 'exit');
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  t.after(() => {
    closeSync(writer);
  });
  return { reader, writer };
}

function readAvailable(fd: number): string {
  const buffer = Buffer.alloc(2 ** 20);
  try {
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch {
    return ''; // EAGAIN: the pipe is empty
  }
}

describe('the log output', () => {
  it('writes lines in order', async (t) => {
    const path = join(await temporaryFolder(t), 'log');
    const fd = openSync(path, 'w');
    const output = new LogOutput(fd, droppedLine);
    const lines = Array.from({ length: 1000 }, (_, index) => `line ${index}\n`);
    for (const line of lines) output.write(line);
    await output.flush();
    closeSync(fd);
    assert.equal(readFileSync(path, 'latin1'), lines.join(''));
  });

  it('drops lines while a pipe is full, says how many, and goes on when it is read', async (t) => {
    const { reader, writer } = await pipe(t);
    const output = new LogOutput(writer, droppedLine, { pendingBytesMax: 10_000 });
    const line = `${'x'.repeat(999)}\n`;
    for (let count = 0; count < 500; count++) output.write(line);
    let text = '';
    let flushed = false;
    void output.flush().then(() => (flushed = true));
    await until(() => {
      text += readAvailable(reader);
      return flushed;
    });
    output.write('last\n');
    await output.flush();
    text += readAvailable(reader);
    closeSync(reader);
    const written = text.split('\n').filter((one) => one.startsWith('x')).length;
    const dropped = Number(/dropped (\d+)/.exec(text)?.[1]);
    assert.ok(dropped > 0);
    assert.equal(written + dropped, 500);
    assert.ok(text.endsWith('last\n'));
  });

  it('survives a pipe whose reader has gone', async (t) => {
    const { reader, writer } = await pipe(t);
    closeSync(reader);
    const output = new LogOutput(writer, droppedLine, { retryMs: 1 });
    output.write('one\n');
    await output.flush();
    output.write('two\n');
    await output.flush();
  });

  it(
    'survives a full disk, and says what was dropped',
    { skip: process.platform !== 'linux' },
    async () => {
      const fd = openSync('/dev/full', 'w');
      const reasons: string[] = [];
      const output = new LogOutput(
        fd,
        (count, reason) => {
          reasons.push(`${count} ${reason}`);
          return droppedLine(count, reason);
        },
        { retryMs: 1 },
      );
      output.write('one\n');
      await output.flush();
      output.write('two\n');
      await output.flush();
      closeSync(fd);
      assert.match(reasons[0] ?? '', /^1 ENOSPC/);
    },
  );
});
