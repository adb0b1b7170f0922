/** systemd's socket activation: sd_listen_fds(3). */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { inheritedDescriptors } from '../../lib/cli/activation.js';
import { exitCode } from '../../lib/cli/exit-codes.js';
import { openExport } from '../support/connecting.js';
import { temporaryFolder } from '../support/folder.js';
import { cmd } from '../support/numbers.js';
import { needs } from '../support/peers.js';
import { runProgram, programPath, RunningProgram } from '../support/program.js';

const clean = { status: 0, signal: null };

/** Listens, says where, and becomes the program with that socket as descriptor 3. */
const launcher = `
import os, socket, sys
kind, path, *command = sys.argv[1:]
if kind == 'unix':
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
else:
    listening = socket.socket(socket.AF_INET)
    listening.bind(('127.0.0.1', 0))
listening.listen()
if kind == 'tcp':
    print('nbd://127.0.0.1:%d' % listening.getsockname()[1], flush=True)
else:
    print('nbd+unix:///?socket=' + path, flush=True)
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp(command[0], command)
`;

function launch(t: TestContext, kind: string, path: string, args: string[]): RunningProgram {
  const command = ['python3', '-c', launcher, kind, path, process.execPath, programPath] as const;
  return new RunningProgram(t, args, { command });
}

describe('a listening socket that is inherited', () => {
  for (const kind of ['tcp', 'unix'] as const) {
    for (const stdio of [[], ['--stdio']]) {
      test(`serves its clients: ${[kind, ...stdio].join(' with ')}`, async (t) => {
        if (!needs(t, 'python3')) return;
        const path = join(await temporaryFolder(t), 'nbd.sock');
        const server = launch(t, kind, path, ['serve', ...stdio, 'memory:1M']);
        const [uri = ''] = await server.uris();
        const { client, size } = await openExport(t, uri);
        assert.equal(size, 2 ** 20);
        const payload = Buffer.alloc(5000, 'data');
        assert.equal((await client.call({ type: cmd.write, offset: 3, payload })).error, 0);
        const { client: another } = await openExport(t, uri);
        const { data } = await another.call({ type: cmd.read, offset: 3, length: 5000 });
        assert.deepEqual(data, payload);
        assert.deepEqual(await server.stop(), clean);
        assert.equal(server.stdout.text, `${uri}\n`, 'only the launcher printed');
        // What systemd made is systemd's.
        assert.equal(existsSync(path), kind === 'unix');
      });
    }
  }

  test('--run gets its URI', async (t) => {
    if (!needs(t, 'python3')) return;
    const path = join(await temporaryFolder(t), 'nbd.sock');
    const args = ['serve', '--run', 'echo "$NBD_URI $LISTEN_PID $LISTEN_FDS"', 'a=memory:1M'];
    const program = launch(t, 'unix', path, args);
    assert.deepEqual(await program.exited, clean);
    const [, line = ''] = program.stdout.text.split('\n');
    const [uri = '', ...variables] = line.trimEnd().split(' ');
    assert.equal(new URL(uri).pathname, '/a');
    assert.equal(new URL(uri).searchParams.get('socket'), path);
    assert.deepEqual(variables, []);
  });
});

test('under systemd-socket-activate', async (t) => {
  if (!needs(t, 'systemd-socket-activate')) return;
  const path = join(await temporaryFolder(t), 'nbd.sock');
  const command = ['systemd-socket-activate', '-l', path, process.execPath, programPath] as const;
  const server = new RunningProgram(t, ['serve', 'memory:1M'], { command });
  await server.stderr.match(/Listening on/);
  assert.equal((await openExport(t, `nbd+unix:///?socket=${path}`)).size, 2 ** 20);
  assert.deepEqual(await server.stop(), clean);
});

describe('the variables', () => {
  const pid = String(process.pid);

  test('exit with 1 if they are invalid', async (t) => {
    const script = 'export LISTEN_PID=$$ LISTEN_FDS=none; exec "$@"';
    const command = ['sh', '-c', script, 'sh', process.execPath, programPath] as const;
    const { status, stderr } = await runProgram(t, ['serve', 'memory:1M'], { command });
    assert.equal(status, exitCode.failure);
    assert.match(stderr, /'none'.*\(NBDCORK_BAD_ACTIVATION\)/);
  });

  test('are removed once read', () => {
    const environment = { LISTEN_PID: pid, LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:b', HOME: '/' };
    assert.deepEqual(inheritedDescriptors(environment), [3, 4]);
    assert.deepEqual(environment, { HOME: '/' });
  });

  test('are ignored if the PID is that of another process', () => {
    const environment = { LISTEN_PID: '1', LISTEN_FDS: '2' };
    assert.deepEqual(inheritedDescriptors(environment), []);
    assert.deepEqual(environment, { LISTEN_PID: '1', LISTEN_FDS: '2' });
    assert.deepEqual(inheritedDescriptors({}), []);
  });

  for (const count of ['0', '-1', 'x', '', '1.5']) {
    test(`are invalid with LISTEN_FDS='${count}'`, () => {
      assert.throws(() => inheritedDescriptors({ LISTEN_PID: pid, LISTEN_FDS: count }), {
        code: 'NBDCORK_BAD_ACTIVATION',
      });
    });
  }
});
