/** A short run of the fuzzer, and everything that it once found. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { temporaryFolder } from '../support/folder.js';
import { MemoryDisk } from './disks.js';
import { commandFor, Fuzzer, type Defect } from './fuzz.js';
import { cases, seeds } from './seeds.js';
import { listeningWorld, type Makers } from './world.js';

const casesPerSeed = 150;

async function newFuzzer(t: TestContext, makers: Makers = {}): Promise<Fuzzer> {
  const folder = await temporaryFolder(t);
  const fuzzer = new Fuzzer(() => listeningWorld(folder, makers));
  t.after(() => fuzzer.close());
  return fuzzer;
}

function show(defect: Defect): string {
  return `${defect.report}\nrepeat it with: ${commandFor(defect)}`;
}

describe('what once failed', () => {
  for (const [what, one] of Object.entries(cases)) {
    test(what, async (t) => {
      await (await newFuzzer(t)).try(one);
    });
  }
});

describe('random and mutated streams', () => {
  const random = Math.floor(Math.random() * 2 ** 31);
  for (const seed of [...seeds, random]) {
    const name = seed === random ? 'a random seed' : `the seed ${seed}`;
    test(`of ${name} are answered as the specification says`, async (t) => {
      const fuzzer = await newFuzzer(t);
      const defect = await fuzzer.round({ seed }, casesPerSeed);
      assert.ok(defect === undefined, defect && show(defect));
      assert.equal(fuzzer.streams, casesPerSeed);
    });
  }
});

describe('a server that is wrong', () => {
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

  test('is found, and found again by the seed and the path', async (t) => {
    const fuzzer = await newFuzzer(t, { memory: (base) => new WrongDisk(base) });
    const defect = await fuzzer.round({ seed: 1 }, 3000);
    assert.ok(defect !== undefined, 'nothing was found');
    assert.match(defect.report, /a wrong byte at 12345/);
    const again = await fuzzer.round({ seed: defect.seed, path: defect.path }, 1);
    assert.deepEqual(again?.report.split('\n')[1], defect.report.split('\n')[1]);
    assert.match(again?.report ?? '', /a wrong byte at 12345/);
  });
});
