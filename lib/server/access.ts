import type { MaybePromise } from '../backend/maybe-promise.js';
import { messageOf } from '../errors.js';
import { peerName, type Client } from '../handshake/client.js';
import type { Logger } from './log/logger.js';

/**
 * Decides whether `client` may use an export. It is called without a name when a
 * client connects: false then closes the connection, true lets the client
 * negotiate. If it throws, access is denied and the error is logged.
 */
export type Allow = (client: Client, exportName?: string) => boolean | Promise<boolean>;

/** Asks the user's `allow` function; an error in it denies access. */
export class AccessControl {
  private readonly allow: Allow;
  private readonly logger: Logger;

  constructor(allow: Allow = () => true, logger: Logger) {
    this.allow = allow;
    this.logger = logger;
  }

  /** Whether the client may connect, or may use the export of that name. */
  allows(client: Client, exportName?: string): MaybePromise<boolean> {
    try {
      const allowed = this.allow(client, exportName);
      return typeof allowed === 'boolean' ? allowed : this.settled(allowed, client, exportName);
    } catch (error) {
      return this.failed(error, client, exportName);
    }
  }

  private async settled(
    allowed: Promise<boolean>,
    client: Client,
    exportName: string | undefined,
  ): Promise<boolean> {
    try {
      return await allowed;
    } catch (error) {
      return this.failed(error, client, exportName);
    }
  }

  private failed(error: unknown, client: Client, exportName: string | undefined): false {
    this.logger.error(
      { peer: peerName(client), export: exportName, err: error },
      `access check failed: ${messageOf(error)}`,
    );
    return false;
  }
}
