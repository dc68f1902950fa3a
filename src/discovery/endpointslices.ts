// From the EndpointSlices of service `default/kubernetes` to endpoints. Pure, and total: whatever an API
// server (or something that pretends to be one) sends gives endpoints and a list of problems, never a throw.
//
// The shapes are @kubernetes/client-node's V1EndpointSlice; nothing here trusts them.
import { isIPv4, isIPv6 } from 'node:net';
import type { V1EndpointSlice } from '@kubernetes/client-node';
import { type Endpoint, makeEndpoint } from '../model/endpoint.ts';
import { networkCheck } from '../model/network.ts';
import { isRecord } from '../lib/guards.ts';

/** Far above any control plane; a bound for what a broken object may make us hold. */
export const maxEndpoints = 64;
const maxProblems = 20;
/** The service has one slice for each address family; more than that is an accident or an attack. */
export const maxSlices = 64;
/** Of all slices together, before duplicates are removed. */
export const maxHeldEndpoints = 4 * maxEndpoints;
/** How many of the slices that are left out are named, so that the log does not grow with them. */
const maxNamed = 4;

/** How much a slice says for an endpoint, as kube-proxy ranks them: ready, else serving, else anything. */
type Rank = 'ready' | 'serving' | 'other';

interface RankedEndpoint {
  readonly endpoint: Endpoint;
  readonly rank: Rank;
}

/** One slice, read. `name` is its identity; an object without one is not a slice (a bookmark looks like that). */
export interface ParsedSlice {
  readonly name: string;
  readonly ranked: readonly RankedEndpoint[];
  readonly problems: readonly string[];
  /** False when the object's structure is broken: an earlier version of the slice is better than this one. */
  readonly isWellFormed: boolean;
}

type Unknown<T> = Readonly<Partial<Record<keyof T, unknown>>>;

/** A value for a message: short, on one line, whatever it is. */
function show(value: unknown): string {
  if (typeof value === 'string')
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** The name of a slice object, or undefined when it has none that is usable. */
export function sliceName(object: unknown): string | undefined {
  if (!isRecord(object) || !isRecord(object.metadata)) return undefined;
  const name = object.metadata.name;
  return typeof name === 'string' && name !== '' && name.length <= 253 ? name : undefined;
}

export interface SliceOptions {
  /** The API server that says so is on the loopback itself: of such a cluster (one host, a test) all of them are. */
  readonly mayBeLoopback?: boolean;
}

/** Reads one slice object; undefined when it has no name. */
export function parseSlice(
  object: unknown,
  portName = 'https',
  { mayBeLoopback = false }: SliceOptions = {},
): ParsedSlice | undefined {
  const name = sliceName(object);
  if (name === undefined) return undefined;
  const slice = object as Unknown<V1EndpointSlice>;
  const problems: string[] = [];
  const complain = (where: string, what: string) => {
    if (problems.length < maxProblems) problems.push(`slice ${show(name)}: ${where} ${what}`);
  };
  const broken = (): ParsedSlice => ({ name, ranked: [], problems, isWellFormed: false });

  const { addressType } = slice;
  const entries = slice.endpoints ?? [];
  const ports = slice.ports ?? [];
  if (!Array.isArray(entries)) complain('endpoints', `is ${show(entries)}, not a list`);
  if (!Array.isArray(ports)) complain('ports', `is ${show(ports)}, not a list`);
  if (!Array.isArray(entries) || !Array.isArray(ports)) return broken();
  // The last API server that goes leaves both null: well formed, and empty.
  if (entries.length === 0) return { name, ranked: [], problems, isWellFormed: true };
  if (addressType === 'FQDN') {
    // Deprecated, made by no controller, and kube-proxy ignores it too. Names belong in the configuration.
    complain('addressType', 'FQDN is not used');
    return { name, ranked: [], problems, isWellFormed: true };
  }
  if (addressType !== 'IPv4' && addressType !== 'IPv6') {
    complain('addressType', `is ${show(addressType)}, neither IPv4 nor IPv6`);
    return broken();
  }
  const port = choosePort(ports, portName, complain);
  if (port === undefined) return broken();

  const ranked: RankedEndpoint[] = [];
  for (const [index, entry] of entries.entries()) {
    const where = `endpoints[${index}]`;
    if (!isRecord(entry)) {
      complain(where, `is ${show(entry)}, not an object`);
      continue;
    }
    const addresses = entry.addresses;
    if (!Array.isArray(addresses) || addresses.length === 0) {
      complain(`${where}.addresses`, `is ${show(addresses)}, not a list of addresses`);
      continue;
    }
    const zone = entry.zone;
    const extra = typeof zone === 'string' && zone !== '' && zone.length <= 253 ? { zone } : {};
    const rank = rankOf(entry.conditions);
    for (const [at, address] of addresses.entries()) {
      const problem = addressProblem(address, addressType, mayBeLoopback);
      if (problem) complain(`${where}.addresses[${at}]`, problem);
      else if (ranked.length >= maxEndpoints) {
        complain(where, `and what follows is left out: more than ${maxEndpoints} endpoints`);
        return { name, ranked, problems, isWellFormed: true };
      } else ranked.push({ endpoint: makeEndpoint(address as string, port, extra), rank });
    }
  }
  return { name, ranked, problems, isWellFormed: ranked.length > 0 };
}

const loopback = 'a loopback address';

/**
 * Addresses that name no other host, as the API server's own validation has them (ValidateEndpointIP in
 * kubernetes/pkg/apis/core/validation). Who may write a slice could otherwise have every agent check and use its own node.
 * BlockList looks through ::ffff:a.b.c.d by itself.
 */
const otherKinds = [
  { kind: 'an unspecified address', has: networkCheck(['0.0.0.0/8', '::']) },
  { kind: loopback, has: networkCheck(['127.0.0.0/8', '::1']) },
  { kind: 'a link-local address', has: networkCheck(['169.254.0.0/16', 'fe80::/10']) },
  { kind: 'a multicast address', has: networkCheck(['224.0.0.0/4', 'ff00::/8']) },
  { kind: 'a broadcast address', has: networkCheck(['255.255.255.255']) },
];

/** What is wrong with an address of a slice, or undefined. */
function addressProblem(
  address: unknown,
  addressType: 'IPv4' | 'IPv6',
  mayBeLoopback: boolean,
): string | undefined {
  const isRight = typeof address === 'string' && (addressType === 'IPv4' ? isIPv4(address) : isIPv6(address));
  // A scoped address (fe80::1%eth0) means something on one host only.
  if (!isRight || address.includes('%')) return `is ${show(address)}, not an ${addressType} address`;
  const kind = otherKinds.find(({ has }) => has(address))?.kind;
  if (kind === loopback && mayBeLoopback) return undefined;
  return kind && `is ${show(address)}, ${kind}: no API server of another host`;
}

/** The API says that a missing `ready` counts as true; a missing `serving` follows `ready`. */
function rankOf(conditions: unknown): Rank {
  if (!isRecord(conditions) || conditions.ready !== false) return 'ready';
  return conditions.serving === true ? 'serving' : 'other';
}

/** The port named `portName`, else the only one if it has no name. */
function choosePort(
  ports: readonly unknown[],
  portName: string,
  complain: (where: string, what: string) => void,
): number | undefined {
  const tcp = ports
    .map((port, index) => ({ port, index }))
    .filter(({ port, index }) => {
      if (isRecord(port)) return (port.protocol ?? 'TCP') === 'TCP';
      complain(`ports[${index}]`, `is ${show(port)}, not an object`);
      return false;
    }) as { port: Readonly<Record<string, unknown>>; index: number }[];
  const named = tcp.filter(({ port }) => port.name === portName);
  const nameless = tcp.filter(({ port }) => (port.name ?? '') === '');
  const chosen = named[0] ?? (tcp.length === 1 ? nameless[0] : undefined);
  if (!chosen) {
    complain('ports', `has neither a TCP port named ${portName} nor a single one without a name`);
    return undefined;
  }
  if (named.length > 1)
    complain('ports', `has ${named.length} ports named ${portName}; the first one is used`);
  const number = chosen.port.port;
  if (typeof number === 'number' && Number.isInteger(number) && number >= 1 && number <= 65535) return number;
  complain(`ports[${chosen.index}].port`, `is ${show(number)}, not a number from 1 to 65535`);
  return undefined;
}

/** What the slices say together. */
export interface SliceReading {
  readonly endpoints: readonly Endpoint[];
  readonly problems: readonly string[];
}

/**
 * The slices known so far, by name. Holds the last well-formed version of each: a broken version of a slice
 * does not take away what the good one said; only a well-formed one or a deletion does.
 *
 * Bounded in slices and endpoints. What finds no room is left out until the next list, and a problem names it.
 */
export class SliceSet {
  #slices = new Map<string, ParsedSlice>();
  readonly #leftOut = new Set<string>();
  readonly #portName: string;

  constructor(portName = 'https') {
    this.#portName = portName;
  }

  /** A complete list: slices that it lacks are gone. */
  replace(objects: readonly unknown[], options: SliceOptions = {}): void {
    const before = this.#slices;
    this.#slices = new Map();
    this.#leftOut.clear();
    for (const object of objects) {
      const slice = parseSlice(object, this.#portName, options);
      if (slice) this.#add(slice, before.get(slice.name));
    }
  }

  /** One watch event; objects without a name (bookmarks) change nothing. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: unknown, options: SliceOptions = {}): void {
    if (type === 'DELETED') {
      const name = sliceName(object) ?? '';
      this.#slices.delete(name);
      this.#leftOut.delete(name);
      return;
    }
    const slice = parseSlice(object, this.#portName, options);
    if (slice) this.#add(slice, this.#slices.get(slice.name));
  }

  read(): SliceReading {
    const { endpoints, problems } = readSlices([...this.#slices.values()]);
    if (this.#leftOut.size === 0) return { endpoints, problems };
    const bounds = `more than ${maxSlices} slices or ${maxHeldEndpoints} endpoints; delete the slices that are not the API servers'`;
    const leftOut = [...this.#leftOut].map((name) => `slice ${show(name)} is left out: ${bounds}`);
    return { endpoints, problems: [...leftOut, ...problems].slice(0, maxProblems) };
  }

  #add(slice: ParsedSlice, before: ParsedSlice | undefined): void {
    const { name } = slice;
    const better = slice.isWellFormed || !before ? slice : { ...before, problems: slice.problems };
    let held = better.ranked.length;
    for (const other of this.#slices.values()) if (other.name !== name) held += other.ranked.length;
    const isKnown = this.#slices.has(name);
    if ((isKnown || this.#slices.size < maxSlices) && held <= maxHeldEndpoints) {
      this.#slices.set(name, better);
      this.#leftOut.delete(name);
    } else if (this.#leftOut.size < maxNamed) this.#leftOut.add(name);
  }
}

/** All slices merged: the ready endpoints, or if none is ready the serving ones, or else all. */
export function readSlices(slices: readonly ParsedSlice[]): SliceReading {
  const ranked = slices.flatMap((slice) => slice.ranked);
  const best = (['ready', 'serving', 'other'] as const).find((rank) => ranked.some((r) => r.rank === rank));
  const byId = new Map<string, Endpoint>();
  for (const { endpoint, rank } of ranked) {
    if (rank !== best || byId.size >= maxEndpoints) continue;
    const known = byId.get(endpoint.id);
    byId.set(endpoint.id, known ? { ...endpoint, ...known } : endpoint);
  }
  return {
    endpoints: [...byId.values()],
    problems: slices.flatMap((slice) => slice.problems).slice(0, maxProblems),
  };
}
