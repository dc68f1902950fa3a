// A proxy with a configuration file as the subject of a fault trial: started on the lab's node, ended by its pid.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type HostPort, parseHostPort } from '../../src/model/endpoint.ts';
import type { RunningSubject, Subject, SubjectPlace } from '../../test/support/faults/subject.ts';
import type { ProxyPlace } from '../peers/haproxy-config.ts';
import { Child } from '../processes.ts';
import { findTool, type Tool } from '../tools.ts';

/** Where Kubespray's proxies answer for themselves. */
const healthzPort = 8081;

export interface ProxyOptions {
  readonly name: string;
  readonly tool: Tool & ('haproxy' | 'nginx');
  /** Until it has asked every endpoint. */
  readonly settleMs: number;
  /** Writes what it needs besides its configuration, and returns that. */
  configure(proxy: ProxyPlace, place: SubjectPlace): Promise<string>;
}

function endpoint(text: string): HostPort {
  const parsed = parseHostPort(text);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.problem}`);
  return parsed.value;
}

export function proxySubject({ name, tool, settleMs, configure }: ProxyOptions): Subject {
  return {
    name,
    async start(place): Promise<RunningSubject> {
      const binary = await findTool(tool);
      if (binary === undefined) throw new Error(`${tool} is missing`);
      const { directory, listen, endpoints, prefix } = place;
      const healthz = { host: listen.host, port: healthzPort };
      const file = join(directory, `${tool}.conf`);
      const proxy = { listen, healthz, endpoints: endpoints.map(endpoint) };
      await writeFile(file, await configure(proxy, place));
      const args = tool === 'haproxy' ? ['-db', '-f', file] : ['-p', directory, '-e', 'stderr', '-c', file];
      const child = new Child(name, [...prefix, binary, ...args]);
      const url = `http://${healthz.host}:${healthz.port}/healthz`;
      const isServing = () =>
        place.fetch(url).then(
          ({ status }) => status === 200,
          () => false,
        );
      try {
        await child.serving('answer on its own health port', isServing, { everyMs: 20 });
      } catch (error) {
        child.killNow();
        throw error;
      }
      return {
        pid: child.pid,
        get log() {
          return child.output.split('\n');
        },
        settled: () => sleep(settleMs),
        // It may still be serving: no client needs its goodbye.
        stop: () => child.stop({ graceMs: 0 }),
      };
    },
  };
}
