/** Our server, with one strategy. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NbdError } from '../../lib/errors.js';
import { WorkerProcess } from '../measure/worker-process.js';
import type { Strategy, Workload } from '../results.js';
import type {
  Counts,
  ServerResponses,
  ServerPlan,
  ServerRequest,
  Started,
} from '../server/messages.js';
import { makePipes } from './pipes.js';
import type { RunningServer, ServerSetting } from './running-server.js';

const serverPath = fileURLToPath(new URL('../server/main.js', import.meta.url));

export interface OurOptions {
  readonly strategy: Strategy;
  readonly wastedMicroseconds?: number;
}

export async function startOurs(
  { strategy, wastedMicroseconds }: OurOptions,
  { link, kind }: Workload,
  setting: ServerSetting,
): Promise<RunningServer> {
  const { folder, preSharedKey, prefix, host } = setting;
  const pipes = link === 'pipe' ? makePipes(folder) : undefined;
  const server = new WorkerProcess<ServerRequest, ServerResponses>(serverPath, {
    prefix,
    ...(pipes !== undefined && { input: pipes.input, output: pipes.output }),
  });
  const plan: Omit<ServerPlan, 'where'> = {
    strategy,
    kind,
    ...(preSharedKey !== undefined && { preSharedKey }),
    ...(wastedMicroseconds !== undefined && { wastedMicroseconds }),
  };
  const start = (where: ServerPlan['where']): Promise<Started> =>
    server.request({ type: 'start', plan: { ...plan, where } });
  const common = {
    pid: server.pid,
    count: async (): Promise<Counts> => {
      const counts = await server.request({ type: 'count' });
      const expected = strategy === 'sends' ? 'more' : strategy;
      if (counts.strategy === expected) return counts;
      throw new NbdError('NBDCORK_BENCH', `Sent with ${counts.strategy}, not with ${strategy}.`);
    },
    stop: async () => {
      await server.stop();
      pipes?.close();
    },
  };
  try {
    if (pipes !== undefined) {
      await start({ type: 'pipes' });
      return { ...common, place: pipes.place };
    }
    if (link === 'unix' || link === 'unix-tls') {
      const path = join(folder, 'nbd.sock');
      await start({ type: 'unix', path });
      return { ...common, place: { type: 'unix', path } };
    }
    const { port } = await start({ type: 'tcp', host });
    return { ...common, place: { type: 'tcp', host, port } };
  } catch (error) {
    // Why it does not serve is worth more than why it cannot be stopped.
    await Promise.allSettled([common.stop()]);
    throw error;
  }
}
