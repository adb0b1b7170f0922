/** Two named pipes between the load and a server that has them as standard input and output. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { NbdError } from '../../lib/errors.js';
import type { Place } from '../place.js';

export interface Pipes {
  readonly place: Extract<Place, { type: 'pipes' }>;
  /** For the server. */
  readonly input: number;
  readonly output: number;
  /** The server has them; keep them open until the load has them too, then call this. */
  readonly close: () => void;
}

/** @throws NbdError `NBDCORK_BENCH` where there is no mkfifo. */
export function makePipes(folder: string): Pipes {
  const [requests, replies] = [join(folder, 'requests'), join(folder, 'replies')];
  const { status, error } = spawnSync('mkfifo', [requests, replies], { stdio: 'ignore' });
  if (status !== 0) throw new NbdError('NBDCORK_BENCH', 'mkfifo failed.', error);
  // Open at both ends, so that no later open() blocks.
  const held = [openSync(requests, 'r+'), openSync(replies, 'r+')];
  const [input, output] = [openSync(requests, 'r'), openSync(replies, 'w')];
  return {
    place: { type: 'pipes', requests, replies },
    input,
    output,
    close: () => {
      for (const fd of [...held, input, output]) closeSync(fd);
    },
  };
}
