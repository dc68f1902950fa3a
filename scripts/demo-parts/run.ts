// One run of the demo: sets the stage, starts the clients, lets the story happen, shows it, and cleans up
// whatever happens.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../../src/model/status.ts';
import type { LogLine } from '../../test/support/agent/agent-process.ts';
import { keepInstructions } from './keep.ts';
import { LongConnection } from './long-connection.ts';
import { NewConnections, whoAmI } from './new-connections.ts';
import type { DemoOptions } from './options.ts';
import { type Clients, clientPictures, type Happening, type Picture, serverPictures } from './picture.ts';
import { secondLine } from './plain.ts';
import { Screen } from './screen.ts';
import { logTail, setStage, type Stage } from './stage.ts';
import { story, storyMs } from './story.ts';
import { paintWith } from './style.ts';
import { summarize } from './summary.ts';
import { happeningLine, panel, render } from './view.ts';

const drawEveryMs = 200;
/** With --keep an API server that was killed by hand is started again after this. */
export const restartAfterMs = 10_000;

export async function runDemo(options: DemoOptions, signal: AbortSignal): Promise<number> {
  const out = process.stdout;
  const isLive = out.isTTY && !options.isPlain && process.env.TERM !== 'dumb';
  const isColoured = out.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb';
  const run = new Run(isLive, paintWith(isColoured), signal);
  try {
    return await run.whole(options);
  } catch (error) {
    if (signal.aborted) return 130;
    await run.fail(error);
    return 1;
  } finally {
    await run.cleanUp();
  }
}

class Run {
  readonly #isLive: boolean;
  readonly #paint: ReturnType<typeof paintWith>;
  readonly #signal: AbortSignal;
  readonly #screen = new Screen(process.stdout);
  readonly #happenings: Happening[] = [];
  readonly #timers: NodeJS.Timeout[] = [];
  #stage: Stage | undefined;
  #clients: Clients | undefined;
  #startedMs = performance.now();
  #endMs: number | undefined = storyMs;
  #status: Status | undefined;
  #now = 'everything is up';
  #isCompact = false;

  constructor(isLive: boolean, paint: ReturnType<typeof paintWith>, signal: AbortSignal) {
    this.#isLive = isLive;
    this.#paint = paint;
    this.#signal = signal;
  }

  async whole({ keep }: DemoOptions): Promise<number> {
    const signal = this.#signal;
    print('Starting three stand-in API servers and Fairlead ...');
    const stage = await setStage({ signal, onLog: (line) => this.#fairleadSays(line) });
    this.#stage = stage;
    await this.#startClients(stage);
    if (this.#isLive) this.#screen.full();
    this.#show();
    await this.#tell(stage);
    signal.throwIfAborted();
    const clients = this.#clients;
    // With --keep the clients continue; the summary covers what they have seen so far.
    if (!keep) {
      await clients?.short.stop();
      await clients?.long.stop();
      this.#stopShowing();
    }
    const { isGood, lines } = this.#summary();
    this.#screen.close();
    print(`\n${lines.join('\n')}`);
    if (keep) await this.#keep(stage);
    return isGood ? 0 : 1;
  }

  async fail(error: unknown): Promise<void> {
    this.#stopShowing();
    this.#screen.close();
    console.error(`The demo failed: ${error instanceof Error ? error.stack : error}`);
    if (this.#stage) console.error(`The end of Fairlead's log:\n${logTail(this.#stage)}`);
  }

  async cleanUp(): Promise<void> {
    this.#stopShowing();
    this.#screen.close();
    await this.#stage?.stop();
  }

  async #startClients(stage: Stage): Promise<void> {
    const { target } = stage;
    // Who the API server takes the client for: the certificate has passed through Fairlead.
    const user = await whoAmI(target);
    const status = await allReady(stage, this.#signal);
    this.#status = status;
    this.#startedMs = performance.now();
    const long = new LongConnection(target, this.#startedMs);
    await long.start();
    this.#clients = { short: new NewConnections(target, this.#startedMs), long };
    const text = `the API server sees me as ${user}`;
    this.#add({ teller: 'client', text });
    const [first] = stage.servers;
    const others = status.endpoints.filter(({ id }) => id !== first?.address).length;
    const found = `was told of ${first?.name}, found ${others} more in the EndpointSlice`;
    this.#add({ teller: 'fairlead', text: found });
  }

  /** Lets the story happen. */
  async #tell(stage: Stage): Promise<void> {
    const { servers } = stage;
    const inUse = () =>
      servers.find(({ name }) => name === this.#clients?.long.server) ?? (servers[0] as Stage['servers'][0]);
    for (const step of story({ servers, inUse })) {
      await this.#until(step.atMs);
      const { server, text, word, leadsTo, run } = await step.prepare();
      this.#now = text;
      this.#add({ teller: 'story', text, word, server: server.name, leadsTo });
      await run();
    }
    await this.#until(storyMs);
  }

  async #until(atMs: number): Promise<void> {
    await sleep(Math.max(0, atMs - this.#elapsedMs()), undefined, { signal: this.#signal });
  }

  #elapsedMs(): number {
    return performance.now() - this.#startedMs;
  }

  #add(what: Omit<Happening, 'atMs'>): void {
    const happening = { atMs: this.#elapsedMs(), ...what };
    this.#happenings.push(happening);
    if (!this.#isLive) print(happeningLine(happening, this.#paint));
  }

  /** What Fairlead logs of the API servers, from the beginning of the story on. */
  #fairleadSays({ msg, endpoint, verdict, reason, tunnels, ...sets }: LogLine): void {
    if (!this.#clients) return;
    const { servers = [] } = this.#stage ?? {};
    const teller = 'fairlead';
    const nameOf = (id: unknown) => servers.find(({ address }) => address === id)?.name;
    const server = nameOf(endpoint);
    if (msg === 'endpoints changed') {
      const { added, removed, remembered, listedAgain } = sets;
      const tell = (ids: unknown, what: string, verdict: string): void => {
        for (const name of Array.isArray(ids) ? ids.map(nameOf) : []) {
          if (name) this.#add({ teller, text: `${name} ${what}`, server: name, verdict });
        }
      };
      // Once verified, an API server stays known when it leaves the list.
      for (const ids of [removed, remembered]) tell(ids, 'has left the EndpointSlice', 'not listed');
      for (const ids of [added, listedAgain]) tell(ids, 'has come into the EndpointSlice', 'listed');
    } else if (server && typeof verdict === 'string' && typeof reason === 'string') {
      if (msg === 'endpoint reason changed') return;
      this.#add({ teller, text: `${server} is ${verdict}: ${reason}`, server, verdict, reason });
    } else if (server) {
      const count = typeof tunnels === 'number' ? ` (${tunnels})` : '';
      this.#add({ teller, text: `${server}: ${msg}${count}`, server });
    }
  }

  #show(): void {
    let isAsking = false;
    const look = async (): Promise<void> => {
      if (isAsking) return;
      isAsking = true;
      this.#stage?.look();
      this.#status = await this.#stage?.agent.status().catch(() => undefined);
      isAsking = false;
    };
    this.#timers.push(setInterval(() => void look(), 100));
    if (this.#isLive) this.#timers.push(setInterval(() => this.#draw(), drawEveryMs));
    else this.#timers.push(setInterval(() => print(secondLine(this.#picture())), 1_000));
  }

  #draw(): void {
    const { size } = this.#screen;
    const picture = this.#picture();
    this.#screen.draw(
      this.#isCompact ? panel(picture, size.width, this.#paint) : render(picture, size, this.#paint),
    );
  }

  #stopShowing(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  #picture(): Picture {
    const stage = this.#stage;
    const clients = this.#clients;
    if (!stage || !clients) throw new Error('nothing to show yet');
    return {
      elapsedMs: this.#elapsedMs(),
      endMs: this.#endMs,
      listen: stage.agent.address,
      admin: stage.agent.admin,
      now: this.#now,
      servers: serverPictures(stage, this.#status),
      ...clientPictures(clients, performance.now()),
      happenings: this.#happenings,
    };
  }

  #summary() {
    const { short, long } = this.#clients ?? {};
    const failures = [...(short?.tally.failures ?? []), ...(long?.tally.failures ?? [])];
    return summarize(this.#picture(), failures, this.#paint);
  }

  /** Plays on until Ctrl-C; API servers that are killed are started again. */
  async #keep(stage: Stage): Promise<void> {
    const signal = this.#signal;
    this.#endMs = undefined;
    const { admin } = stage.agent;
    print(keepInstructions({ stage, admin, restartAfterMs }, this.#paint));
    this.#isCompact = true;
    if (this.#isLive) this.#screen.below();
    const goneSinceMs = new Map<string, number>();
    while (!signal.aborted) {
      for (const { name, process } of serverPictures(stage, this.#status)) {
        if (process !== 'gone') {
          goneSinceMs.delete(name);
          continue;
        }
        const sinceMs = goneSinceMs.get(name) ?? performance.now();
        goneSinceMs.set(name, sinceMs);
        if (performance.now() - sinceMs < restartAfterMs) continue;
        goneSinceMs.delete(name);
        await stage.servers.find((server) => server.name === name)?.start();
        this.#add({ teller: 'story', text: `${name} is started again` });
      }
      await sleep(250, undefined, { signal }).catch(() => {});
    }
    this.#stopShowing();
    this.#screen.close();
  }
}

/** Resolves when Fairlead has found every API server and found it ready. */
async function allReady({ agent, servers }: Stage, signal: AbortSignal): Promise<Status> {
  const untilMs = performance.now() + 15_000;
  for (;;) {
    const status = await agent.status();
    const ready = status.endpoints.filter(({ verdict }) => verdict === 'ready');
    if (ready.length === servers.length) return status;
    if (performance.now() > untilMs) throw new Error(`only ${ready.length} API servers became ready`);
    await sleep(50, undefined, { signal });
  }
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
