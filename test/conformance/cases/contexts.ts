/** "Metadata querying", of servers that have it: the options, then NBD_CMD_BLOCK_STATUS. */
import assert from 'node:assert/strict';
import type { Headers } from '../../support/byte-client.js';
import { cmd, cmdFlag, err, opt, rep, transmission } from '../../support/numbers.js';
import { contextData, contextListData } from '../../support/status.js';
import { withEachHeaderKind, duringNegotiation, requireOffered, type Case } from '../case.js';
import { exportName, NotOffered, type Client, type Reply } from '../client.js';
import { content, diskBytes } from '../disks.js';

const allocation = 'base:allocation';

/** The names that the option answers with. */
async function ask(client: Client, option: number, ...queries: string[]): Promise<string[]> {
  const replies = await client.option(option, contextData(exportName, queries));
  const final = replies.pop()?.type;
  if (final === rep.errUnsup) throw new NotOffered('no metadata contexts');
  assert.equal(final, rep.ack);
  return replies.map(({ type, data }) => {
    assert.equal(type, rep.metaContext);
    return data.toString('utf8', 4);
  });
}

const list = (client: Client, ...queries: string[]): Promise<string[]> =>
  ask(client, opt.listMetaContext, ...queries);
const set = (client: Client, ...queries: string[]): Promise<string[]> =>
  ask(client, opt.setMetaContext, ...queries);

async function refuses(client: Client, data: Uint8Array): Promise<void> {
  await list(client);
  for (const option of [opt.listMetaContext, opt.setMetaContext]) {
    assert.equal(await client.finalReply(option, data), rep.errInvalid);
  }
  assert.deepEqual(await set(client, allocation), [allocation]);
}

const good = contextData(exportName, [allocation]);

const options: readonly Case[] = [
  {
    section: 'NBD_OPT_LIST_META_CONTEXT',
    level: 'MUST',
    title: 'LIST_META_CONTEXT without a query lists contexts, base:allocation among them',
    check: duringNegotiation(async (client) => {
      assert.ok((await list(client)).includes(allocation));
    }, 'structured'),
  },
  {
    section: 'The base: metadata namespace',
    level: 'MUST',
    title: 'LIST_META_CONTEXT takes base: for all of the namespace',
    check: duringNegotiation(async (client) => {
      assert.deepEqual(await list(client, 'base:'), [allocation]);
    }, 'structured'),
  },
  {
    section: 'NBD_OPT_LIST_META_CONTEXT',
    level: 'MUST',
    title: 'queries of unknown namespaces are ignored',
    check: duringNegotiation(async (client) => {
      assert.deepEqual(await list(client, 'x-unknown:leaf', 'x-this:'), []);
      assert.deepEqual(await set(client, 'x-unknown:leaf', allocation), [allocation]);
    }, 'structured'),
  },
  {
    section: 'The base: metadata namespace',
    level: 'MUST',
    title: 'SET_META_CONTEXT ignores base: and leaves that are not there',
    check: duringNegotiation(async (client) => {
      assert.deepEqual(await set(client, 'base:', 'base:nothing'), []);
    }, 'structured'),
  },
  {
    section: 'NBD_OPT_LIST_META_CONTEXT',
    level: 'MUST',
    title: 'a query that is longer than the data is ERR_INVALID',
    check: duringNegotiation(
      (client) => refuses(client, good.subarray(0, good.length - 1)),
      'structured',
    ),
  },
  {
    section: 'NBD_OPT_LIST_META_CONTEXT',
    level: 'MUST',
    title: 'fewer queries than announced are ERR_INVALID',
    check: duringNegotiation(
      (client) => refuses(client, contextData(exportName, [], 7)),
      'structured',
    ),
  },
  {
    section: 'NBD_OPT_SET_META_CONTEXT',
    level: 'SHOULD',
    title: 'SET_META_CONTEXT without structured replies is ERR_INVALID or ERR_EXT_HEADER_REQD',
    check: duringNegotiation(async (client) => {
      const final = await client.finalReply(opt.setMetaContext, good);
      if (final === rep.errUnsup) throw new NotOffered('no metadata contexts');
      assert.ok(final === rep.errInvalid || final === rep.errExtHeaderReqd, final.toString(16));
    }),
  },
];

/** Contexts are selected, and so is the export. */
function querying(
  check: (client: Client, flags: number) => Promise<void>,
  kinds: readonly Headers[] = ['structured', 'extended'],
): Case['check'] {
  return withEachHeaderKind(check, kinds, [allocation]);
}

/** What the checks of every reply do not see: that it is about this context, and no other. */
function extentsOf(client: Client, reply: Reply): readonly (readonly [bigint, bigint])[] {
  assert.equal(reply.error, 0);
  const [status, ...others] = reply.status;
  assert.deepEqual(others, [], 'one chunk a context');
  assert.ok(status !== undefined, 'a chunk for the context');
  assert.equal(status.id, client.contextIds[0]);
  return status.extents;
}

const whole = { type: cmd.blockStatus, offset: 0, length: diskBytes.writable };

const requests: readonly Case[] = [
  {
    section: 'NBD_CMD_BLOCK_STATUS',
    level: 'MUST',
    title: 'BLOCK_STATUS returns extents: data are not reported as zeros',
    check: querying(async (client) => {
      const extents = extentsOf(client, await client.call(whole));
      let offset = 0n;
      for (const [length, flags] of extents) {
        if (offset < content.length) assert.equal(flags & 2n, 0n, `zeros at ${offset}`);
        offset += length;
      }
    }),
  },
  {
    section: 'NBD_CMD_FLAG_REQ_ONE',
    level: 'MUST',
    title: 'REQ_ONE asks for one extent that is no longer than the request',
    check: querying(async (client) => {
      const fields = { ...whole, offset: 1536, length: 1024, flags: cmdFlag.reqOne };
      assert.equal(extentsOf(client, await client.call(fields)).length, 1);
    }),
  },
  {
    section: 'NBD_CMD_BLOCK_STATUS',
    level: 'SHOULD',
    title: 'BLOCK_STATUS past the end is EINVAL',
    check: querying(async (client) => {
      const fields = { ...whole, offset: diskBytes.writable - 512, length: 1024 };
      assert.equal((await client.call(fields)).error, err.EINVAL);
    }),
  },
  {
    section: 'NBD_CMD_BLOCK_STATUS',
    level: 'SHOULD',
    title: 'BLOCK_STATUS of no bytes does not disconnect',
    check: querying(async (client) => {
      // "the behavior [...] is unspecified".
      client.request({ ...whole, length: 0 });
      await client.skipReply();
      assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
    }),
  },
  {
    section: 'NBD_CMD_BLOCK_STATUS',
    level: 'SHOULD',
    title: 'BLOCK_STATUS without a context is EINVAL',
    check: withEachHeaderKind(async (client) => {
      assert.equal((await client.call(whole)).error, err.EINVAL);
    }),
  },
  {
    section: 'NBD_OPT_SET_META_CONTEXT',
    level: 'MUST',
    title: 'a selection that fails selects nothing',
    check: duringNegotiation(async (client) => {
      await client.setMetaContexts([allocation]);
      assert.equal(
        await client.finalReply(opt.setMetaContext, good.subarray(0, 9)),
        rep.errInvalid,
      );
      await client.describe(opt.go);
      assert.equal((await client.call(whole)).error, err.EINVAL);
    }, 'structured'),
  },
  {
    section: 'NBD_FLAG_BLOCK_STATUS_PAYLOAD',
    level: 'MUST',
    title: 'BLOCK_STATUS with a payload is about the contexts in it, and others are EINVAL',
    check: querying(
      async (client, flags) => {
        requireOffered(flags, transmission.blockStatusPayload, 'BLOCK_STATUS_PAYLOAD');
        const [id = 0] = client.contextIds;
        const withList = { type: cmd.blockStatus, flags: cmdFlag.payloadLen };
        const known = { ...withList, payload: contextListData(diskBytes.writable, [id]) };
        extentsOf(client, await client.call(known));
        const unknown = { ...withList, payload: contextListData(diskBytes.writable, [id + 77]) };
        assert.equal((await client.call(unknown)).error, err.EINVAL);
        const twice = { ...withList, payload: contextListData(diskBytes.writable, [id, id]) };
        assert.equal((await client.call(twice)).error, err.EINVAL);
        assert.equal((await client.call({ type: cmd.read, length: 512 })).error, 0);
      },
      ['extended'],
    ),
  },
];

export const contexts: readonly Case[] = [...options, ...requests];
