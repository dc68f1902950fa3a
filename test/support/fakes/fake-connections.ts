// Endpoints and a client without sockets, on a fake clock: what each endpoint does until its first byte is
// scripted, and what everybody has received is kept.
import type { Endpoint } from '../../../src/model/endpoint.ts';
import {
  type Connection,
  type ConnectionOwner,
  noOwner,
} from '../../../src/passthrough/socket/connection.ts';
import type { ConnectionFactory } from '../../../src/passthrough/socket/connection-factory.ts';
import type { FakeClock } from './fake-clock.ts';

/** What an endpoint does with one connection. Times count from the dial, or from the connect. */
export interface EndpointScript {
  readonly dial:
    | { readonly kind: 'connect'; readonly afterMs: number }
    | { readonly kind: 'fail'; readonly afterMs: number; readonly code: string }
    | { readonly kind: 'hang' };
  readonly answers:
    | { readonly kind: 'silent' }
    /** Answers in three pieces once it has what it waits for. */
    | { readonly kind: 'answer'; readonly afterMs: number; readonly waitsForBytes: number }
    | { readonly kind: 'fin' | 'reset'; readonly afterMs: number };
}

export class FakeConnection implements Connection {
  owner: ConnectionOwner;
  ownBuffer: Buffer | undefined = undefined;
  isStaged = false;
  /** The other side has reset it. */
  isAbandoned = false;
  writableLength = 0;
  destroyed = false;
  isReset = false;
  isEnded = false;
  isPaused = false;
  localPort = 1;
  localAddress = '10.0.0.1';
  remoteAddress = '10.0.0.2';
  readonly written: Buffer[] = [];
  onWrite: (() => void) | undefined;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock, owner: ConnectionOwner) {
    this.#clock = clock;
    this.owner = owner;
  }

  get received(): Buffer {
    return Buffer.concat(this.written);
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed || this.isEnded) throw new Error('write after the end');
    this.written.push(Buffer.from(bytes));
    this.onWrite?.();
    return true;
  }
  hasPeer(): boolean {
    return !this.isAbandoned;
  }
  setKeepAlive(): void {}
  notifyWhenDrained(): void {
    throw new Error('nothing is ever pending here');
  }
  resume(): void {
    this.isPaused = false;
  }
  end(): void {
    this.isEnded = true;
  }
  destroySoon(): void {
    this.isEnded = true;
    this.destroy();
  }
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#clock.schedule(0, () => {
      const { owner } = this;
      this.owner = noOwner;
      owner.connectionClosed(this);
    });
  }
  resetAndDestroy(): void {
    if (!this.destroyed) this.isReset = true;
    this.destroy();
  }

  /** The other side sends bytes. */
  feed(bytes: Buffer): void {
    if (!this.destroyed && !this.owner.connectionRead(this, bytes, bytes.length)) this.isPaused = true;
  }
  feedFin(): void {
    if (!this.destroyed) this.owner.connectionEnded(this);
  }
  fail(code: string): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.owner.connectionFailed(this, Object.assign(new Error(code), { code }));
    this.#clock.schedule(0, () => {
      const { owner } = this;
      this.owner = noOwner;
      owner.connectionClosed(this);
    });
  }
}

export interface FakeDial {
  readonly endpoint: Endpoint;
  readonly connection: FakeConnection;
  isConnected: boolean;
}

/** The pieces of the answer of the endpoint `id`. */
export function answerPieces(id: string): string[] {
  return [`<${id}`, '|', `${id}>`];
}

export class FakeConnectionFactory implements Pick<ConnectionFactory, 'connect'> {
  readonly dials: FakeDial[] = [];
  readonly #clock: FakeClock;
  readonly #scriptOf: (endpoint: Endpoint) => EndpointScript;

  constructor(clock: FakeClock, scriptOf: (endpoint: Endpoint) => EndpointScript) {
    this.#clock = clock;
    this.#scriptOf = scriptOf;
  }

  get openConnections(): number {
    return this.dials.filter(({ connection }) => !connection.destroyed).length;
  }

  connect(endpoint: Endpoint, owner: ConnectionOwner): Connection {
    const connection = new FakeConnection(this.#clock, owner);
    const dial: FakeDial = { endpoint, connection, isConnected: false };
    this.dials.push(dial);
    const { dial: script, answers } = this.#scriptOf(endpoint);
    if (script.kind === 'fail') this.#clock.schedule(script.afterMs, () => connection.fail(script.code));
    if (script.kind === 'connect') {
      this.#clock.schedule(script.afterMs, () => {
        if (connection.destroyed) return;
        dial.isConnected = true;
        this.#act(endpoint, connection, answers);
        connection.owner.connectionOpened(connection);
      });
    }
    return connection;
  }

  #act(endpoint: Endpoint, connection: FakeConnection, answers: EndpointScript['answers']): void {
    if (answers.kind === 'silent') return;
    if (answers.kind !== 'answer') {
      const end = answers.kind === 'fin' ? () => connection.feedFin() : () => connection.fail('ECONNRESET');
      this.#clock.schedule(answers.afterMs, end);
      return;
    }
    const { afterMs, waitsForBytes } = answers;
    let hasStarted = false;
    const answer = () => {
      if (hasStarted || connection.received.length < waitsForBytes) return;
      hasStarted = true;
      answerPieces(endpoint.id).forEach((piece, index) => {
        this.#clock.schedule(afterMs + index, () => connection.feed(Buffer.from(piece)));
      });
    };
    connection.onWrite = answer;
    answer();
  }
}
