/** Where processes are told to run, asked of the kernel. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { Loads } from '../measure/loads.js';
import { findCpuPinning, numbersOf, serversBeside } from '../measure/cpu-pinning.js';

test('a list of processors is read as the kernel writes it', () => {
  assert.deepEqual(numbersOf('0'), [0]);
  assert.deepEqual(numbersOf('0-3'), [0, 1, 2, 3]);
  assert.deepEqual(numbersOf('1,4-6,9'), [1, 4, 5, 6, 9]);
  assert.deepEqual(numbersOf('2-3\n'), [2, 3]);
  assert.deepEqual(numbersOf(''), []);
});

test('servers have other cores than the load, where there are some', () => {
  assert.deepEqual(serversBeside(3, [0, 1, 2, 3], [1, 3]), [0, 2]);
  assert.deepEqual(serversBeside(1, [0, 1], [0, 1]), [0]);
  assert.deepEqual(serversBeside(7, [2, 5, 7], []), [2, 5]);
});

/** Of all threads of a process, without repetition. */
function allowedOf(pid: number): number[][] {
  const lists = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1');
    return /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '';
  });
  return [...new Set(lists)].map(numbersOf);
}

const pinning = findCpuPinning();
const skip = pinning === undefined ? 'there is one processor, or no taskset' : false;

describe('the load and the servers', { skip }, () => {
  test('have no processor in common', () => {
    assert.ok(pinning !== undefined);
    assert.ok(pinning.servers.length > 0 && !pinning.servers.includes(pinning.load));
  });

  test('run where they are told to', async (t) => {
    assert.ok(pinning !== undefined);
    const loads = new Loads(pinning.loadPrefix);
    t.after(() => loads.stop());
    const load = loads.deal(1)();
    await load.request({ type: 'latencies' });
    assert.deepEqual(allowedOf(load.pid), [[pinning.load]]);
    await pinning.pinServer(load.pid);
    assert.deepEqual(allowedOf(load.pid), [pinning.servers], 'all of its threads');
  });
});

test('loads are used again, in an order of chance, and stopped', async (t) => {
  const loads = new Loads([]);
  t.after(() => loads.stop());
  const dealt = (count: number) => {
    const next = loads.deal(count);
    return Array.from({ length: count }, next);
  };
  const first = dealt(2);
  assert.equal(new Set(first).size, 2);
  const orders = Array.from({ length: 50 }, () => dealt(2));
  for (const order of orders) assert.deepEqual(new Set(order), new Set(first));
  assert.ok(orders.some(([load]) => load === first[1]));
  const three = dealt(3);
  assert.equal(new Set(three).size, 3);
  assert.throws(loads.deal(0), RangeError);
  await loads.stop();
  for (const { pid } of three) assert.ok(!existsSync(`/proc/${pid}`));
});
