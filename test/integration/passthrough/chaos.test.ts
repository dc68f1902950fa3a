// Hundreds of clients and endpoints that do what they like, seeded: nobody sees another one's bytes, and in the end
// no socket, tunnel or half-open dial is left.
import type { Socket } from 'node:net';
import { clientHello } from '../../support/clients/client-hello.ts';
import {
  type DataPath,
  startDataPath,
  TestEndpoint,
  overBothKindsOfConnections,
} from '../../support/agent/data-path.ts';
import { eventually } from '../../support/jest/eventually.ts';

overBothKindsOfConnections(() => {
  const hello = clientHello();

  /** Mulberry32: small, seeded, good enough to choose with. */
  function seeded(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function later(random: () => number, maxMs: number, fn: () => void): void {
    setTimeout(fn, random() * maxMs);
  }

  /** Node never closes a socket that is reset while its FIN is on the way (see connection.ts). */
  function reset(socket: Socket): void {
    if (socket.writableEnded && !socket.writableFinished) socket.destroy();
    else socket.resetAndDestroy();
  }

  /** Before its first byte and after it an endpoint does something at random; its bytes are all its own letter. */
  function behave(socket: Socket, letter: string, random: () => number): void {
    const block = Buffer.alloc(1 + Math.floor(random() * 200_000), letter);
    const choice = random();
    socket.on('end', () => later(random, 50, () => socket.end()));
    if (choice < 0.1) socket.resume();
    else if (choice < 0.2) socket.once('data', () => reset(socket));
    else if (choice < 0.3) socket.once('data', () => socket.end());
    else if (choice < 0.4) later(random, 100, () => reset(socket));
    else if (choice < 0.45) later(random, 100, () => socket.destroy());
    else {
      socket.once('data', () => {
        later(random, 150, () => {
          if (socket.destroyed || socket.writableEnded) return;
          socket.write(block);
          if (random() < 0.3) later(random, 50, () => reset(socket));
          else if (random() < 0.5) socket.end();
        });
      });
      socket.resume();
    }
  }

  /** One client's life; resolves when its socket is gone. */
  async function live(path: DataPath, random: () => number): Promise<Buffer> {
    const client = await path.client().catch(() => undefined);
    const chunks: Buffer[] = [];
    if (client === undefined) return Buffer.alloc(0);
    const closed = new Promise((resolve) => client.once('close', resolve));
    if (random() < 0.2) later(random, 200, () => client.on('data', (chunk: Buffer) => chunks.push(chunk)));
    else client.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.on('end', () => client.end());
    const choice = random();
    if (choice < 0.5) client.write(hello);
    else if (choice < 0.7) {
      client.write(hello.subarray(0, 60));
      later(random, 100, () => client.writable && client.write(hello.subarray(60)));
    } else if (choice < 0.9) client.write('plain text');
    if (random() < 0.2) later(random, 50, () => client.writable && client.write(Buffer.alloc(100_000, 'c')));
    if (random() < 0.2) later(random, 300, () => reset(client));
    else if (random() < 0.5) later(random, 300, () => client.end());
    later(random, 800, () => client.destroy());
    await closed;
    return Buffer.concat(chunks);
  }

  const seeds = [1, 2, 3];
  /** Of each seed's run: clients, replays, moves, and closings by clients and endpoints. */
  const runs = new Map<number, Promise<readonly number[]>>();

  /** Runs once for each seed, whichever test asks first. */
  function runOf(seed: number): Promise<readonly number[]> {
    const started = runs.get(seed) ?? run(seed);
    runs.set(seed, started);
    return started;
  }

  async function run(seed: number): Promise<readonly number[]> {
    const random = seeded(seed);
    const endpoints = await Promise.all(
      ['P', 'Q', 'R'].map((letter) => TestEndpoint.start((socket) => behave(socket, letter, random))),
    );
    const gone = await TestEndpoint.start(() => {});
    await gone.stop();
    const path = await startDataPath([], {
      random,
      options: {
        raceDelayMs: 30,
        allDownDeadlineMs: 300,
        retryRoundMs: 50,
        firstFlightTimeoutMs: 60,
        lastCandidateTimeoutMs: 250,
        halfCloseTimeoutMs: 200,
        quietMs: 20,
        replayMinPerSecond: 1000,
        maxTunnels: 150,
        maxHalfOpenDials: 20,
      },
    });
    const ids = [...endpoints, gone].map(({ endpoint }) => endpoint);
    const shuffle = () => {
      path.candidates = ids.toSorted(() => random() - 0.5);
      path.usableCount = Math.floor(random() * 5);
    };
    shuffle();
    const interfere = setInterval(() => {
      shuffle();
      const { id } = ids[Math.floor(random() * ids.length)] as { id: string };
      const choice = random();
      if (choice < 0.2) path.table.resetEndpoint(id);
      else if (choice < 0.4) path.table.drain(id, { windowMs: 100 });
      else if (choice < 0.5) path.table.cancelDrain(id);
      else if (choice < 0.7) path.table.closeOneQuiet(id, 0, 0);
      else if (choice < 0.8) path.table.resetUnanswered(id, 50);
      path.table.list();
    }, 20);
    const lives: Promise<Buffer>[] = [];
    for (let client = 0; client < 400; client += 1) {
      lives.push(live(path, random));
      if (client % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const bytes of await Promise.all(lives)) {
      const [first] = bytes;
      if (first === undefined) continue;
      expect(['P', 'Q', 'R']).toContain(String.fromCharCode(first));
      expect(bytes.equals(Buffer.alloc(bytes.length, first))).toBe(true);
    }
    clearInterval(interfere);
    await eventually('every tunnel has ended by itself', () => path.table.tunnelCount === 0);
    await eventually('no socket is left', () => path.table.openSockets === 0);
    expect(path.table.halfOpenDials).toBe(0);
    for (const record of path.table.records()) expect(record.activeTunnels + record.dialing).toBe(0);
    const { accepted, replays, movedOn, closed } = path.table.counters;
    await path.stop();
    for (const endpoint of endpoints) await endpoint.stop();
    return [accepted, replays, movedOn, closed.client, closed.endpoint];
  }

  test.each(seeds)('seed %i', async (seed) => {
    await runOf(seed);
  });

  test('the seeds have led everywhere that they should', async () => {
    const totals = [0, 0, 0, 0, 0];
    // One after the other: each looks at what the process has open.
    for (const seed of seeds)
      for (const [index, count] of (await runOf(seed)).entries()) totals[index]! += count;
    expect(Math.min(...totals)).toBeGreaterThan(0);
  });
});
