// Many connections at once: a burst that asks once each, or a crowd that stays.
import { connect, type TLSSocket } from 'node:tls';
import { ask, type Call, type Target, tlsOptions } from './target.ts';

/** Opens `count` connections at the same moment, asks once on each. */
export function burst(target: Target, count: number, path: string, timeoutMs: number): Promise<Call[]> {
  return Promise.all(Array.from({ length: count }, () => ask(target, path, { timeoutMs })));
}

/** Connections that have asked once and then stay idle. */
export class Crowd {
  readonly #target: Target;
  readonly #sockets: TLSSocket[] = [];

  constructor(target: Target) {
    this.#target = target;
  }

  get open(): number {
    return this.#sockets.filter((socket) => !socket.destroyed).length;
  }

  /** Resolves with how many are open, after a time that grows with the number: never all at once. */
  async grow(count: number): Promise<number> {
    const step = 50;
    for (let done = 0; done < count; done += step) {
      await Promise.all(Array.from({ length: Math.min(step, count - done) }, () => this.#one()));
    }
    return this.open;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #one(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect({ ...tlsOptions(this.#target), ALPNProtocols: ['http/1.1'] });
    this.#sockets.push(socket);
    socket.on('error', () => resolve());
    socket.on('close', () => resolve());
    socket.on('data', () => resolve());
    socket.write('GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n');
    return promise;
  }
}
