// One client connection through the agent that stays open: an HTTP/2 session that asks now and then, and says
// how it ended.
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import type { ControlPlanePki } from '../apiserver/pki-files.ts';

export class H2Tunnel {
  /** Settles when the connection is gone: with the code of its error, or `closed`. */
  readonly ended: Promise<string>;
  readonly #session: ClientHttp2Session;
  #hasEnded = false;

  constructor(session: ClientHttp2Session) {
    this.#session = session;
    let how = 'closed';
    session.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code ?? error.message;
    });
    this.ended = new Promise((resolve) => {
      session.on('close', () => {
        this.#hasEnded = true;
        resolve(how);
      });
    });
  }

  /** Connects to `address` as the administrator; rejects when that fails. */
  static async open(address: string, { ca, clients }: ControlPlanePki): Promise<H2Tunnel> {
    const session = connect(`https://${address}`, { ca: ca.cert, ...clients.admin });
    const tunnel = new H2Tunnel(session);
    await once(session, 'connect');
    return tunnel;
  }

  /** The name of the API server that a new client of `address` meets. */
  static async askOnce(address: string, pki: ControlPlanePki): Promise<string> {
    const tunnel = await H2Tunnel.open(address, pki);
    try {
      return await tunnel.ask();
    } finally {
      tunnel.destroy();
    }
  }

  get isOpen(): boolean {
    return !this.#hasEnded;
  }

  /** GET on this connection: the name of the API server that answered. */
  async ask(path = '/readyz'): Promise<string> {
    const stream = this.#session.request({ ':path': path });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    let server = '';
    stream.on('response', (headers) => {
      server = String(headers['x-stand-in']);
    });
    stream.on('error', reject);
    stream.on('end', () => resolve(server));
    stream.on('close', () => reject(new Error('the connection has ended')));
    stream.resume();
    return promise;
  }

  /** Opens a watch on this connection; true for as long as nothing has ended it. */
  async watch(path: string): Promise<() => boolean> {
    const stream = this.#session.request({ ':path': path });
    let isOpen = true;
    stream.on('close', () => {
      isOpen = false;
    });
    stream.on('error', () => {});
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    if (headers[':status'] !== 200) throw new Error(`the watch was answered ${headers[':status']}`);
    stream.resume();
    return () => isOpen;
  }

  /** Closes it as a client does that is done. */
  async close(): Promise<void> {
    this.#session.close();
    await this.ended;
  }

  destroy(): void {
    this.#session.destroy();
  }
}
