/** Rounds of cases from a seed, and what is known of a case that failed. */
import fc from 'fast-check';
import { deliveries } from './delivery.js';
import { runCase, type Case } from './run-case.js';
import { streams } from './streams/streams.js';
import { World } from './world.js';

/** What fast-check needs to make the same cases again; with a path, the same case. */
export interface Seed {
  readonly seed: number;
  readonly path?: string;
}

export interface Defect extends Seed {
  readonly path: string;
  /** The shrunk case, and what was wrong with it. */
  readonly report: string;
}

const cases: fc.Arbitrary<Case> = fc.record({ bytes: streams, delivery: deliveries });
/** Shrinking a case that hangs takes its time. */
const shrinkingMs = 300_000;
const bytesShown = 2000;

export class Fuzzer {
  /** Streams that were tried. */
  streams = 0;
  private world: World | undefined;
  private readonly newWorld: () => Promise<World>;
  private crash: (error: unknown) => void = () => undefined;
  private readonly crashed = (error: unknown): void => {
    this.crash(error);
  };

  /** A world is used until a case fails in it, and may have ruined it. */
  constructor(newWorld: () => Promise<World>) {
    this.newWorld = newWorld;
    process.on('unhandledRejection', this.crashed);
    process.on('uncaughtException', this.crashed);
  }

  /** `count` cases. What was wrong, if anything was. */
  async round({ seed, path }: Seed, count: number): Promise<Defect | undefined> {
    const property = fc.asyncProperty(cases, (one) => this.try(one));
    const details = await fc.check(property, {
      seed,
      numRuns: count,
      interruptAfterTimeLimit: shrinkingMs,
      ...(path === undefined ? {} : { path }),
    });
    if (!details.failed) return undefined;
    const { counterexample, errorInstance, counterexamplePath } = details;
    const report = reportOf(counterexample?.[0], errorInstance);
    return { seed: details.seed, path: counterexamplePath ?? '', report };
  }

  /** @throws where the server does what it must not. */
  async try(one: Case): Promise<void> {
    this.streams++;
    const crashes = new Promise<never>((_, reject) => (this.crash = reject));
    const stops = one.delivery.stop !== undefined;
    const world = stops ? await this.newWorld() : (this.world ??= await this.newWorld());
    try {
      await Promise.race([runCase(world, one), crashes]);
    } catch (error) {
      if (!stops) this.world = undefined;
      world.abandon();
      throw error;
    }
  }

  /** @throws where the server does not close. */
  async close(): Promise<void> {
    process.off('unhandledRejection', this.crashed);
    process.off('uncaughtException', this.crashed);
    const { world } = this;
    this.world = undefined;
    await world?.close();
  }
}

/** The command that makes the case of a defect again. */
export function commandFor({ seed, path }: Seed): string {
  return `npm run fuzz -- --seed ${seed}${path === undefined ? '' : ` --path ${path}`}`;
}

function reportOf(one: Case | undefined, error: unknown): string {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (one === undefined) return why;
  const hex = one.bytes.toString('hex');
  const shown = hex.length > bytesShown ? `${hex.slice(0, bytesShown)}...` : hex;
  return `${one.bytes.length} bytes, ${JSON.stringify(one.delivery)}:\n${shown}\n${why}`;
}
