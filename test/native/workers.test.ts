import assert from 'node:assert/strict';
import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, it, type TestContext } from 'node:test';
import { operationKind, Workers, type Operation } from '../../lib/backend/file/io/workers.js';
import { canMakeFaultyFiles, slowFile } from '../support/faulty-file.js';
import { failure, native, openUntilEnd, temporaryFile, withoutAddon } from './support/native.js';

const blockBytes = 4096;

function makeWorkers(t: TestContext, threadsMax?: number): Workers {
  const workers = new Workers(native(), threadsMax);
  t.after(() => {
    workers.close();
  });
  return workers;
}

function operation(given: Partial<Operation> & Pick<Operation, 'kind' | 'fd'>): Operation {
  return { position: 0, length: 0, mode: 0, memory: undefined, ...given };
}

describe('workers', { skip: withoutAddon }, () => {
  it('read and write, many at a time', async (t) => {
    const workers = makeWorkers(t);
    const { fd, path } = temporaryFile(t);
    const blocks = Array.from({ length: 300 }, (_, index) =>
      new Uint8Array(blockBytes).fill(index % 251),
    );
    const transfers = (kind: 0 | 1, memories: readonly Uint8Array[]) =>
      Promise.all(
        memories.map((memory, index) =>
          workers.run(
            operation({ kind, fd, position: index * blockBytes, length: blockBytes, memory }),
          ),
        ),
      );
    const all = { value: blockBytes, done: blockBytes };
    for (const outcome of await transfers(operationKind.write, blocks)) {
      assert.deepEqual(outcome, all);
    }
    assert.ok(readFileSync(path).equals(Buffer.concat(blocks)));
    const read = blocks.map(() => new Uint8Array(blockBytes));
    for (const outcome of await transfers(operationKind.read, read)) assert.deepEqual(outcome, all);
    assert.deepEqual(read, blocks);
  });

  it('tell how far a read came that reaches the end of the file', async (t) => {
    const workers = makeWorkers(t);
    const { fd } = temporaryFile(t);
    writeSync(fd, Buffer.alloc(100, 7), 0, 100, 0);
    const memory = new Uint8Array(blockBytes);
    const read = operation({ kind: operationKind.read, fd, length: blockBytes, memory });
    assert.deepEqual(await workers.run(read), { value: 100, done: 100 });
    assert.ok(memory.subarray(0, 100).every((byte) => byte === 7));
  });

  it('return the errno of what fails', async (t) => {
    const workers = makeWorkers(t);
    const { path } = temporaryFile(t);
    const readOnly = openUntilEnd(t, path, 'r');
    const memory = new Uint8Array(1);
    const write = operation({ kind: operationKind.write, fd: readOnly, length: 1, memory });
    assert.deepEqual(await workers.run(write), { value: failure('EBADF'), done: 0 });
  });

  it('sync, truncate and tell the size', async (t) => {
    const workers = makeWorkers(t);
    const { fd } = temporaryFile(t);
    ftruncateSync(fd, 10);
    const run = async (kind: Operation['kind'], position = 0): Promise<number> =>
      (await workers.run(operation({ kind, fd, position }))).value;
    assert.equal(await run(operationKind.size), 10);
    assert.equal(await run(operationKind.truncate, 1000), 0);
    assert.equal(fstatSync(fd).size, 1000);
    assert.equal(await run(operationKind.sync), 0);
  });

  it('throw for operations that are malformed', (t) => {
    const { createWorkers, submitWork, closeWorkers } = native();
    assert.throws(() => createWorkers(0, new Float64Array(3), () => undefined), RangeError);
    assert.throws(() => createWorkers(1, new Float64Array(2), () => undefined), RangeError);
    const workers = createWorkers(1, new Float64Array(3), () => undefined);
    t.after(() => closeWorkers(workers));
    const memory = [new Uint8Array(8)];
    for (const numbers of [
      [-1, 0, 1, 0, 1, 0, 0],
      [Object.keys(operationKind).length, 0, 1, 0, 1, 0, 0],
      [0, 0, -1, 0, 1, 0, 0],
      [0, 0, 1, -1, 1, 0, 0],
      [0, 0, 1, 0.5, 1, 0, 0],
      [0, 0, 1, 2 ** 53, 1, 0, 0],
      [0, 0, 1, 0, 9, 0, 0],
      [0, 0, 1, 0, 1, 0, 1],
      [0, 0, 1, 0, 1, 0, -2],
      [0, 0, 1, 0, 1, 0, -1],
    ]) {
      assert.throws(() => submitWork(workers, new Float64Array(numbers), 1, memory), RangeError);
    }
    assert.throws(() => submitWork(workers, new Float64Array(7), 2, memory), RangeError);
    // @ts-expect-error -- not what createWorkers returned
    assert.throws(() => submitWork({}, new Float64Array(7), 1, memory), TypeError);
  });

  it('do other operations while one waits for a device', async (t) => {
    if (!canMakeFaultyFiles(t)) return;
    const path = await slowFile(t, 'delay-write=1500ms');
    const slow = openSync(path, 'r+');
    const { fd } = temporaryFile(t);
    const workers = makeWorkers(t);
    const memory = new Uint8Array(blockBytes);
    const write = { kind: operationKind.write, length: blockBytes, memory };
    const ended: string[] = [];
    const hanging = workers.run(operation({ ...write, fd: slow })).then(() => ended.push('slow'));
    await delay(5); // The thread is in its system call: there is no event that tells.
    const quick = workers.run(operation({ ...write, fd })).then(() => ended.push('quick'));
    await Promise.all([hanging, quick]);
    closeSync(slow);
    assert.deepEqual(ended, ['quick', 'slow']);
  });
});
