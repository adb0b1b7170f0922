/** A short run of the fuzzer, and the cases that failed in the past. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { MemoryDisk } from './disks.js';
import { commandFor, Fuzzer, type Defect } from './fuzz.js';
import { cases, seeds } from './seeds.js';
import { startTarget, type DiskFactories } from './target.js';

const casesPerSeed = 150;

async function newFuzzer(t: TestContext, factories: DiskFactories = {}): Promise<Fuzzer> {
  const folder = await temporaryFolder(t);
  const fuzzer = new Fuzzer(() => startTarget(folder, factories));
  t.after(() => fuzzer.close());
  return fuzzer;
}

function show(defect: Defect): string {
  return `${defect.report}\nrepeat with: ${commandFor(defect)}`;
}

describe('regressions', () => {
  for (const [what, one] of Object.entries(cases)) {
    test(what, async (t) => {
      await (await newFuzzer(t)).runCase(one);
    });
  }
});

describe('random and mutated streams', () => {
  const random = Math.floor(Math.random() * 2 ** 31);
  for (const seed of [...seeds, random]) {
    const name = seed === random ? 'a random seed' : `the seed ${seed}`;
    test(`of ${name} are answered according to the specification`, async (t) => {
      const fuzzer = await newFuzzer(t);
      const defect = await fuzzer.runSeed({ seed }, casesPerSeed);
      assert.ok(defect === undefined, defect && show(defect));
      assert.equal(fuzzer.streams, casesPerSeed);
    });
  }
});

describe('a faulty server', () => {
  /** Gets one byte of a chunk wrong. */
  class WrongDisk extends MemoryDisk {
    override readSlice(): boolean {
      return false;
    }

    override read(offset: number, length: number): Uint8Array {
      const bytes = this.peek(offset, length);
      const at = 12_345 - offset;
      if (at >= 0 && at < length) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      return bytes;
    }
  }

  test('is detected, and again by its seed and path', async (t) => {
    const fuzzer = await newFuzzer(t, { memory: (base) => new WrongDisk(base) });
    const defect = await fuzzer.runSeed({ seed: 1 }, 3000);
    assert.ok(defect !== undefined, 'no defect was found');
    assert.match(defect.report, /a wrong byte at 12345/);
    const again = await fuzzer.runSeed({ seed: defect.seed, path: defect.path }, 1);
    assert.deepEqual(again?.report.split('\n')[1], defect.report.split('\n')[1]);
    assert.match(again?.report ?? '', /a wrong byte at 12345/);
  });
});
