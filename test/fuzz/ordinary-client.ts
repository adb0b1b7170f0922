/** A well-behaved client beside the fuzzed one, which must be served correctly all the time. */
import assert from 'node:assert/strict';
import { ByteClient, headerKinds } from '../support/byte-client.js';
import { pattern } from '../support/disks.js';
import { cmd } from '../support/numbers.js';
import { ordinaryName } from './model/profiles.js';
import type { Link } from './target.js';

export const ordinaryBytes = 65_536;
/** Then it connects again, with the next kind of headers. */
const checksPerConnection = 50;

export class OrdinaryClient {
  private readonly connect: () => Promise<Link>;
  private readonly model = Buffer.alloc(ordinaryBytes);
  private client: ByteClient | undefined;
  private released: () => Promise<void> = () => Promise.resolve();
  private checks = 0;

  constructor(connect: () => Promise<Link>) {
    this.connect = connect;
  }

  /** Write, then read the same and more. @throws where a reply is wrong. */
  async check(): Promise<void> {
    const count = this.checks++;
    if (count % checksPerConnection === 0) await this.renew(count / checksPerConnection);
    const { client } = this;
    assert.ok(client !== undefined);
    const offset = Math.imul(count, 7919) & 0x7fff;
    const payload = pattern(1 + (Math.imul(count, 104_729) & 0x1fff), count + 1);
    this.model.set(payload, offset);
    assert.equal((await client.call({ type: cmd.write, offset, payload })).error, 0);
    const start = Math.max(0, offset - 1000);
    const length = payload.length + 2000;
    const { error, data } = await client.call({ type: cmd.read, offset: start, length });
    assert.equal(error, 0, 'an error for the ordinary client');
    const expected = this.model.subarray(start, start + length);
    assert.ok(data.equals(expected), 'the ordinary client reads other data than it wrote');
  }

  /** Disconnect, and wait until the server has released the connection. */
  async close(): Promise<void> {
    this.client?.stream.destroy();
    await this.released();
  }

  private async renew(count: number): Promise<void> {
    await this.close();
    const { stream, released } = await this.connect();
    this.released = released;
    this.client = new ByteClient(stream);
    await this.client.open(headerKinds[count % headerKinds.length], ordinaryName);
  }
}
