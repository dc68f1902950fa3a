// The kinds of settings that say what a health check asks and which answers are good.
import * as v from 'valibot';
import type { Parsed } from '../model/endpoint.ts';
import { showValue } from './problem.ts';
import { type Notes, type Optional, optional, parsed, type Setting, text, withKey } from './setting.ts';
import { formatStatuses, parseStatuses, type StatusRange } from './statuses.ts';

const same = (value: string): unknown => value;

const statusSchema = v.pipe(
  v.unknown(),
  parsed((input): Parsed<readonly StatusRange[]> => {
    const items = Array.isArray(input) ? input : [input];
    const isPlain = items.every((item) => typeof item === 'string' || typeof item === 'number');
    // An empty list would accept nothing; joined it is an empty text, which does not parse.
    return parseStatuses(isPlain ? items.join(',') : showValue(input));
  }),
);

const writeStatuses = (ranges: readonly StatusRange[]) => {
  const text = formatStatuses(ranges);
  return /^\d+$/.test(text) ? Number(text) : text;
};

export function statuses(notes: Notes & { default: number | string }): Setting<readonly StatusRange[]> {
  const { default: fallback, ...rest } = notes;
  return {
    ...rest,
    type: 'statuses such as 200-299,401',
    fallback,
    schema: statusSchema,
    fromText: same,
    isList: false,
    write: writeStatuses,
  };
}

const isPath = (value: string) => /^\/[\x21-\x7e]*$/.test(value) && !value.includes('#');
const pathRight = 'an absolute path such as /readyz, with its query if there is one';

/** An HTTP path. */
export function httpPath(notes: Notes & { default: string }): Setting<string> {
  return text({ placeholder: 'PATH', ...notes, type: 'path', right: pathRight, check: isPath });
}

/** One request of a health check; all steps must answer as expected. */
export interface HealthStep {
  readonly path: string;
  readonly expectStatus: readonly StatusRange[];
}

/** Requests that must all be answered as expected, in their order. */
export function healthSteps(notes: Notes): Optional<readonly HealthStep[]> {
  return optional<Setting<readonly HealthStep[]>>({
    ...notes,
    type: 'list of maps with path, expectStatus',
    fallback: undefined,
    itemKeys: ['path', 'expectStatus'],
    schema: v.pipe(
      v.array(
        v.pipe(
          v.unknown(),
          v.transform(withKey('path')),
          v.object(
            {
              path: v.pipe(v.string(`must be ${pathRight}`), v.check(isPath, `must be ${pathRight}`)),
              expectStatus: v.optional(statusSchema, 200),
            },
            'must be a map with path and expectStatus',
          ),
        ),
        'must be a list of maps with path and expectStatus',
      ),
      v.minLength(1, 'must have at least one step; omit it to check only health.path'),
      v.maxLength(16, 'must have at most 16 steps'),
      v.transform((steps) => steps.map(({ path, expectStatus }) => ({ path, expectStatus }))),
    ),
    isList: true,
    write: (value) =>
      value.map(({ path, expectStatus }) => ({ path, expectStatus: writeStatuses(expectStatus) })),
  });
}
