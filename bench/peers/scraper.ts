// A Prometheus in small: reads /metrics once a second over one kept-alive connection, as long as it runs.
import { Agent, get } from 'node:http';
import type { HostPort } from '../../src/model/endpoint.ts';

export interface Scraper {
  /** Fails when the last scrape did not answer 200 with metrics. */
  stop(): Promise<void>;
}

export function startScraper(admin: HostPort, { intervalMs = 1_000 } = {}): Scraper {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let problem: string | undefined;
  const scrape = (): void => {
    const request = get({ ...admin, path: '/metrics', agent }, (response) => {
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () => {
        problem = response.statusCode === 200 && bytes > 0 ? undefined : `status ${response.statusCode}`;
      });
    });
    request.on('error', (error) => (problem = String(error)));
  };
  scrape();
  const timer = setInterval(scrape, intervalMs);
  return {
    async stop() {
      clearInterval(timer);
      agent.destroy();
      if (problem !== undefined) throw new Error(`scraping ${admin.host}:${admin.port}/metrics: ${problem}`);
    },
  };
}
