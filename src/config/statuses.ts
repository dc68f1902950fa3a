// Sets of HTTP statuses as they are configured: `200`, `200-299,401`.
import type { Parsed } from '../model/endpoint.ts';

/** HTTP statuses, both ends included. */
export interface StatusRange {
  readonly from: number;
  readonly to: number;
}

const wanted = 'HTTP statuses such as 200 or 200-299,401 (each from 100 to 599)';

/** Parses statuses and ranges, separated by commas. */
export function parseStatuses(text: string): Parsed<readonly StatusRange[]> {
  const ranges: StatusRange[] = [];
  for (const part of text.split(',')) {
    const match = /^\s*([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?\s*$/.exec(part);
    if (!match) return { ok: false, problem: wanted };
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (to < from) return { ok: false, problem: `${wanted}; ${from}-${to} runs backwards` };
    ranges.push({ from, to });
  }
  return { ok: true, value: ranges };
}

export function formatStatuses(ranges: readonly StatusRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

export function includesStatus(ranges: readonly StatusRange[], status: number): boolean {
  return ranges.some(({ from, to }) => status >= from && status <= to);
}
