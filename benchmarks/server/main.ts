/** Our server, in a process of its own for one run with one strategy. */
import { respond, exitWithParent } from '../measure/worker-process.js';
import { diskBytes, exportName, extentBytes } from '../disk.js';
import {
  createServer,
  MemoryBackend,
  type NbdServer,
  type ServerOptions,
} from '../../lib/index.js';
import { count } from './count.js';
import { sendWithoutMore } from './control.js';
import type { ServerPlan, ServerRequest, Started } from './messages.js';
import { SlowDisk } from './slow-disk.js';

let server: NbdServer | undefined;

async function start(plan: ServerPlan): Promise<Started> {
  const { strategy, kind, where, preSharedKey, wastedMicroseconds } = plan;
  // What is written in one chunk is one extent.
  const memory = new MemoryBackend(
    diskBytes,
    kind === 'extents' ? { chunkBytes: extentBytes } : {},
  );
  const disk = wastedMicroseconds === undefined ? memory : new SlowDisk(memory, wastedMicroseconds);
  const tls: Partial<ServerOptions> =
    preSharedKey === undefined
      ? {}
      : {
          tls: {
            mode: 'require',
            preSharedKeys: new Map([
              [preSharedKey.identity, Buffer.from(preSharedKey.keyHex, 'hex')],
            ]),
          },
        };
  if (strategy === 'sends') sendWithoutMore();
  const transmit = strategy === 'sends' ? 'more' : strategy;
  server = createServer({ exports: { [exportName]: disk }, transmit, ...tls });
  if (where.type === 'pipes') {
    void server.serveStdio();
    return { port: 0 };
  }
  if (where.type === 'unix') await server.listen({ path: where.path });
  else await server.listen({ host: where.host, port: 0 });
  const [address] = server.addresses;
  return { port: address !== undefined && 'port' in address ? address.port : 0 };
}

function handle(request: ServerRequest): unknown {
  if (request.type === 'start') return start(request.plan);
  if (server === undefined) throw new Error('The server was not started.');
  return count(server);
}

exitWithParent();
process.on('message', (request: ServerRequest) => void respond(() => handle(request)));
