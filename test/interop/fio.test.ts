/**
 * fio writes at random, reads at random, and checks a checksum in every block
 * that it reads back: 4 connections, each 64 requests deep. It goes once over
 * its part of the disk, or on for NBDCORK_FIO_SECONDS.
 */
import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { needs, succeed } from '../support/peers.js';
import { serve } from '../support/program.js';

const seconds = Number(process.env['NBDCORK_FIO_SECONDS'] ?? '0');

const connections = 4;
const bytesEach = 4 * 2 ** 20;

interface Totals {
  readonly total_ios: number;
}

interface Report {
  readonly jobs: readonly {
    readonly error: number;
    readonly read: Totals;
    readonly write: Totals;
  }[];
}

function fioArguments(uri: string): string[] {
  return [
    '--name=verify',
    '--ioengine=nbd',
    `--uri=${uri}`,
    '--rw=randrw',
    '--bsrange=512-16k',
    '--iodepth=64',
    `--numjobs=${connections}`,
    `--size=${bytesEach}`,
    `--offset_increment=${bytesEach}`,
    '--verify=crc32c',
    '--verify_fatal=1',
    ...(seconds > 0 ? ['--time_based', `--runtime=${seconds}`] : []),
    '--output-format=json',
  ];
}

describe('fio with verify=crc32c, depth 64, 4 connections', () => {
  for (const [kind, connection] of [
    ['memory', 'TCP'],
    ['file', 'TCP'],
    ['memory', 'a Unix socket'],
    ['file', 'a Unix socket'],
  ]) {
    test(`${kind} over ${connection}`, async (t) => {
      if (!needs(t, 'fio')) return;
      const folder = await temporaryFolder(t);
      const disk = join(folder, 'disk.img');
      const size = connections * bytesEach;
      await writeFile(disk, '');
      await truncate(disk, size);
      const where = connection === 'TCP' ? ['--port', '0'] : ['--unix', join(folder, 'nbd.sock')];
      const { uri } = await serve(t, [...where, kind === 'file' ? disk : `memory:${size}`]);
      const output = await succeed(t, 'fio', fioArguments(uri), { cwd: folder });
      // A warning may stand before the report.
      const report = JSON.parse(output.slice(output.indexOf('{'))) as Report;
      assert.equal(report.jobs.length, connections);
      let requests = 0;
      for (const { error, read, write } of report.jobs) {
        assert.equal(error, 0);
        assert.ok(read.total_ios > 0 && write.total_ios > 0);
        requests += read.total_ios + write.total_ios;
      }
      t.diagnostic(`${requests} requests`);
    });
  }
});
