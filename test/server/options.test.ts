/** Invalid options of createServer(), and their errors. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  createServer,
  defaultLimits,
  MemoryBackend,
  NbdError,
  type Backend,
  type BlockSize,
  type Limits,
  type ServerOptions,
} from '../../lib/index.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { startServer } from '../support/server.js';

const disk = new BufferDisk(pattern(4096));

function refused(make: () => unknown, code: string, words: RegExp): void {
  assert.throws(make, (error) => {
    assert.ok(error instanceof NbdError);
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });
}

test('an unknown strategy is rejected before the first client', () => {
  const options: ServerOptions = { exports: { '': new MemoryBackend(4096) } };
  Object.assign(options, { transmit: 'vectord' });
  refused(() => createServer(options), 'NBDCORK_BAD_STRATEGY', /'vectord'.*vectored/);
});

describe('rejected exports', () => {
  test('none', () => {
    refused(() => createServer({ exports: {} }), 'NBDCORK_BAD_EXPORT', /at least one/);
    const none: { exports: Record<string, never> } = { exports: {} };
    Object.assign(none, { exports: undefined });
    refused(() => createServer(none), 'NBDCORK_BAD_EXPORT', /No exports/);
  });

  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    test(`one of ${size} bytes`, () => {
      const backend: Backend = { size, read: () => new Uint8Array(1) };
      refused(
        () => createServer({ exports: { disk: backend } }),
        'NBDCORK_BAD_EXPORT',
        /"disk".*2\^53/,
      );
    });
  }

  const good: BlockSize = { minimum: 512, preferred: 4096, maximum: 65_536 };
  const bad: [string, Partial<BlockSize>, RegExp][] = [
    ['a minimum of 0', { minimum: 0 }, /minimum/],
    ['a minimum that is no power of two', { minimum: 513 }, /minimum/],
    [
      'a minimum above 64 KiB',
      { minimum: 2 ** 17, preferred: 2 ** 17, maximum: 2 ** 20 },
      /minimum/,
    ],
    ['a preferred size that is no power of two', { preferred: 5000 }, /preferred/],
    ['a preferred size below the minimum', { minimum: 4096, preferred: 512 }, /preferred/],
    ['a preferred size below 512', { minimum: 1, preferred: 256 }, /preferred/],
    ['a maximum below the preferred size', { maximum: 4095 }, /maximum/],
    ['a maximum that is no integer', { maximum: 65_536.5 }, /maximum/],
    ['a maximum of 2^32', { maximum: 2 ** 32 }, /maximum/],
  ];
  for (const [what, change, words] of bad) {
    test(`one with ${what}`, () => {
      const backend = Object.assign(new BufferDisk(pattern(4096)), {
        blockSize: { ...good, ...change },
      });
      refused(() => createServer({ exports: { '': backend } }), 'NBDCORK_BAD_EXPORT', words);
    });
  }

  test('one with good block sizes is not', async () => {
    const backend = Object.assign(new BufferDisk(pattern(4096)), { blockSize: good });
    await createServer({ exports: { '': backend } }).close();
  });

  const read = (): Uint8Array => new Uint8Array(1);
  const shapeless: Record<string, [unknown, RegExp]> = {
    undefined: [undefined, /"a" is undefined; use a backend/],
    null: [null, /"a" is null; use a backend/],
    'a number': [5, /"a" is 5; use a backend/],
    'a function': [() => disk, /"a" is \[Function.*; use a backend/],
    'an object without anything': [{}, /"a" has no backend; use/],
    'a backend that is null': [{ backend: null }, /"a" has no backend; use/],
    'a backend that is a name': [{ backend: 'disk.img' }, /"a" has no backend; use/],
    'a backend without read()': [{ backend: { size: 1 } }, /without read\(\); use/],
    'a read that is no function': [{ size: 1, read: true }, /without read\(\); use/],
    'options without a size': [{ backend: { read } }, /invalid size undefined/],
    'tls that is on': [{ backend: disk, tls: 'on' }, /invalid tls 'on'.* 'require'/],
    'tls that is true': [{ backend: disk, tls: true }, /invalid tls true/],
    'tls in capitals': [{ backend: disk, tls: 'REQUIRE' }, /invalid tls 'REQUIRE'/],
    'readOnly in words': [{ backend: disk, readOnly: 'yes' }, /invalid readOnly 'yes'; .* boolean/],
    'readOnly as a number': [{ backend: disk, readOnly: 1 }, /invalid readOnly 1/],
    'reopen without a function': [{ backend: disk, reopen: disk }, /invalid reopen/],
    'resizable in words': [{ backend: disk, resizable: 'no' }, /invalid resizable 'no'/],
    'perConnection in words': [
      { backend: () => disk, perConnection: 'true' },
      /invalid perConnection 'true'/,
    ],
    'a description that is a number': [{ backend: disk, description: 5 }, /invalid description/],
  };
  for (const [what, [value, words]] of Object.entries(shapeless)) {
    test(`one that is or has ${what}`, () => {
      const exports: Record<string, Backend> = {};
      Object.assign(exports, { a: value });
      refused(() => createServer({ exports }), 'NBDCORK_BAD_EXPORT', words);
    });
  }

  for (const name of ['a\0', 'x'.repeat(4097), '\ud800']) {
    test(`one with the name ${JSON.stringify(name.slice(0, 5))}`, () => {
      refused(() => createServer({ exports: { [name]: disk } }), 'NBDCORK_BAD_STRING', /name/);
    });
    test(`one with the description ${JSON.stringify(name.slice(0, 5))}`, () => {
      const exports = { '': { backend: disk, description: name } };
      refused(() => createServer({ exports }), 'NBDCORK_BAD_STRING', /description/);
    });
  }
});

describe('an export', () => {
  test('may be a backend that has a member called backend', async (t) => {
    class Shifting implements Backend {
      readonly backend = disk;
      readonly size = disk.size - 1000;
      read(offset: number, length: number) {
        return this.backend.read(1000 + offset, length);
      }
    }
    const client = await (await startServer(t, { exports: { '': new Shifting() } })).open();
    const { data } = await client.call({ type: cmd.read, offset: 5, length: 6 });
    assert.deepEqual(data, pattern(4096).subarray(1005, 1011));
  });
});

describe('limits', () => {
  const names = Object.keys(defaultLimits) as (keyof Limits)[];
  for (const name of names) {
    const mayBeOff = ['connectionsPerPeerMax', 'idleTimeoutMs'].includes(name);
    for (const value of [...(mayBeOff ? [] : [0]), -1, 1.5, NaN, Infinity]) {
      test(`${name} of ${value} is refused`, () => {
        const limits = { [name]: value };
        const make = () => createServer({ exports: { '': disk }, limits });
        refused(make, 'NBDCORK_BAD_LIMIT', new RegExp(name));
      });
    }

    test(`${name} of 1 is accepted`, async () => {
      const limits = { [name]: 1 };
      await createServer({ exports: { '': new BufferDisk(pattern(1)) }, limits }).close();
    });
  }

  for (const [name, value] of [
    // Node's timers fire at once past this.
    ['handshakeTimeoutMs', 2 ** 31],
    ['shutdownTimeoutMs', 2 ** 31],
    // The length of a chunk has 32 bits.
    ['requestBytesMax', 2 ** 31 + 1],
  ] as const) {
    test(`${name} of ${value} is refused`, () => {
      const make = () => createServer({ exports: { '': disk }, limits: { [name]: value } });
      refused(make, 'NBDCORK_BAD_LIMIT', new RegExp(`${name}.*${value - 1}`));
    });

    test(`${name} of ${value - 1} is good`, async (t) => {
      const limits = { [name]: value - 1 };
      const client = await (await startServer(t, { exports: { '': disk }, limits })).open();
      assert.equal((await client.call({ type: cmd.read, length: 10 })).error, 0);
    });
  }

  test('named like a member of every object are rejected', () => {
    const limits: Partial<Limits> = JSON.parse('{"constructor": 5}') as object;
    const make = () => createServer({ exports: { '': disk }, limits });
    refused(make, 'NBDCORK_BAD_LIMIT', /^Unknown limit 'constructor'/);
  });

  test('that do not exist are refused', () => {
    const limits: Partial<Limits> = JSON.parse('{"requestsMax": 5}') as object;
    const make = () => createServer({ exports: { '': disk }, limits });
    refused(make, 'NBDCORK_BAD_LIMIT', /^Unknown limit 'requestsMax'.*requestsInFlightMax/);
  });
});
