/** Selects what to measure from the words of the command line. */
import { NbdError } from '../lib/errors.js';
import {
  kinds,
  links,
  strategies,
  type Candidate,
  type Strategy,
  type Workload,
} from './results.js';
import {
  allWorkloads,
  connectionCounts,
  depths,
  headerKinds,
  isControl,
  peerNames,
  usualHeaders,
  usualWorkloads,
} from './workloads.js';

export type Dimension =
  'link' | 'kind' | 'depth' | 'connections' | 'headers' | 'candidate' | 'micro';

/** Words of one line are alternatives; a workload must match every line that has a word. */
const vocabulary: ReadonlyMap<Dimension, readonly string[]> = new Map<Dimension, readonly string[]>(
  [
    ['link', links],
    ['kind', kinds],
    ['depth', depths.map((depth) => `depth=${depth}`)],
    ['connections', connectionCounts.map((count) => `connections=${count}`)],
    ['headers', headerKinds],
    ['candidate', [...strategies, ...peerNames, 'limit']],
    ['micro', ['micro']],
  ],
);

const words: readonly string[] = [...vocabulary.values()].flat();

/**
 * Of one request at a time, unless they are named, since three minutes are for few:
 * a batch is a vector then, and the small loss of a cork takes longer to be sure of.
 */
const leftOutAlone: readonly Strategy[] = ['batched', 'cork'];

export class Selection {
  private readonly chosen = new Map<Dimension, string[]>();
  private readonly all: boolean;
  private readonly hasLimit: boolean;

  /**
   * `hasLimit`: `--limit` was given, which selects that server.
   * @throws NbdError `NBDCORK_BAD_SELECTION` for an unknown word.
   */
  constructor(given: readonly string[], all: boolean, hasLimit = false) {
    this.all = all;
    this.hasLimit = hasLimit;
    for (const word of given) {
      const [dimension] = [...vocabulary].find(([, known]) => known.includes(word)) ?? [];
      if (dimension === undefined) {
        throw new NbdError(
          'NBDCORK_BAD_SELECTION',
          `Unknown word '${word}'. Use some of ${words.join(', ')}.`,
        );
      }
      this.chosen.set(dimension, [...(this.chosen.get(dimension) ?? []), word]);
    }
    if (hasLimit) this.chosen.get('candidate')?.push('limit');
  }

  /** No word restricts the workloads. */
  private get usual(): boolean {
    return !this.all && [...this.chosen.keys()].every((name) => name === 'candidate');
  }

  get workloads(): Workload[] {
    // A candidate alone does not add workloads to single calls.
    const others = [...this.chosen.keys()].filter((name) => name !== 'candidate');
    if (others.length === 1 && others[0] === 'micro') return [];
    if (this.usual) return usualWorkloads();
    return allWorkloads().filter((workload) => this.wants(workload));
  }

  wantsCandidate(candidate: Candidate, { link, depth }: Workload): boolean {
    const wanted = this.chosen.get('candidate');
    const name = candidateName(candidate);
    if (wanted !== undefined) return wanted.includes(name) || name === 'plain';
    if (candidate.type === 'strategy') {
      if (isControl(candidate.strategy)) return false;
      return !this.usual || depth > 1 || !leftOutAlone.includes(candidate.strategy);
    }
    if (!this.usual) return true;
    return depth > 1 && (link === 'unix' || link === 'tcp');
  }

  /** Whether this candidate was named, so that its absence is a failure. */
  names(candidate: Candidate): boolean {
    const name = candidateName(candidate);
    if (name === 'limit' && this.hasLimit) return true;
    return this.chosen.get('candidate')?.includes(name) ?? false;
  }

  /** Whether words of a dimension were given, and all of them are among these. */
  readonly hasOnly = (dimension: Dimension, ...words: readonly string[]): boolean =>
    this.chosen.get(dimension)?.every((word) => words.includes(word)) ?? false;

  get namesCandidates(): boolean {
    return this.chosen.has('candidate');
  }

  /** Whether a strategy was left out by the words. */
  wantsStrategy(strategy: Strategy): boolean {
    return this.chosen.get('candidate')?.includes(strategy) ?? !isControl(strategy);
  }

  /** Whether the server that is the limit was named, or everything is wanted. */
  get wantsLimit(): boolean {
    return this.namesLimit || (this.all && !this.chosen.has('candidate'));
  }

  get namesLimit(): boolean {
    return this.chosen.get('candidate')?.includes('limit') ?? false;
  }

  /** True by default and with `--all`. */
  get wantsMicro(): boolean {
    return this.chosen.size === 0 || this.chosen.has('micro');
  }

  private wants({ link, kind, depth, connections, headers }: Workload): boolean {
    const given: readonly (readonly [Dimension, string])[] = [
      ['link', link],
      ['kind', kind],
      ['depth', `depth=${depth}`],
      ['connections', `connections=${connections}`],
      ['headers', headers],
    ];
    const matches = given.every(([dimension, word]) => {
      const wanted = this.chosen.get(dimension);
      return wanted === undefined || wanted.includes(word);
    });
    if (!matches || this.all) return matches;
    // The default of each dimension without a word.
    return (
      (connections === 1 || this.chosen.has('connections')) &&
      (headers === usualHeaders(kind) || this.chosen.has('headers'))
    );
  }
}

function candidateName(candidate: Candidate): string {
  return candidate.type === 'strategy' ? candidate.strategy : candidate.name;
}
