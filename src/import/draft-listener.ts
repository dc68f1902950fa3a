// The listeners of an import: who may connect, and which of them become one.
import { isWildcard } from '../model/host.ts';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { type AddressSet, isEvery, networkTexts } from './address-set.ts';
import type { DraftNotes } from './draft-notes.ts';

/** Who may connect to a listener. */
export interface ListenerAccess {
  readonly allowed: AddressSet;
  /** The lines of the rules that `allowed` comes from. */
  readonly lines: readonly number[];
  /** Some rule cannot be expressed; its note is written already. */
  readonly isClosed: boolean;
}

/** What a listener says beside its address. */
export interface ListenerOptions {
  readonly acceptProxyFrom?: readonly string[];
  readonly access?: ListenerAccess;
}

export interface DraftListener extends HostPort {
  readonly directive: string;
  readonly pool: string | undefined;
  lines: number[];
  readonly acceptProxyFrom: readonly string[] | undefined;
  allowFrom: readonly string[] | undefined;
}

/** The network of no client: an address that no connection comes from. */
const closedTo: readonly string[] = ['0.0.0.0'];
export const isClosedText =
  'the listener is closed (allowFrom: 0.0.0.0) until you list in allowFrom who may connect';
/** More networks than this are not a list that anyone maintains. */
const maxNetworks = 128;

/** As the check of listeners has it: two that cannot be bound together. */
export function overlaps(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.host.includes(':') !== b.host.includes(':')) return false;
  return a.host === b.host || isWildcard(a.host) || isWildcard(b.host);
}

export function allowFromOf(
  access: ListenerAccess,
  line: number,
  directive: string,
  notes: DraftNotes,
): readonly string[] | undefined {
  if (access.isClosed) return closedTo;
  if (isEvery(access.allowed)) return undefined;
  const networks = networkTexts(access.allowed);
  if (networks.length <= maxNetworks) return networks.length === 0 ? closedTo : networks;
  notes.add(
    'todo',
    line,
    directive,
    `its rules allow ${networks.length} separate networks, which is too many for a list; ${isClosedText}`,
  );
  return closedTo;
}

/** Fairlead binds an address once: a wildcard stands for the other addresses of its port. False: `added` is to be listed. */
export function mergeListener(listeners: DraftListener[], added: DraftListener, notes: DraftNotes): boolean {
  const others = listeners.filter((other) => overlaps(other, added));
  if (others.length === 0) return false;
  const keeper = others.find(({ host }) => host === added.host || isWildcard(host)) ?? added;
  const same = ({ pool, allowFrom, acceptProxyFrom }: DraftListener) =>
    JSON.stringify([pool, allowFrom ?? null, acceptProxyFrom ?? null]);
  const bound = formatHostPort(keeper);
  for (const other of keeper === added ? others : [added]) {
    const { directive, lines } = other;
    const [at] = lines;
    if (same(other) === same(keeper)) {
      notes.add('covered', at, directive, `${bound} has this port for every address`);
    } else {
      notes.add(
        'todo',
        at,
        directive,
        `${bound} has this port too, with other rules, headers or servers; Fairlead binds it once: ${isClosedText}`,
      );
      keeper.allowFrom = closedTo;
    }
    keeper.lines = [...new Set([...keeper.lines, ...lines.slice(1)])];
    const index = listeners.indexOf(other);
    if (index >= 0) listeners.splice(index, 1);
  }
  return keeper !== added;
}
