/**
 * Access rules: which clients may use which exports. The first rule that matches
 * decides. A client that matches no rule is allowed only if no rule allows anything.
 */
import { BlockList, isIP } from 'node:net';
import { NbdError } from '../errors.js';
import type { Client } from '../handshake/client.js';

/** One rule, made by `parseAccessRule`. */
export interface AccessRule {
  /** The text that the rule was made from. */
  readonly text: string;
  /** The property that it tests, such as `address`. */
  readonly kind: string;
  /** True for a rule that allows, false for one that denies. */
  readonly allows: boolean;
  /** The only export that it applies to; undefined for all exports. */
  readonly exportName: string | undefined;
  /** Undefined if that is unknown before the client has sent NBD_OPT_STARTTLS. */
  readonly matches: (client: Client) => boolean | undefined;
}

type Matcher = AccessRule['matches'];

const syntax =
  'Use any, address:ADDRESS[/BITS], address:FIRST-LAST, user:UID, group:GID, ' +
  'certificate:NAME or psk:IDENTITY, with the prefix EXPORT= for one export.';

/** A rule, or the shortest name that a rule follows. */
const knownKinds = /^(?:(.*?)=)??((?:any$|(?:address|user|group|certificate|psk):).*)$/s;

/**
 * Parses a rule such as `address:10.0.0.0/8`, `backup=user:1000` or
 * `certificate:CN=backup`. The part before an '=' is the name of an export if a
 * rule follows, unless the text begins like a rule itself.
 * @throws NbdError `NBDCORK_BAD_RULE`.
 */
export function parseAccessRule(text: string, allows: boolean): AccessRule {
  const match = knownKinds.exec(text) ?? /^(?:([^/:=]*)=)?(.*)$/s.exec(text);
  const [, exportName, condition = ''] = match ?? [];
  const colon = condition.indexOf(':');
  const kind = colon < 0 ? condition : condition.slice(0, colon);
  const value = colon < 0 ? '' : condition.slice(colon + 1);
  return { text, kind, allows, exportName, matches: matcher(kind, value, text, allows) };
}

/** Makes an `Allow` function from rules. */
export function allowByRules(
  rules: readonly AccessRule[],
): (client: Client, exportName?: string) => boolean {
  const allowsOthers = !rules.some(({ allows }) => allows);
  return (client, exportName) => {
    for (const rule of rules) {
      // A client that has just connected may request any export.
      const applies = rule.exportName === undefined || rule.exportName === exportName;
      if (!applies && exportName !== undefined) continue;
      const matches = rule.matches(client);
      if (matches === false) continue;
      if (exportName === undefined && (!applies || matches === undefined)) return true;
      if (matches === true) return rule.allows;
    }
    return allowsOthers;
  };
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

/** A Unix client without known credentials matches every rule that denies, and no rule that allows. */
function numberMatcher(
  value: string,
  text: string,
  allows: boolean,
  numberOf: (client: Client) => number | undefined,
): Matcher {
  if (!/^[0-9]+$/.test(value)) {
    throw badRule(text, 'The user or group must be a number: "id" prints it.');
  }
  const expected = Number(value);
  return (client) => {
    const number = numberOf(client);
    return number === undefined ? client.kind === 'unix' && !allows : number === expected;
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
    // Without the zone of a link-local address: fe80::1%eth0.
    const plain = address?.replace(/%.*$/, '');
    if (plain === undefined || isIP(plain) === 0) return false;
    return list.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4');
  };
}

function addRange(list: BlockList, first: string, last: string, text: string): void {
  const family = familyOf(first, text);
  if (familyOf(last, text) !== family) {
    throw badRule(text, 'Both ends of a range must be IPv4 or both IPv6.');
  }
  try {
    list.addRange(first, last, family);
  } catch (cause) {
    throw badRule(text, `The range is empty: try ${last}-${first}.`, cause);
  }
}

function addSubnet(list: BlockList, network: string, bits: string, text: string): void {
  const family = familyOf(network, text);
  const bitsMax = family === 'ipv4' ? 32 : 128;
  if (!/^[0-9]+$/.test(bits) || Number(bits) > bitsMax) {
    throw badRule(text, `The prefix length of ${network} must be an integer from 0 to ${bitsMax}.`);
  }
  list.addSubnet(network, Number(bits), family);
}

/** @throws NbdError `NBDCORK_BAD_RULE`. */
function familyOf(address: string, text: string): 'ipv4' | 'ipv6' {
  const version = isIP(address);
  if (version === 0) throw badRule(text, `Invalid IP address '${address}'. ${syntax}`);
  return version === 6 ? 'ipv6' : 'ipv4';
}

export function badRule(text: string, reason: string, cause?: unknown): NbdError {
  return new NbdError('NBDCORK_BAD_RULE', `Invalid access rule '${text}'. ${reason}`, cause);
}
