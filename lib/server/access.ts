/**
 * Who may use which export. Rules are looked at in order and the first that
 * matches decides; a client that none matches may come in where no rule allows
 * anything, and not otherwise.
 */
import { BlockList, isIP } from 'node:net';
import { NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';
import { quoted } from '../quoted.js';
import type { TlsOptions } from './tls/options.js';

/**
 * Decides whether `client` may use the export of that name. Without a name it
 * is asked of a client that has just connected: false closes the connection,
 * true lets it go on to ask for an export. Where it throws, that is false, and
 * an error in the log.
 */
export type Allow = (client: Client, exportName?: string) => boolean | Promise<boolean>;

/** One rule, as `parseAccessRule` makes it. */
export interface AccessRule {
  /** The text that the rule was made from. */
  readonly text: string;
  /** What it asks of a client, such as `address`. */
  readonly kind: string;
  /** True for a rule that allows, false for one that denies. */
  readonly allows: boolean;
  /** The only export that it is about; undefined is all of them. */
  readonly exportName: string | undefined;
  /** Undefined where that cannot be said before the client has sent NBD_OPT_STARTTLS. */
  readonly matches: (client: Client) => boolean | undefined;
}

type Matcher = AccessRule['matches'];

const syntax =
  'Write any, address:ADDRESS[/BITS] or address:FIRST-LAST, user:UID, group:GID, ' +
  'certificate:NAME or psk:IDENTITY, with EXPORT= before it for one export.';

/**
 * A rule from its text, such as `address:10.0.0.0/8`, `backup=user:1000` or
 * `certificate:CN=backup`. What stands before the first '=' is the name of an
 * export if it has no ':' and no '/' in it.
 * @throws NbdError `NBDCORK_BAD_RULE`.
 */
export function parseAccessRule(text: string, allows: boolean): AccessRule {
  const match = /^(?:([^/:=]*)=)?(.*)$/s.exec(text);
  const [, exportName, condition = ''] = match ?? [];
  const colon = condition.indexOf(':');
  const kind = colon < 0 ? condition : condition.slice(0, colon);
  const value = colon < 0 ? '' : condition.slice(colon + 1);
  return { text, kind, allows, exportName, matches: matcher(kind, value, text, allows) };
}

/** One decision from all rules. */
export function allowByRules(
  rules: readonly AccessRule[],
): (client: Client, exportName?: string) => boolean {
  const allowsOthers = !rules.some(({ allows }) => allows);
  return (client, exportName) => {
    for (const rule of rules) {
      // Of a client that has just connected it is not known what it will ask for.
      const isAbout = rule.exportName === undefined || rule.exportName === exportName;
      if (!isAbout && exportName !== undefined) continue;
      const matches = rule.matches(client);
      if (matches === false) continue;
      if (exportName === undefined && (!isAbout || matches === undefined)) return true;
      if (matches === true) return rule.allows;
    }
    return allowsOthers;
  };
}

/**
 * Rules about one export are about one of `names`: a name that is mistyped
 * would keep nobody out. Clients that ask for no name are asked about by the
 * name of the default export.
 * @throws NbdError `NBDCORK_BAD_RULE` for a rule about an export that is not served.
 */
export function checkRuleExports(rules: readonly AccessRule[], names: readonly string[]): void {
  for (const { exportName, text } of rules) {
    if (exportName === undefined || names.includes(exportName)) continue;
    const served = names.map((name) => (name === '' ? 'the one without a name' : quoted(name)));
    throw badRule(text, `There is no export ${quoted(exportName)}, only ${served.join(', ')}.`);
  }
}

/**
 * Rules about certificates and keys are worth something with this TLS.
 * @throws NbdError `NBDCORK_BAD_RULE` for one that no client can match, or that
 *   keeps out only those who say who they are.
 */
export function checkTlsRules(rules: readonly AccessRule[], tls: TlsOptions | undefined): void {
  const { mode = 'on', certificate, verifyPeer = false, preSharedKeys } = tls ?? {};
  const provable = {
    certificate: certificate !== undefined && verifyPeer,
    psk: preSharedKeys !== undefined,
  };
  const mayHide = mode !== 'require' || (certificate !== undefined && !verifyPeer);
  for (const { kind, text, allows } of rules) {
    if (kind !== 'certificate' && kind !== 'psk') continue;
    if (mode === 'off' || !provable[kind]) {
      const needed = kind === 'psk' ? '--tls-psk' : '--tls-certificates and --tls-verify-peer';
      throw badRule(text, `Nobody can match it: give ${needed}, and not --tls off.`);
    }
    if (!allows && mayHide) {
      throw badRule(
        text,
        'Whom it denies gets around it by not saying who it is: give --tls require, and ' +
          '--tls-verify-peer with certificates; or --allow those who may come in instead.',
      );
    }
  }
}

function matcher(kind: string, value: string, text: string, allows: boolean): Matcher {
  switch (kind) {
    case 'any':
      if (value !== '') break;
      return () => true;
    case 'address':
      return addressMatcher(value, text);
    case 'user':
      return numberMatcher(value, text, allows, ({ uid }) => uid);
    case 'group':
      return numberMatcher(value, text, allows, ({ gid }) => gid);
    case 'certificate':
      if (value === '') break;
      return ({ tls }) => tls && namesIn(tls.certificateSubject).includes(value);
    case 'psk':
      if (value === '') break;
      return ({ tls }) => (tls === undefined ? undefined : tls.pskIdentity === value);
  }
  throw badRule(text, syntax);
}

/** A certificate matches by its whole distinguished name, and by each part of it. */
function namesIn(subject: string | undefined): readonly string[] {
  return subject === undefined ? [] : [subject, ...subject.split(/(?<!\\)[,+]/)];
}

/** A Unix client of which nobody knows who it is may be the one to keep out, and is never the one to let in. */
function numberMatcher(
  value: string,
  text: string,
  allows: boolean,
  numberOf: (client: Client) => number | undefined,
): Matcher {
  if (!/^[0-9]+$/.test(value)) {
    throw badRule(text, 'Give the number of the user or group, which "id" shows.');
  }
  const number = Number(value);
  return (client) => {
    const its = numberOf(client);
    return its === undefined ? client.kind === 'unix' && !allows : its === number;
  };
}

function addressMatcher(value: string, text: string): Matcher {
  const list = new BlockList();
  const [first = '', last, ...behind] = value.split('-');
  const [network = '', bits, ...further] = value.split('/');
  if (behind.length + further.length > 0) throw badRule(text, syntax);
  if (last !== undefined) addRange(list, first, last, text);
  else if (bits !== undefined) addSubnet(list, network, bits, text);
  else list.addAddress(value, familyOf(value, text));
  return ({ address }) => {
    // The zone of a link-local address is not part of it: fe80::1%eth0.
    const plain = address?.replace(/%.*$/, '');
    if (plain === undefined || isIP(plain) === 0) return false;
    return list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
  };
}

function addRange(list: BlockList, first: string, last: string, text: string): void {
  const family = familyOf(first, text);
  if (familyOf(last, text) !== family) {
    throw badRule(text, 'Both ends of a range must be of IPv4, or both of IPv6.');
  }
  try {
    list.addRange(first, last, family);
  } catch (cause) {
    throw badRule(
      text,
      `A range must begin with its lowest address: is it ${last}-${first}?`,
      cause,
    );
  }
}

function addSubnet(list: BlockList, network: string, bits: string, text: string): void {
  const family = familyOf(network, text);
  const bitsMax = family === 'ipv4' ? 32 : 128;
  if (!/^[0-9]+$/.test(bits) || Number(bits) > bitsMax) {
    throw badRule(
      text,
      `Behind the '/' of ${network} must be a number of bits from 0 to ${bitsMax}.`,
    );
  }
  list.addSubnet(network, Number(bits), family);
}

/** @throws NbdError `NBDCORK_BAD_RULE` for what is no address. */
function familyOf(address: string, text: string): 'ipv4' | 'ipv6' {
  const version = isIP(address);
  if (version === 0) throw badRule(text, `'${address}' is no IP address. ${syntax}`);
  return version === 6 ? 'ipv6' : 'ipv4';
}

function badRule(text: string, why: string, cause?: unknown): NbdError {
  return new NbdError(
    'NBDCORK_BAD_RULE',
    `The access rule "${text}" cannot be used. ${why}`,
    cause,
  );
}
