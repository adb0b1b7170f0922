/** Runs the cases of a seed, and reports the one that fails. */
import fc from 'fast-check';
import { deliveries } from './delivery.js';
import { runCase, type Case } from './run-case.js';
import { streams } from './streams/streams.js';
import { Target } from './target.js';

/** What fast-check needs to generate the same cases again; with a path, the same case. */
export interface Seed {
  readonly seed: number;
  readonly path?: string;
}

export interface Defect extends Seed {
  readonly path: string;
  /** The shrunk case, and the error. */
  readonly report: string;
}

const cases: fc.Arbitrary<Case> = fc.record({ bytes: streams, delivery: deliveries });
/** Shrinking a case that hangs is slow: each attempt takes as long as the watchdog. */
const shrinkingMs = 300_000;
const bytesShown = 2000;

export class Fuzzer {
  /** Streams sent so far. */
  streams = 0;
  private target: Target | undefined;
  private readonly newTarget: () => Promise<Target>;
  private reportCrash: (error: unknown) => void = () => undefined;
  private readonly onCrash = (error: unknown): void => {
    this.reportCrash(error);
  };

  /** A target is used until a case fails, which may have left it in a wrong state. */
  constructor(newTarget: () => Promise<Target>) {
    this.newTarget = newTarget;
    process.on('unhandledRejection', this.onCrash);
    process.on('uncaughtException', this.onCrash);
  }

  /** Run `count` cases. Returns what failed, if anything. */
  async runSeed({ seed, path }: Seed, count: number): Promise<Defect | undefined> {
    const property = fc.asyncProperty(cases, (one) => this.runCase(one));
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

  /** @throws where the server violates the specification. */
  async runCase(one: Case): Promise<void> {
    this.streams++;
    const crashes = new Promise<never>((_, reject) => (this.reportCrash = reject));
    const stops = one.delivery.stop !== undefined;
    const target = stops ? await this.newTarget() : (this.target ??= await this.newTarget());
    try {
      await Promise.race([runCase(target, one), crashes]);
    } catch (error) {
      if (!stops) this.target = undefined;
      target.abandon();
      throw error;
    }
  }

  /** @throws where the server does not close. */
  async close(): Promise<void> {
    process.off('unhandledRejection', this.onCrash);
    process.off('uncaughtException', this.onCrash);
    const { target } = this;
    this.target = undefined;
    await target?.close();
  }
}

/** The command that repeats the case of a defect. */
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
