// Whether an agent will find an API server at its next start. A kubeconfig that was pointed at Fairlead is no
// help then: it names Fairlead. What remains is the configured list and the cache on disk. Pure.
import type { Config } from '../config/config.ts';

/** Sources that are there before any API server has answered, beside a kubeconfig. */
const bootSources: ReadonlySet<string> = new Set(['static', 'dns', 'cache']);

/** `sources`: those of the endpoints that a running agent shows; the configuration may be that of another. */
export function hasBootSeeds(
  { endpoints, discovery }: Pick<Config, 'endpoints' | 'discovery'>,
  sources: readonly string[] = [],
): boolean {
  return (
    endpoints.length > 0 ||
    discovery.cacheFile !== undefined ||
    sources.some((source) => bootSources.has(source))
  );
}

export const bootSeedsFix =
  'List API servers with --endpoints (or endpoints in the configuration file), and keep the list on disk: ' +
  '--cache-file /var/lib/fairlead/endpoints.json (discovery.cacheFile).';
