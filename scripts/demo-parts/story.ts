// What happens to the API servers, and when. Each step says what is done to which process; what comes of it is
// measured by others.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiServerProcess } from '../../test/support/apiserver/api-server-process.ts';

export interface Step {
  readonly atMs: number;
  /** Finds out whom to do it to. */
  readonly prepare: () => Promise<Deed>;
}

export interface Deed {
  readonly server: ApiServerProcess;
  /** What is done, as a headline, and in a word. */
  readonly text: string;
  readonly word: string;
  readonly leadsTo: 'ready' | 'not ready';
  readonly run: () => Promise<void>;
}

export interface StoryTools {
  readonly servers: readonly ApiServerProcess[];
  /** The API server that the long connection uses now: the most interesting one to take away. */
  inUse(): ApiServerProcess;
}

export const storyMs = 36_000;

export function story({ inUse }: StoryTools): Step[] {
  let killed: ApiServerProcess | undefined;
  let frozen: ApiServerProcess | undefined;
  return [
    {
      atMs: 5_000,
      prepare: async () => {
        const server = inUse();
        killed = server;
        return {
          server,
          text: `${server.name}, the one in use, is killed (SIGKILL), as by a crash`,
          word: 'killed',
          leadsTo: 'not ready',
          run: () => server.kill(),
        };
      },
    },
    {
      atMs: 11_000,
      prepare: async () => {
        const server = await another(inUse, killed);
        frozen = server;
        return {
          server,
          text: `${server.name}, now in use, is frozen (SIGSTOP): it accepts, and never answers`,
          word: 'frozen',
          leadsTo: 'not ready',
          run: () => server.freeze(),
        };
      },
    },
    {
      atMs: 18_000,
      prepare: async () => {
        const server = killed ?? inUse();
        return {
          server,
          text: `${server.name} is started again`,
          word: 'back',
          leadsTo: 'ready',
          run: () => server.start(),
        };
      },
    },
    {
      atMs: 23_000,
      prepare: async () => {
        const server = frozen ?? inUse();
        return {
          server,
          text: `${server.name} goes on where it was (SIGCONT)`,
          word: 'goes on',
          leadsTo: 'ready',
          run: () => server.thaw(),
        };
      },
    },
    {
      atMs: 30_000,
      prepare: async () => {
        const server = inUse();
        return {
          server,
          text: `${server.name}, now in use, is stopped politely (SIGTERM), as for an upgrade`,
          word: 'stopped',
          leadsTo: 'not ready',
          // As with --shutdown-delay-duration=3s: /readyz fails at once, the listener closes later. The
          // process lives on while its watches do.
          run: async () => void server.terminate({ delayMs: 3_000 }).catch(() => {}),
        };
      },
    },
  ];
}

/** The server in use, once that is not `gone` any more. */
async function another(
  inUse: () => ApiServerProcess,
  gone: ApiServerProcess | undefined,
): Promise<ApiServerProcess> {
  for (let i = 0; i < 100 && inUse() === gone; i += 1) await sleep(50);
  return inUse();
}
