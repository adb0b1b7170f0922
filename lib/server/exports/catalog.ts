import type { ExportDescription } from '../../backend/export.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import { isHidden } from '../../handshake/export-catalog.js';
import { quoted } from '../../quoted.js';
import type { AccessControl } from '../access.js';
import { Backends } from './backends.js';
import {
  checkBackend,
  checkDescription,
  checkOptions,
  isObject,
  optionsOf,
} from './check-export.js';
import type { Logger } from '../log/logger.js';
import type { ExportFinder, ExportOptions, Exports } from '../options.js';

export interface CatalogOptions {
  readonly access: AccessControl;
  /** Name of the export for clients that request the empty name. */
  readonly defaultExport: string | undefined;
  readonly openExportsMax: number;
  readonly logger: Logger;
}

/** The exports of a server: those given by name, or a finder. */
export class Catalog {
  private readonly fixed: ReadonlyMap<string, ExportOptions>;
  private readonly finder: ExportFinder | undefined;
  private readonly options: CatalogOptions;
  readonly backends: Backends;

  /** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_STRING` for an export that no client can use. */
  constructor(exports: Exports, options: CatalogOptions) {
    if (!isObject(exports)) {
      throw badExport('No exports: set `exports` to an object of exports by name, or to a finder.');
    }
    this.options = options;
    this.finder = isFinder(exports) ? exports : undefined;
    this.fixed = new Map(
      Object.entries(isFinder(exports) ? {} : exports).map(([name, value]) => {
        const entry = optionsOf(value);
        checkOptions(name, entry);
        if (typeof entry.backend !== 'function') checkBackend(name, entry.backend);
        return [name, entry];
      }),
    );
    const { defaultExport } = options;
    if (this.finder === undefined && this.fixed.size === 0) {
      throw badExport('No exports: add at least one.');
    }
    if (
      this.finder === undefined &&
      defaultExport !== undefined &&
      !this.fixed.has(defaultExport)
    ) {
      throw badExport(
        `Unknown default export ${quoted(defaultExport)}: it must be one of the exports.`,
      );
    }
    const backends = [...this.fixed.values()].map(({ backend }) => backend);
    this.backends = new Backends(
      backends.filter((backend) => typeof backend !== 'function'),
      // The number of exports given by name is fixed.
      this.finder === undefined ? Infinity : options.openExportsMax,
      options.logger,
    );
  }

  /** Names of the exports, without those of a finder. */
  get names(): readonly string[] {
    return [...this.fixed.keys()];
  }

  /** False for an export of a finder, which is unknown before it is requested. */
  requiresTls(name: string): boolean {
    return this.fixed.get(this.nameOf(name))?.tls === 'require';
  }

  /**
   * Undefined if there is no such export, or none without TLS.
   * @throws NbdError `NBDCORK_EXPORT_DENIED` or `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async find(
    requested: string,
    client: Client,
    mayStartTls: boolean,
  ): Promise<(ExportDescription & ExportOptions) | undefined> {
    const name = this.nameOf(requested);
    if (!(await this.options.access.allows(client, name))) {
      // A client that can start TLS is told to do so for any name, so that it cannot
      // find out which names exist.
      if (mayStartTls) return undefined;
      throw denied(name);
    }
    const entry = this.fixed.get(name) ?? (await this.findByName(name, client));
    if (entry === undefined) return undefined;
    if (isHidden(entry, client)) {
      await this.backends.hold(name, entry.backend);
      return undefined;
    }
    return { ...entry, name };
  }

  /** The empty name is the default export, unless there is an export with that name. */
  private nameOf(requested: string): string {
    return requested === '' && !this.fixed.has('') ? (this.options.defaultExport ?? '') : requested;
  }

  /** @throws NbdError `NBDCORK_LIST_UNAVAILABLE`. */
  async list(client: Client): Promise<readonly ExportDescription[]> {
    try {
      return await this.listFor(client);
    } catch (error) {
      this.options.logger.error({ err: error }, `cannot list exports: ${messageOf(error)}`);
      throw new NbdError(
        'NBDCORK_LIST_UNAVAILABLE',
        'The list of exports is unavailable: see the log of the server.',
        error,
      );
    }
  }

  private async listFor(client: Client): Promise<readonly ExportDescription[]> {
    const entries =
      this.finder === undefined
        ? [...this.fixed].map(([name, entry]) => ({ ...entry, name }))
        : ((await this.finder.list?.(client)) ?? []);
    const listed: ExportDescription[] = [];
    for (const entry of entries) {
      if (this.isListable(entry) && (await this.options.access.allows(client, entry.name)))
        listed.push(entry);
    }
    return listed;
  }

  /** False for a name or a description that cannot be sent to clients, which is logged. */
  private isListable(entry: ExportDescription): boolean {
    try {
      checkDescription(entry);
      return true;
    } catch (error) {
      this.options.logger.error({ err: error }, `cannot list an export: ${messageOf(error)}`);
      return false;
    }
  }

  private findByName(name: string, client: Client): Promise<ExportOptions | undefined> {
    return this.backends.attempt(name, async () => {
      const value = await this.finder?.find(name, client);
      if (value === undefined) return undefined;
      const entry = optionsOf(value);
      try {
        checkOptions(name, entry);
      } catch (error) {
        if (isObject(entry)) await this.backends.discard(entry.backend);
        throw error;
      }
      return entry;
    });
  }
}

function isFinder(exports: Exports): exports is ExportFinder {
  return typeof exports.find === 'function';
}

function badExport(message: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', message);
}

function denied(name: string): NbdError {
  return new NbdError('NBDCORK_EXPORT_DENIED', `Access to export ${quoted(name)} denied.`);
}
