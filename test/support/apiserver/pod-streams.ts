// exec, attach and port-forward of a pod, as kubelets answer them through an API server: several streams over one
// upgraded connection, by SPDY/3.1 (kubectl up to 1.30, port-forward) or WebSocket (v5.channel.k8s.io).
//
// The pod knows a few commands: `cat` gives back its input, `fail N` ends with code N, `after MS` is silent
// for so long first; any other one is printed. A forwarded port gives back what it is sent.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import spdy from 'spdy-transport';
import { WebSocketServer, type WebSocket } from 'ws';

export type PodAction = 'exec' | 'attach' | 'portforward';

/** The streams of one exec, whatever carries them. */
interface Streams {
  write(name: 'stdout' | 'stderr', data: string | Buffer): void;
  /** Sends the Status of the end and closes everything. */
  finish(status: object): void;
}

class Exec {
  readonly #command: readonly string[];
  readonly #streams: Streams;

  constructor(command: readonly string[], streams: Streams) {
    this.#command = command;
    this.#streams = streams;
  }

  start(): void {
    const [name = '', argument = ''] = this.#command;
    if (name === 'cat') return;
    if (name === 'fail') {
      this.#streams.write('stderr', 'it failed\n');
      const message = `command terminated with non-zero exit code: exit code ${argument}`;
      const causes = [{ reason: 'ExitCode', message: argument }];
      this.#streams.finish({
        metadata: {},
        status: 'Failure',
        reason: 'NonZeroExitCode',
        message,
        details: { causes },
      });
    } else if (name === 'after') {
      setTimeout(() => this.#say(`after ${argument}\n`), Number(argument));
    } else {
      this.#say(`${this.#command.join(' ')}\n`);
    }
  }

  input(data: Buffer): void {
    if (this.#command[0] === 'cat') this.#streams.write('stdout', data);
  }

  inputEnded(): void {
    if (this.#command[0] === 'cat') this.#streams.finish({ metadata: {}, status: 'Success' });
  }

  #say(text: string): void {
    this.#streams.write('stdout', text);
    this.#streams.finish({ metadata: {}, status: 'Success' });
  }
}

/** Takes an authorized request for an upgrade over. */
export function streamPod(request: IncomingMessage, socket: Duplex, head: Buffer, action: PodAction): void {
  const { searchParams } = new URL(request.url ?? '/', 'https://stand-in');
  const command = action === 'attach' ? ['cat'] : searchParams.getAll('command');
  const isSpdy = /^spdy\/3\.1$/i.test(request.headers.upgrade ?? '');
  if (isSpdy) overSpdy(request, socket, action, command, searchParams);
  else if (action === 'portforward') refuse(socket, 'this API server forwards ports over SPDY only');
  else overWebSocket(request, socket, head, command);
}

export function refuse(socket: Duplex, message: string, status = '400 Bad Request'): void {
  const head = `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${message.length}`;
  socket.end(`${head}\r\nConnection: close\r\n\r\n${message}`);
}

// --- SPDY/3.1 -----------------------------------------------------------------------------------------------

function overSpdy(
  request: IncomingMessage,
  socket: Duplex,
  action: PodAction,
  command: readonly string[],
  parameters: URLSearchParams,
): void {
  const offered = (request.headers['x-stream-protocol-version'] ?? '') as string;
  const wanted = action === 'portforward' ? 'portforward.k8s.io' : 'v4.channel.k8s.io';
  if (!offered.includes(wanted)) {
    refuse(socket, `unable to upgrade: no protocol among ${offered}`, '403 Forbidden');
    return;
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${wanted}\r\n\r\n`,
  );
  const connection = spdy.connection.create(socket, { protocol: 'spdy', isServer: true });
  connection.on('error', () => {});
  const { parser } = connection._spdyState;
  const parse = parser.parseKVs.bind(parser);
  // The streams of Kubernetes have none of these, and the library wants them.
  parser.parseKVs = (buffer, callback) =>
    parse(buffer, (error, headers) => callback(error, { ':method': 'POST', ':path': '/', ...headers }));
  const byType = new Map<string, Duplex>();
  const wait = ['stdin', 'stdout', 'stderr'].filter((name) => parameters.get(name) === 'true').length + 1;
  const exec = new Exec(command, {
    write: (name, data) => void byType.get(name)?.write(data),
    finish(status) {
      byType.get('stdout')?.end();
      byType.get('stderr')?.end();
      byType.get('error')?.end(JSON.stringify(status));
    },
  });
  connection.on('stream', (stream) => {
    const type = stream.headers.streamtype ?? '';
    stream.on('error', () => {});
    stream.respond(200, {});
    byType.set(type, stream);
    if (action === 'portforward') {
      if (type === 'data') stream.pipe(stream);
      else stream.resume().on('end', () => stream.end());
      return;
    }
    if (type === 'stdin')
      stream.on('data', (data: Buffer) => exec.input(data)).on('end', () => exec.inputEnded());
    else stream.resume();
    if (byType.size === wait) exec.start();
  });
  connection.start(3.1);
}

// --- WebSocket ----------------------------------------------------------------------------------------------

const webSockets = new WebSocketServer({
  noServer: true,
  handleProtocols: (offered) =>
    ['v5.channel.k8s.io', 'v4.channel.k8s.io'].find((protocol) => offered.has(protocol)) ?? false,
});
const channels = { stdin: 0, stdout: 1, stderr: 2, error: 3 } as const;
const closeChannel = 255;

function overWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  command: readonly string[],
): void {
  webSockets.handleUpgrade(request, socket, head, (webSocket: WebSocket) => {
    const send = (name: keyof typeof channels, data: string | Buffer) =>
      webSocket.send(Buffer.concat([Buffer.of(channels[name]), Buffer.from(data)]));
    const exec = new Exec(command, {
      write: send,
      finish(status) {
        send('error', JSON.stringify(status));
        webSocket.close(1000);
      },
    });
    webSocket.on('error', () => {});
    webSocket.on('message', (data: Buffer) => {
      if (data[0] === channels.stdin && data.length > 1) exec.input(data.subarray(1));
      if (data[0] === closeChannel && data[1] === channels.stdin) exec.inputEnded();
    });
    exec.start();
  });
}
