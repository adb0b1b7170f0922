/** Backends that throw, reject, or return invalid results. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test, type TestContext } from 'node:test';
import { NbdError, PartialError, zeros, type Backend } from '../../lib/index.js';
import { headerKinds, requestBytes } from '../support/byte-client.js';
import { BufferDisk, pattern } from '../support/disks.js';
import { cmd, err } from '../support/numbers.js';
import { startServer } from '../support/server.js';
import { Log } from '../support/log.js';

const content = pattern(10_000);
const coded = (code: string): Error => Object.assign(new Error(`it was ${code}`), { code });

/** What is thrown, and the number that the client gets. */
const failures: Record<string, [unknown, number]> = {
  'an NbdError': [new NbdError('ENOSPC', 'The disk is full.'), err.ENOSPC],
  ...Object.fromEntries(
    Object.entries(err).map(([code, number]) => [
      `an error with ${code}`,
      // "SHOULD NOT return NBD_ENOTSUP except": none of these asks for fast zeros.
      [coded(code), number === err.ENOTSUP ? err.EINVAL : number],
    ]),
  ),
  // "It also SHOULD map the EDQUOT and EFBIG errors to NBD_ENOSPC."
  'an error with EDQUOT': [coded('EDQUOT'), err.ENOSPC],
  'an error with EFBIG': [coded('EFBIG'), err.ENOSPC],
  'an error with EACCES': [coded('EACCES'), err.EPERM],
  'an error with EROFS': [coded('EROFS'), err.EPERM],
  'an error with an unknown code': [coded('ECOFFEE'), err.EIO],
  'an error with the code of a success': [coded('ok'), err.EIO],
  'an error with a number for a code': [Object.assign(new Error('28'), { code: 28 }), err.EIO],
  'the RangeError of an allocation': [new RangeError('Array buffer allocation failed'), err.ENOMEM],
  'another RangeError': [new RangeError('Invalid typed array length: -1'), err.EIO],
  'an error without a code': [new TypeError('undefined is not a function'), err.EIO],
  'an error whose message is too long': [new Error('é'.repeat(100_000)), err.EIO],
  'an error with NUL in its message': [new Error('\0no\0'), err.EIO],
  'an error without a message': [new Error(''), err.EIO],
  'a string': ['no', err.EIO],
  'an object with a code': [{ code: 'ENOMEM' }, err.ENOMEM],
  'an object without a prototype': [Object.create(null), err.EIO],
  'a symbol': [Symbol('no'), err.EIO],
  undefined: [undefined, err.EIO],
  null: [null, err.EIO],
};

function raise(reason: unknown): never {
  throw reason;
}

/** All commands fail but reads at offset 1. */
function failing(fail: () => never | Promise<never>): Backend {
  return {
    size: content.length,
    read: (offset, length) => (offset === 1 ? content.subarray(1, 1 + length) : fail()),
    write: fail,
    flush: fail,
    trim: fail,
    writeZeroes: fail,
    cache: fail,
  };
}

/** The flush at the end fails as well. */
const lossy = { expectCloseError: 'NBDCORK_DATA_LOST' } as const;

describe('a backend that fails', () => {
  for (const [what, [reason, number]] of Object.entries(failures)) {
    for (const [how, fail] of [
      ['throws', () => raise(reason)],
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- it is what is tested
      ['rejects with', () => Promise.reject(reason)],
    ] as const) {
      test(`and ${how} ${what}: the client gets ${number}, and can continue`, async (t) => {
        for (const headers of headerKinds) {
          const logged: object[] = [];
          const quiet = () => undefined;
          const logger = {
            debug: quiet,
            info: quiet,
            warn: (details: object) => logged.push(details),
            error: quiet,
          };
          const options = { exports: { '': failing(fail) }, logger };
          const { open } = await startServer(t, options, 'Unix', lossy);
          const client = await open(headers);
          for (const fields of [
            { type: cmd.read, length: 10 },
            { type: cmd.write, payload: Buffer.alloc(10) },
            { type: cmd.flush },
            { type: cmd.trim, length: 10 },
            { type: cmd.writeZeroes, length: 10 },
            { type: cmd.cache, length: 10 },
          ]) {
            assert.equal((await client.call(fields)).error, number);
          }
          const { data } = await client.call({ type: cmd.read, offset: 1, length: 10 });
          assert.deepEqual(data, content.subarray(1, 11));
          // That a WRITE_ZEROES is not supported is an answer to NBD_CMD_FLAG_FAST_ZERO.
          assert.equal(logged.length, what === 'an error with ENOTSUP' ? 5 : 6);
        }
      });
    }
  }

  test('sends its message to clients whose headers have room for it', async (t) => {
    const backend = failing(() => raise(coded('ENOSPC')));
    for (const headers of ['structured', 'extended'] as const) {
      const { open } = await startServer(t, { exports: { '': backend } }, 'Unix', lossy);
      const client = await open(headers);
      const { message } = await client.call({ type: cmd.trim, length: 1 });
      assert.equal(message, 'ENOSPC: it was ENOSPC');
    }
  });

  test('does not tell clients the path of a file', async (t) => {
    const backend = failing(() => {
      throw new Error(readFileSync('/nowhere/secret.img', 'utf8'));
    });
    for (const headers of ['structured', 'extended'] as const) {
      const { open } = await startServer(t, { exports: { '': backend } }, 'Unix', lossy);
      const client = await open(headers);
      const reply = await client.call({ type: cmd.trim, length: 1 });
      assert.equal(reply.error, err.EIO);
      assert.equal(reply.message, 'EIO');
    }
  });
});

test('a backend whose writeTarget() throws is logged, and its write() is called', async (t) => {
  for (const headers of headerKinds) {
    const disk = new BufferDisk(Buffer.alloc(500_000));
    const backend = Object.assign(disk, { writeTarget: () => raise(coded('ENOMEM')) });
    const logged: unknown[] = [];
    const quiet = () => undefined;
    const warn = (details: object, message: string): unknown => logged.push(message);
    const options = {
      exports: { '': backend },
      logger: { debug: quiet, info: quiet, warn, error: quiet },
    };
    const client = await (await startServer(t, options)).open(headers);
    const payload = pattern(500_000);
    for (let round = 0; round < 2; round++) {
      assert.equal((await client.call({ type: cmd.write, payload })).error, 0);
    }
    assert.ok(disk.bytes.equals(payload));
    assert.deepEqual(logged, ['writeTarget() failed, using another buffer: it was ENOMEM']);
  }
});

/** Payloads of so many bytes get no memory. Returns how many that were. */
function failAllocationsOf(t: TestContext, bytes: number): () => number {
  let failed = 0;
  const allocate = Buffer.allocUnsafeSlow.bind(Buffer);
  t.mock.method(Buffer, 'allocUnsafeSlow', (size: number) => {
    if (size !== bytes) return allocate(size);
    failed++;
    return raise(new RangeError('Array buffer allocation failed'));
  });
  return () => failed;
}

test('a payload without memory is ENOMEM for its request, and the connection goes on', async (t) => {
  const failed = failAllocationsOf(t, 500_000);
  for (const headers of headerKinds) {
    const disk = new BufferDisk(Buffer.alloc(500_000));
    const log = new Log();
    const client = await (
      await startServer(t, { exports: { '': disk }, logger: log })
    ).open(headers);
    const write = { type: cmd.write, payload: pattern(500_000) };
    const reply = await client.call(write);
    assert.equal(reply.error, err.ENOMEM);
    assert.equal((await client.call({ type: cmd.write, payload: pattern(10) })).error, 0);
    assert.equal(disk.calls.length, 1);
  }
  assert.equal(failed(), headerKinds.length);
});

test('a payload that arrives whole and cannot be copied is ENOMEM', async (t) => {
  const disk = new BufferDisk(Buffer.alloc(500_000));
  const client = await (await startServer(t, { exports: { '': disk } })).open();
  failAllocationsOf(t, 4321);
  const reply = await client.call({ type: cmd.write, payload: pattern(4321) });
  assert.equal(reply.error, err.ENOMEM);
  assert.equal((await client.call({ type: cmd.write, payload: pattern(4320) })).error, 0);
  assert.equal(disk.calls.length, 1);
});

describe('a read that returns the wrong length', () => {
  const wrong: Record<string, unknown> = {
    'too short': content.subarray(0, 99),
    'too long': content.subarray(0, 101),
    empty: new Uint8Array(0),
    'pieces that are too short': [content.subarray(0, 50), content.subarray(0, 49)],
    'pieces that are too long': [content.subarray(0, 50), content.subarray(0, 51)],
    'no pieces': [],
    nothing: undefined,
    null: null,
    'a string': 'x'.repeat(100),
    'a number': 100,
    'pieces that are none': ['x'.repeat(100)],
    'pieces of another kind of memory': [new ArrayBuffer(100)],
    'pieces of other numbers': [content.subarray(0, 20), new Float64Array(10)],
    'pieces with a gap': Array.of(content.subarray(0, 100), undefined),
    'what has a `then` that is no function': { then: 100 },
    'what has a `then` that throws': { then: () => raise(new TypeError('no promise')) },
    'an object': { length: 100, byteLength: 100 },
  };
  for (const [what, answer] of Object.entries(wrong)) {
    for (const [when, read] of [
      ['at once', () => answer as Buffer],
      ['later', () => Promise.resolve(answer as Buffer)],
    ] as const) {
      test(`${what}, ${when}, is EIO, and the connection stays usable`, async (t) => {
        for (const headers of headerKinds) {
          const backend = {
            size: content.length,
            read: (offset: number, length: number) =>
              offset === 1 ? content.subarray(1, 1 + length) : read(),
          };
          const client = await (await startServer(t, { exports: { '': backend } })).open(headers);
          assert.equal((await client.call({ type: cmd.read, length: 100 })).error, err.EIO);
          const { data } = await client.call({ type: cmd.read, offset: 1, length: 10 });
          assert.deepEqual(data, content.subarray(1, 11));
        }
      });
    }
  }

  test('has a message: too few bytes, or not bytes', async (t) => {
    const rest = content.subarray(0, 1024);
    let answer: unknown;
    const backend: Backend = { size: content.length, read: () => rest };
    Object.assign(backend, { read: () => answer });
    const client = await (await startServer(t, { exports: { '': backend } })).open('structured');
    for (const [given, words] of [
      [rest, /returned 1024 bytes for a read of 2048 bytes: read\(\) must return all/],
      [[zeros(1024), rest], /neither a Uint8Array nor an array of them for a read of 2048 bytes/],
      [undefined, /neither a Uint8Array nor an array of them for a read of 2048 bytes/],
    ] as const) {
      answer = given;
      const { error, message } = await client.call({ type: cmd.read, length: 2048 });
      assert.equal(error, err.EIO);
      assert.match(message, words);
    }
    answer = [...zeros(1024), rest];
    const { data } = await client.call({ type: cmd.read, length: 2048 });
    assert.deepEqual(data, Buffer.concat([Buffer.alloc(1024), rest]));
  });

  for (const [what, data, words] of [
    [
      'a wrong type',
      [zeros(512), content.subarray(0, 512)],
      /is not a Uint8Array or an array of them, but 1024/,
    ],
    ['too few', content.subarray(0, 512), /is 512 bytes, but 1024/],
  ] as const) {
    test(`before a failure, with ${what}, is logged`, async (t) => {
      const progress = { failedAt: 1024 };
      Object.assign(progress, { data });
      const read = (): never => raise(new PartialError('EIO', 'It is scratched.', progress));
      const logger = new Log();
      const backend: Backend = { size: content.length, read };
      const client = await (
        await startServer(t, { exports: { '': backend }, logger })
      ).open('structured');
      assert.equal((await client.call({ type: cmd.read, length: 2048 })).error, err.EIO);
      const lines = logger.shown.map(({ message }) => message);
      assert.equal(lines.length, 2);
      assert.match(lines[0] ?? '', /READ failed: It is scratched/);
      assert.match(lines[1] ?? '', words);
    });
  }

  test('from readSlice() is EIO too, and none of it is sent', async (t) => {
    for (const [memory, start] of [
      [content.subarray(0, 100), 1],
      [content.subarray(0, 100), -1],
      [content.subarray(0, 99), 0],
      [content.subarray(0, 100), NaN],
      [new Uint8Array(0), 0],
    ] as const) {
      for (const headers of headerKinds) {
        const backend: Backend = {
          size: content.length,
          read: (offset, length) => content.subarray(offset, offset + length),
          readSlice: (offset, _length, slice) => {
            slice.memory = memory;
            slice.start = start;
            return offset === 0;
          },
        };
        const client = await (await startServer(t, { exports: { '': backend } })).open(headers);
        assert.equal((await client.call({ type: cmd.read, length: 100 })).error, err.EIO);
        const { data } = await client.call({ type: cmd.read, offset: 1, length: 10 });
        assert.deepEqual(data, content.subarray(1, 11));
      }
    }
  });
});

/** A connection is the most that it can break: never another, never the process. */
describe('a backend that violates its contract', () => {
  const ordinary = { size: content.length, read: () => content.subarray(0, 10) };

  test('by settling twice has one reply', async (t) => {
    const backend: Backend = {
      size: content.length,
      read: () => {
        const then = (answer: (bytes: Buffer) => void): void => {
          answer(content.subarray(0, 10));
          answer(content.subarray(10, 20));
        };
        return Object.assign(Promise.resolve(content), { then, constructor: Object });
      },
    };
    const { server, open } = await startServer(t, { exports: { '': backend } });
    const client = await open();
    for (let count = 0; count < 3; count++) {
      const { data } = await client.call({ type: cmd.read, length: 10 });
      assert.deepEqual(data, content.subarray(0, 10));
    }
    const closing = server.close();
    assert.equal((await client.closed).length, 0);
    await closing;
  });

  for (const when of ['at once', 'later'] as const) {
    test(`by pieces that cannot be iterated, ${when}, loses this connection only`, async (t) => {
      const pieces = [content.subarray(0, 10)];
      Object.defineProperty(pieces, Symbol.iterator, { get: () => raise(new Error('no')) });
      const backend: Backend = {
        size: content.length,
        read: () => (when === 'at once' ? pieces : Promise.resolve(pieces)),
      };
      const { server, open } = await startServer(t, { exports: { '': backend, ordinary } });
      const [client, other] = [await open(), await open('simple', 'ordinary')];
      client.request({ type: cmd.read, length: 10 });
      assert.equal((await client.closed).length, 0);
      assert.equal((await other.call({ type: cmd.read, length: 10 })).error, 0);
      await server.close();
    });
  }

  test('by a size that throws loses this connection only', async (t) => {
    let lost = false;
    const backend: Backend = {
      get size() {
        return lost ? raise(new Error('the disk is gone')) : 2 ** 20;
      },
      read: () => content,
      write: () => undefined,
    };
    const { open } = await startServer(t, { exports: { '': backend, ordinary } });
    const [client, other] = [await open(), await open('simple', 'ordinary')];
    // Longer than a read: its end is received straight into its place.
    const write = requestBytes('simple', { type: cmd.write, payload: Buffer.alloc(500_000) });
    client.send(write.subarray(0, 400_000));
    await other.call({ type: cmd.read, length: 10 });
    lost = true;
    client.send(write.subarray(400_000));
    assert.equal((await client.closed).length, 0);
    assert.equal((await other.call({ type: cmd.read, length: 10 })).error, 0);
  });
});
