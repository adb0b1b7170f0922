/** The examples in docs/transport.md, and in the comments of the public interface, work. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const document = read('docs/transport.md');

function read(path: string): string {
  return readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
}

function blocks(language: string): string[] {
  const pattern = new RegExp('^```' + language + '\\n(.*?)^```$', 'gms');
  return [...document.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** The example in a file's documentation comment. */
function exampleIn(path: string): string {
  const example = /^ \* ```js\n(.*?)^ \* ```$/ms.exec(read(path))?.[1];
  assert.ok(example !== undefined);
  return example.replace(/^ \* ?/gm, '');
}

/** Run a module that imports this package by its name. Its standard output. */
async function run(program: string): Promise<Buffer> {
  const child = spawn(process.execPath, ['--input-type=module', '-'], {
    cwd: root, // where 'nbdcork/transport' is this package
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.end(program);
  return buffer(child.stdout);
}

const migration = blocks('diff').join('');
const client = `
import { connect } from 'node:net';
server.listen(0, '127.0.0.1', () => {
  const socket = connect(server.address().port, '127.0.0.1');
  const request = Buffer.from('cookie_8....');
  request.writeUInt32BE(6, 8);
  socket.end(request);
  socket.setEncoding('latin1').on('data', (data) => process.stdout.write(data));
  socket.on('close', () => server.close());
});
`;

for (const [name, wanted, dropped] of [
  ['before', '-', '+'],
  ['after', '+', '-'],
] as const) {
  test(`the server ${name} the migration`, async () => {
    const lines = migration.split('\n').filter((line) => !line.startsWith(dropped));
    assert.ok(lines.some((line) => line.startsWith(wanted)));
    const program = lines.map((line) => line.slice(1)).join('\n');
    assert.equal((await run(program + client)).toString(), '\0'.repeat(8) + 'cookie_8' + 'datada');
  });
}

test('the migration adds three lines', () => {
  assert.equal(migration.match(/^\+/gm)?.length, 3);
});

test('the examples of messages, batches, memory and backpressure', async () => {
  const program = `
    import assert from 'node:assert/strict';
    import { once } from 'node:events';
    import { connect, createServer } from 'node:net';
    import { buffer } from 'node:stream/consumers';
    import { attach } from 'nbdcork/transport';
    ${blocks('js').join('\n')}
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect(server.address().port, '127.0.0.1');
    const [socket] = await once(server, 'connection');
    server.close();
    const transport = attach(socket);

    reply(transport, 1n, Buffer.from('a'));
    replyAll(transport, [2n, 3n].map((cookie) => ({ cookie, payload: Buffer.from('b') })));
    const large = Buffer.alloc(20_000_000, 'c');
    const received = buffer(client);
    await sendAndReuse(transport, large);
    assert.equal(transport.queuedBytes, 0);
    assert.ok(large.every((byte) => byte === 0));
    const messages = Array.from({ length: 1000 }, () => [Buffer.alloc(5000, 'd'), Buffer.from('e')]);
    await sendAll(transport, messages);
    transport.end();
    process.stdout.write(await received);
  `;
  const header = (cookie: string): string => `67446698${'0'.repeat(23)}${cookie}`;
  const expected = Buffer.concat([
    ...['1', '2', '3'].flatMap((cookie) => [
      Buffer.from(header(cookie), 'hex'),
      Buffer.from(cookie === '1' ? 'a' : 'b'),
    ]),
    Buffer.alloc(20_000_000, 'c'),
    Buffer.from(('d'.repeat(5000) + 'e').repeat(1000)),
  ]);
  assert.ok((await run(program)).equals(expected));
});

for (const [path, expected] of [
  ['lib/transport/attach.ts', 'header,payload'],
  ['lib/transport/transport.ts', '\0\0\0\x07payload'.repeat(3)],
] as const) {
  test(`the example in ${path}`, async () => {
    const program = `
      ${exampleIn(path).replace('10809', "0, '127.0.0.1'")}
      import { once } from 'node:events';
      import { connect } from 'node:net';
      await once(server, 'listening');
      connect(server.address().port, '127.0.0.1')
        .on('close', () => server.close())
        .pipe(process.stdout);
    `;
    assert.equal((await run(program)).toString(), expected);
  });
}
