// A data path on real sockets for tests: listener, table, recorded outcomes, and endpoints that behave as told.
import { createServer, type Server, Socket, type SocketConstructorOpts } from 'node:net';
import { systemClock } from '../../../src/model/clock.ts';
import { type Endpoint, formatHostPort, type HostPort, makeEndpoint } from '../../../src/model/endpoint.ts';
import type { OutcomeReporter } from '../../../src/model/outcome.ts';
import { ProcessLoad } from '../../../src/passthrough/process-load.ts';
import { TunnelTable } from '../../../src/passthrough/tunnel-table.ts';
import type { AcceptPolicy } from '../../../src/passthrough/tunnel/accept-policy.ts';
import { type PassthroughListener, startPassthroughListener } from '../../../src/passthrough/listener.ts';
import type { EndpointPick } from '../../../src/model/snapshot.ts';
import { checkNodeHandles } from '../../../src/passthrough/socket/handle-check.ts';
import type { FoundHandles } from '../../../src/passthrough/socket/node-handles.ts';
import { defaultPassthroughOptions } from './default-options.ts';
import type { PassthroughOptions } from '../../../src/passthrough/tunnel/options.ts';
import { type LogLine, recordingLog } from '../fakes/recording-log.ts';

/** Outcomes as lines: `dialed 127.0.0.1:1 refused`. */
export class RecordedOutcomes implements OutcomeReporter {
  readonly lines: string[] = [];
  /** `refused localhost`. */
  readonly tls: string[] = [];

  dialed(endpoint: string, result: string): void {
    this.lines.push(`dialed ${endpoint} ${result}`);
  }
  firstFlightUnanswered(endpoint: string): void {
    this.lines.push(`unanswered ${endpoint}`);
  }
  tunnelSilent(endpoint: string): void {
    this.lines.push(`silent ${endpoint}`);
  }
  clientTls(_endpoint: string, outcome: string, serverName?: string): void {
    this.tls.push(`${outcome} ${serverName}`);
  }
}

/** A TCP server on a free loopback port whose connections a test handles itself. */
export class TestEndpoint {
  readonly connections: Socket[] = [];
  readonly endpoint: Endpoint;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const address = server.address();
    if (address === null || typeof address === 'string') throw new TypeError('no address');
    this.endpoint = makeEndpoint(address.address, address.port);
  }

  static async start(
    onConnection: (socket: Socket) => void,
    { host = '127.0.0.1', port = 0 }: Partial<HostPort> = {},
  ): Promise<TestEndpoint> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port, backlog: 1024 }, () => resolve());
    });
    const started = new TestEndpoint(server);
    server.on('connection', (socket) => {
      started.connections.push(socket);
      socket.on('error', () => {});
      onConnection(socket);
    });
    return started;
  }

  get open(): Socket[] {
    return this.connections.filter((socket) => !socket.closed);
  }

  async stop(): Promise<void> {
    for (const socket of this.connections) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** Sends back what it gets, and its FIN after the client's. */
export function echo(socket: Socket): void {
  socket.pipe(socket);
}

/** An endpoint on a port where nothing listens. */
export async function refusingEndpoint(): Promise<Endpoint> {
  const closed = await TestEndpoint.start(() => {});
  await closed.stop();
  return closed.endpoint;
}

/** What carries a tunnel; see src/passthrough/socket/connection-factory.ts. */
export const connectionKinds = ['handles', 'sockets'] as const;
export type ConnectionKind = (typeof connectionKinds)[number];

let connectionKind: ConnectionKind = 'handles';
let checked: Promise<FoundHandles> | undefined;

/** The kind that the present test is about. */
export function presentKindOfConnections(): ConnectionKind {
  return connectionKind;
}

/** Defines the tests of a file twice: both kinds of connections must do the same. */
export function overBothKindsOfConnections(define: () => void): void {
  describe.each(connectionKinds)('over %s', (kind) => {
    beforeAll(() => {
      connectionKind = kind;
    });
    define();
  });
}

/** Makes `table` carry tunnels as the present tests want it. */
export async function chooseConnections(table: TunnelTable): Promise<void> {
  if (connectionKind === 'sockets') return;
  checked ??= checkNodeHandles();
  const found = await checked;
  if (!found.ok) throw new Error(`this Node's handles do not pass the check: ${found.problem}`);
  table.useHandles(found.value);
}

export interface DataPath {
  readonly table: TunnelTable;
  readonly load: ProcessLoad;
  readonly outcomes: RecordedOutcomes;
  readonly logLines: LogLine[];
  readonly listener: PassthroughListener;
  candidates: readonly Endpoint[];
  usableCount: number | undefined;
  /** A connected client; its socket never keeps an error unhandled. */
  client(options?: SocketConstructorOpts): Promise<Socket>;
  stop(): Promise<void>;
}

export async function startDataPath(
  candidates: readonly Endpoint[],
  {
    options = {},
    replayNonTls = false,
    random = Math.random,
    policy,
    sendProxy = false,
    isDebug = false,
    load = new ProcessLoad(),
  }: {
    options?: Partial<PassthroughOptions>;
    replayNonTls?: boolean;
    random?: () => number;
    policy?: AcceptPolicy;
    sendProxy?: boolean;
    isDebug?: boolean;
    load?: ProcessLoad;
  } = {},
): Promise<DataPath> {
  const outcomes = new RecordedOutcomes();
  const log = { ...recordingLog(), isLevelEnabled: (level: string) => level !== 'debug' || isDebug };
  const table = new TunnelTable({
    clock: systemClock,
    random,
    log,
    outcomes,
    options: defaultPassthroughOptions(options),
    load,
  });
  await chooseConnections(table);
  const clients: Socket[] = [];
  const picked = (): EndpointPick => ({
    candidates: path.candidates,
    usableCount: path.usableCount ?? path.candidates.length,
  });
  const listener = await startPassthroughListener({
    listen: { host: '127.0.0.1', port: 0 },
    picker: picked,
    table,
    replayNonTls,
    sendProxy,
    ...(policy && { policy }),
  });
  if (listener === undefined) throw new Error('the listener was left out');
  const path: DataPath = {
    table,
    load,
    outcomes,
    logLines: log.lines,
    listener,
    candidates,
    usableCount: undefined,
    async client(socketOptions = {}) {
      const socket = new Socket({ allowHalfOpen: true, noDelay: true, ...socketOptions });
      clients.push(socket);
      socket.on('error', () => {});
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.connect(listener.address.port, listener.address.host, () => resolve());
      });
      return socket;
    },
    async stop() {
      for (const socket of clients) socket.destroy();
      await listener.stopAccepting();
      await table.closeAll(0);
      if (load.tunnels !== 0) throw new Error(`tunnels left in the count: ${load.tunnels}`);
      if (load.memory.totalBytes !== 0) throw new Error(`held: ${JSON.stringify(load.memory.bytes)}`);
      if (table.openSockets !== 0) throw new Error(`sockets left: ${table.openSockets}`);
      if (table.halfOpenDials !== 0) throw new Error(`half-open dials left: ${table.halfOpenDials}`);
      for (const record of table.records()) {
        if (record.activeTunnels !== 0) throw new Error(`tunnels left on ${record.id}`);
      }
    },
  };
  return path;
}

/** How a connection ended, as its user sees it. */
export type Ending = 'end' | 'reset' | `error ${string}`;

/** Collects what a socket receives and how it ends. */
export function collect(socket: Socket): { readonly bytes: () => Buffer; readonly ended: Promise<Ending> } {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<Ending>((resolve) => {
    socket.once('end', () => resolve('end'));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNRESET' ? 'reset' : `error ${error.code ?? error.message}`);
    });
  });
  return { bytes: () => Buffer.concat(chunks), ended };
}

export function idOf(listener: PassthroughListener): string {
  return formatHostPort(listener.address);
}
