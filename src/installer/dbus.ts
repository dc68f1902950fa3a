// One method call over D-Bus: enough to have systemd restart a unit from a container that has no systemctl. Not a
// package: those that are kept up bring an object model, an XML parser and native code for what is one message
// here. The format: dbus.freedesktop.org/doc/dbus-specification.html, "Message Protocol" and "Authentication".
import { connect, type Socket } from 'node:net';

export interface DbusCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** Strings only. */
  readonly args: readonly string[];
}

const timeoutMs = 25_000;
const maxMessageBytes = 1 << 20;
const methodReturn = 2;
const errorReply = 3;

const align = (at: number, to: number) => Math.ceil(at / to) * to;

/** Writes values with D-Bus's alignment, little endian. */
class Writer {
  #bytes: number[] = [];

  get length(): number {
    return this.#bytes.length;
  }

  pad(to: number): this {
    while (this.#bytes.length % to !== 0) this.#bytes.push(0);
    return this;
  }

  byte(value: number): this {
    this.#bytes.push(value);
    return this;
  }

  uint32(value: number): this {
    this.pad(4);
    this.#bytes.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, (value >>> 24) & 255);
    return this;
  }

  string(text: string): this {
    const bytes = Buffer.from(text);
    this.uint32(bytes.length);
    this.#bytes.push(...bytes, 0);
    return this;
  }

  signature(text: string): this {
    const bytes = Buffer.from(text);
    this.#bytes.push(bytes.length, ...bytes, 0);
    return this;
  }

  toBuffer(): Buffer {
    return Buffer.from(this.#bytes);
  }
}

export function encodeCall(call: DbusCall, serial: number): Buffer {
  const body = new Writer();
  for (const arg of call.args) body.string(arg);
  const fields = new Writer();
  const field = (code: number, type: string, text: string) =>
    fields.pad(8).byte(code).signature(type).string(text);
  field(1, 'o', call.path);
  field(2, 's', call.interface);
  field(3, 's', call.member);
  field(6, 's', call.destination);
  if (call.args.length > 0) fields.pad(8).byte(8).signature('g').signature('s'.repeat(call.args.length));
  const head = new Writer();
  head
    .byte('l'.charCodeAt(0))
    .byte(1)
    .byte(0)
    .byte(1)
    .uint32(body.length)
    .uint32(serial)
    .uint32(fields.length);
  const header = Buffer.concat([head.toBuffer(), fields.toBuffer()]);
  return Buffer.concat([header, Buffer.alloc(align(header.length, 8) - header.length), body.toBuffer()]);
}

export interface DbusMessage {
  readonly type: number;
  readonly replyTo?: number;
  readonly errorName?: string;
  /** The first argument, where it is a string. */
  readonly text?: string;
  /** Bytes of the whole message. */
  readonly length: number;
}

/** The first message in `bytes`, or undefined until it is complete. Throws if it is not a D-Bus message. */
export function decodeMessage(bytes: Buffer): DbusMessage | undefined {
  if (bytes.length < 16) return undefined;
  const isLittle = bytes[0] === 0x6c;
  if (!isLittle && bytes[0] !== 0x42) throw new Error('the answer is not D-Bus');
  const uint32 = (at: number) => (isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  const fieldsEnd = 16 + uint32(12);
  const bodyAt = align(fieldsEnd, 8);
  const length = bodyAt + uint32(4);
  if (length > maxMessageBytes) throw new Error('a D-Bus message is too long');
  if (bytes.length < length) return undefined;
  const stringAt = (at: number) => bytes.toString('utf8', at + 4, at + 4 + uint32(at));
  const found: { replyTo?: number; errorName?: string; signature?: string } = {};
  let at = 16;
  while (at < fieldsEnd) {
    at = align(at, 8);
    const code = bytes[at] ?? 0;
    const type = String.fromCharCode(bytes[at + 2] ?? 0);
    at += 4; // code, length of the signature, its one character, its end
    if (type === 'g') {
      const size = bytes[at] ?? 0;
      if (code === 8) found.signature = bytes.toString('latin1', at + 1, at + 1 + size);
      at += size + 2;
      continue;
    }
    if (type === 'u') {
      if (code === 5) found.replyTo = uint32(at);
      at += 4;
      continue;
    }
    if (type !== 's' && type !== 'o') break; // of no message that answers us
    if (code === 4) found.errorName = stringAt(at);
    at += 4 + uint32(at) + 1;
  }
  const { replyTo, errorName, signature = '' } = found;
  return {
    type: bytes[1] ?? 0,
    length,
    ...(replyTo !== undefined && { replyTo }),
    ...(errorName !== undefined && { errorName }),
    ...(/^[so]/.test(signature) && { text: stringAt(bodyAt) }),
  };
}

/** Calls a method on the bus at `socketPath`; resolves with its answer's first string, rejects with what failed. */
export async function callDbus(socketPath: string, call: DbusCall): Promise<string | undefined> {
  const socket = connect(socketPath);
  const timer = setTimeout(
    () => socket.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  try {
    const reader = new Reader(socket);
    const uid = Buffer.from(String(process.getuid?.() ?? 0)).toString('hex');
    socket.write(`\0AUTH EXTERNAL ${uid}\r\n`);
    const answer = await reader.line();
    if (!answer.startsWith('OK ')) throw new Error(`the bus refuses this user: ${answer}`);
    socket.write('BEGIN\r\n');
    const bus = {
      destination: 'org.freedesktop.DBus',
      path: '/org/freedesktop/DBus',
      interface: 'org.freedesktop.DBus',
    };
    socket.write(encodeCall({ ...bus, member: 'Hello', args: [] }, 1));
    await reader.reply(1);
    socket.write(encodeCall(call, 2));
    return await reader.reply(2);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

class Reader {
  #bytes = Buffer.alloc(0);
  #problem: Error | undefined;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the bus closed the connection')));
  }

  #fail(error: Error): void {
    this.#problem ??= error;
    this.#wake();
  }

  async #more(): Promise<void> {
    if (this.#problem) throw this.#problem;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n');
      if (end >= 0) {
        const text = this.#bytes.toString('latin1', 0, end);
        this.#bytes = this.#bytes.subarray(end + 2);
        return text;
      }
      await this.#more();
    }
  }

  /** The answer to the call `serial`; signals and what else comes are passed over. */
  async reply(serial: number): Promise<string | undefined> {
    for (;;) {
      const message = decodeMessage(this.#bytes);
      if (!message) {
        await this.#more();
        continue;
      }
      this.#bytes = this.#bytes.subarray(message.length);
      if (message.replyTo !== serial) continue;
      if (message.type === errorReply)
        throw new Error([message.errorName, message.text].filter(Boolean).join(': '));
      if (message.type === methodReturn) return message.text;
    }
  }
}
