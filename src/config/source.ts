// What one source (file, environment, flags) says, before it is checked: raw values by setting, and
// where each was said.
import type { PathSegment, Problem } from './problem.ts';
import type { SettingKey } from './settings.ts';

export interface Entry {
  /** The value as YAML would have it. */
  readonly raw: unknown;
  /** Where it, or a part of it, was said: `fairlead.yaml:3:13`, `FAIRLEAD_LOG_LEVEL`, `--listen`. */
  locate(within?: readonly PathSegment[]): string;
}

export interface Source {
  readonly entries: ReadonlyMap<SettingKey, Entry>;
  /** What is wrong with the source itself: unreadable, unknown names. */
  readonly problems: readonly Problem[];
}
