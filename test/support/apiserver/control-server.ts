// The control port of an API server process: its switches and counters for other processes.
//
//   GET    /info                 name, address, pid
//   GET    /stats                counters (ApiServerStats); DELETE sets them to zero
//   GET    /misbehaviour         the switches (Misbehaviour); PATCH changes some, DELETE sets all to good
//   POST   /actions/<action>     reset-connections, close-connections, reset-watches, end-watches, compact
//   POST   /terminate            like SIGTERM, with ShutdownOptions in the body
//   GET    /ready                answers when start-up is over
//
//   curl --unix-socket DIR/cp-1.control -X PATCH http://x/misbehaviour -d '{"failReadyz":["etcd"]}'
import { createServer, type IncomingMessage } from 'node:http';
import type { ApiServer } from './api-server.ts';
import { type Action, actions, type Misbehaviour, problemWith } from './misbehaviour.ts';
import { listenOn } from './socket-address.ts';
import type { ShutdownOptions } from './stand-in.ts';

export interface ControlServer {
  readonly address: string;
  close(): Promise<void>;
}

/** `terminate` carries out POST /terminate; it ends the process, if the server has one of its own. */
export async function serveControl(
  server: ApiServer,
  listen: string,
  terminate: (options: Partial<ShutdownOptions>) => void = (options) => void server.terminate(options),
): Promise<ControlServer> {
  const http = createServer((request, response) => {
    const answer = (code: number, body: unknown) => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify(body)}\n`);
    };
    control(server, request, terminate).then(
      (body) => (body === undefined ? answer(404, { problem: 'no such path' }) : answer(200, body)),
      (error: unknown) => answer(400, { problem: error instanceof Error ? error.message : String(error) }),
    );
  });
  const address = await listenOn(http, listen);
  return {
    address,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}

async function control(
  server: ApiServer,
  request: IncomingMessage,
  terminate: (options: Partial<ShutdownOptions>) => void,
): Promise<unknown> {
  const path = request.url ?? '';
  const body = await readJson(request);
  switch (`${request.method} ${path}`) {
    case 'GET /info':
      return { name: server.name, address: server.address, pid: process.pid };
    case 'GET /stats':
      return server.stats();
    case 'DELETE /stats':
      await server.resetStats();
      return {};
    case 'GET /misbehaviour':
      return server.behaviour;
    case 'PATCH /misbehaviour': {
      const problem = problemWith(body);
      if (problem) throw new Error(problem);
      await server.misbehave(body as Partial<Misbehaviour>);
      return server.behaviour;
    }
    case 'DELETE /misbehaviour':
      await server.behave();
      return server.behaviour;
    case 'POST /terminate':
      terminate(body as Partial<ShutdownOptions>);
      return {};
    case 'GET /ready':
      await server.ready();
      return {};
    default: {
      const action = actions.find((name) => path === `/actions/${name}`) as Action | undefined;
      if (request.method !== 'POST' || !action) return undefined;
      await server.act(action);
      return {};
    }
  }
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text ? (JSON.parse(text) as Record<string, unknown>) : {};
}
