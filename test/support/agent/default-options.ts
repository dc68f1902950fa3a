// What the data paths are given on a node on which nothing is configured: the defaults of the settings, by the product's
// own code. For tests and benches that start a data path by itself.
import { httpOptions, passthroughOptions } from '../../../src/agent/options.ts';
import type { FixedHttpOptions, HttpSettings } from '../../../src/http/options.ts';
import type { PassthroughOptions } from '../../../src/passthrough/tunnel/options.ts';
import { tunnelLimitFor } from '../../../src/passthrough/tunnel/tunnel-limit.ts';
import { defaultPool } from './default-config.ts';

export function defaultPassthroughOptions(own: Partial<PassthroughOptions> = {}): PassthroughOptions {
  return { ...passthroughOptions(defaultPool(), tunnelLimitFor(undefined)), ...own };
}

type GivenHttpOptions = HttpSettings & Partial<FixedHttpOptions>;

export function defaultHttpOptions(own: Partial<GivenHttpOptions> = {}): GivenHttpOptions {
  return { ...httpOptions(defaultPool(), defaultPassthroughOptions().maxTunnels), ...own };
}
