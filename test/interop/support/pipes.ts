import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { TestContext } from 'node:test';
import { temporaryFolder } from '../../support/folder.js';
import { programPath } from '../../support/program.js';

/**
 * `nbdcork serve --stdio` between two pipes, for a client that starts it on a
 * socket pair as libnbd does. It does not start where these are not pipes.
 */
export function betweenPipes(source: string): string[] {
  const script = `cat | {
    test -p /dev/stdin && test -p /dev/stdout && exec "$@"
  } | cat`;
  const program = [process.execPath, programPath, 'serve', '--stdio', source];
  return ['sh', '-c', script, 'sh', ...program];
}

/** The same for a client that connects. Returns the URI of a socket that leads to the pipes. */
export async function listenBeforePipes(t: TestContext, source: string): Promise<string> {
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const [command = '', ...args] = betweenPipes(source);
  const listener = createServer((socket) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
    t.after(async () => {
      socket.destroy();
      child.stdin.destroy();
      await finished(child.stdout.resume());
    });
  });
  t.after(() => listener.close());
  listener.listen(path);
  await once(listener, 'listening');
  return `nbd+unix:///?socket=${path}`;
}
