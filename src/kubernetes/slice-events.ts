// Reads what the list and the watch of EndpointSlices send. Pure; whatever is not as the API says is garbage.
import { readJson } from '../lib/bounded-json.ts';
import { fieldsOf } from '../lib/guards.ts';

export type SliceList =
  | { readonly ok: true; readonly items: readonly unknown[]; readonly resourceVersion: string }
  | { readonly ok: false; readonly problem: string };

export type SliceChange = 'ADDED' | 'MODIFIED' | 'DELETED';

export type SliceEvent =
  | {
      readonly type: 'change';
      readonly change: SliceChange;
      readonly object: unknown;
      readonly resourceVersion?: string;
    }
  | { readonly type: 'bookmark'; readonly resourceVersion?: string }
  | { readonly type: 'error'; readonly code: number; readonly reason: string }
  | { readonly type: 'garbage'; readonly problem: string };

function member(value: unknown, name: string): unknown {
  return fieldsOf(value)[name];
}

function resourceVersionOf(object: unknown): { resourceVersion?: string } {
  const value = member(member(object, 'metadata'), 'resourceVersion');
  // Opaque to clients, but it goes into a URL and is held: digits in every server there is.
  return typeof value === 'string' && /^[0-9]{1,20}$/.test(value) ? { resourceVersion: value } : {};
}

/** A list's body. Never takes garbage for an empty list. */
export function parseSliceList(body: string): SliceList {
  const reading = readJson(body);
  if (!reading.ok) return { ok: false, problem: `the list ${reading.problem}` };
  const list = reading.value;
  if (member(list, 'kind') !== 'EndpointSliceList') return { ok: false, problem: 'not an EndpointSliceList' };
  const items = member(list, 'items') ?? []; // Go writes an empty list as null
  if (!Array.isArray(items)) return { ok: false, problem: 'the items of the list are not a list' };
  if (member(member(list, 'metadata'), 'continue')) return { ok: false, problem: 'an incomplete list' };
  const { resourceVersion } = resourceVersionOf(list);
  if (resourceVersion === undefined) return { ok: false, problem: 'the list has no resourceVersion' };
  return { ok: true, items, resourceVersion };
}

/** One line of a watch. */
export function parseSliceEvent(line: string): SliceEvent {
  const reading = readJson(line);
  if (!reading.ok) return { type: 'garbage', problem: `a line that ${reading.problem}` };
  const event = reading.value;
  const type = member(event, 'type');
  const object = member(event, 'object');
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return { type: 'change', change: type, object, ...resourceVersionOf(object) };
    case 'BOOKMARK':
      return { type: 'bookmark', ...resourceVersionOf(object) };
    case 'ERROR': {
      const code = member(object, 'code');
      const reason = member(object, 'reason');
      return {
        type: 'error',
        code: typeof code === 'number' && Number.isInteger(code) ? code : 0,
        reason: typeof reason === 'string' && /^[A-Za-z]{1,60}$/.test(reason) ? reason : 'no reason',
      };
    }
    default:
      return { type: 'garbage', problem: 'not a watch event' };
  }
}
