/** "Transmission flags": what an export can do, no more and no less. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend, ExportOptions } from '../../lib/index.js';
import { headerKinds } from '../support/byte-client.js';
import { cmd, cmdFlag, err, transmission as flag } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const nothing = (): void => undefined;
const reads: Backend = { size: 4096, read: (_offset, length) => new Uint8Array(length) };
const writes: Backend = { ...reads, write: nothing };
const everythingButWrite: Backend = {
  ...reads,
  flush: nothing,
  trim: nothing,
  writeZeroes: nothing,
  cache: nothing,
  fua: true,
  multiConn: true,
  rotational: true,
};
const everything: Backend = { ...everythingButWrite, write: nothing };

const always = flag.hasFlags;
const allFlags =
  always |
  flag.sendFlush |
  flag.sendFua |
  flag.rotational |
  flag.sendTrim |
  flag.sendWriteZeroes |
  flag.canMultiConn |
  flag.sendCache |
  flag.sendFastZero;

const cases: Record<string, [Backend | ExportOptions, number]> = {
  'without write is read-only': [reads, always | flag.readOnly],
  'with write is not': [writes, always],
  'with flush has FLUSH, and FUA by means of it': [
    { ...writes, flush: nothing },
    always | flag.sendFlush | flag.sendFua,
  ],
  'with fua alone has FUA': [{ ...writes, fua: true }, always | flag.sendFua],
  'with trim has TRIM': [{ ...writes, trim: nothing }, always | flag.sendTrim],
  'with writeZeroes has WRITE_ZEROES and FAST_ZERO': [
    { ...writes, writeZeroes: nothing },
    always | flag.sendWriteZeroes | flag.sendFastZero,
  ],
  'with cache has CACHE': [{ ...writes, cache: nothing }, always | flag.sendCache],
  'with multiConn has CAN_MULTI_CONN': [{ ...writes, multiConn: true }, always | flag.canMultiConn],
  'of each connection has no CAN_MULTI_CONN, whatever the backend says': [
    { backend: () => everything, perConnection: true },
    allFlags & ~flag.canMultiConn,
  ],
  'with multiConn false has not': [{ ...writes, multiConn: false }, always],
  'with rotational is ROTATIONAL': [{ ...writes, rotational: true }, always | flag.rotational],
  'with everything has everything': [everything, allFlags],
  'with everything, served read-only, offers no writing': [
    { backend: everything, readOnly: true },
    always | flag.readOnly | flag.sendFlush | flag.rotational | flag.canMultiConn | flag.sendCache,
  ],
  'with everything but write offers no writing': [
    everythingButWrite,
    always | flag.readOnly | flag.sendFlush | flag.rotational | flag.canMultiConn | flag.sendCache,
  ],
};

describe('the transmission flags of an export', () => {
  for (const [what, [entry, flags]] of Object.entries(cases)) {
    for (const headers of headerKinds) {
      test(`${what} (${headers} headers)`, async (t) => {
        const client = await (await startServer(t, { exports: { '': entry } })).connect();
        // DF is about chunks, so about the other two kinds of headers.
        const expected = headers === 'simple' ? flags : flags | flag.sendDf;
        assert.equal((await client.open(headers)).flags, expected);
      });
    }
  }

  for (const [maximum, hasDf] of [
    [65_535, false],
    [65_536, true],
  ] as const) {
    test(`have DF with replies of up to ${maximum} bytes: ${hasDf}`, async (t) => {
      const blockSize = { minimum: 1, preferred: 512, maximum };
      for (const options of [
        { exports: { '': { ...everything, blockSize } } },
        { exports: { '': everything }, limits: { requestBytesMax: maximum } },
      ]) {
        const client = await (await startServer(t, options)).connect();
        const { flags } = await client.open('structured');
        assert.equal((flags & flag.sendDf) !== 0, hasDf);
        const { error } = await client.call({ type: cmd.read, flags: cmdFlag.df, length: 1 });
        assert.equal(error, hasDf ? 0 : err.EINVAL);
      }
    });
  }
});
