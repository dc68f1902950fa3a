// TLS ClientHellos for tests, built by hand, and cut into records as wanted.
import { randomBytes } from 'node:crypto';

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 255);
}

function withLength16(bytes: Buffer): Buffer {
  return Buffer.concat([u16(bytes.length), bytes]);
}

export interface HelloOptions {
  readonly withEarlyData?: boolean;
  readonly withoutExtensions?: boolean;
  /** Empty: no SNI. */
  readonly serverName?: string;
  /** Adds a pre_shared_key extension, or one with a session ticket, of this size. */
  readonly preSharedKeyBytes?: number;
  readonly ticketBytes?: number;
  /** Adds a padding extension of this size. */
  readonly paddingBytes?: number;
  /** Largest fragment of the handshake message in one record. */
  readonly fragmentBytes?: number;
}

/** The handshake message alone. */
export function helloMessage({
  withEarlyData = false,
  withoutExtensions = false,
  paddingBytes = 0,
  serverName = 'kubernetes.default.svc',
  preSharedKeyBytes,
  ticketBytes,
}: HelloOptions = {}): Buffer {
  const name = Buffer.from(serverName);
  const names = withLength16(Buffer.concat([Buffer.of(0), withLength16(name)]));
  const extensions = serverName === '' ? [] : [Buffer.concat([u16(0), withLength16(names)])];
  const add = (type: number, bytes: number | undefined) => {
    if (bytes !== undefined) extensions.push(Buffer.concat([u16(type), withLength16(Buffer.alloc(bytes))]));
  };
  add(35, ticketBytes);
  if (paddingBytes > 0) extensions.push(Buffer.concat([u16(21), withLength16(Buffer.alloc(paddingBytes))]));
  if (withEarlyData) extensions.push(Buffer.concat([u16(42), u16(0)]));
  add(41, preSharedKeyBytes);
  const sessionId = randomBytes(32);
  const body = Buffer.concat([
    u16(0x0303),
    randomBytes(32),
    Buffer.of(sessionId.length),
    sessionId,
    withLength16(Buffer.concat([u16(0x1301), u16(0x1302)])),
    Buffer.of(1, 0),
    withoutExtensions ? Buffer.alloc(0) : withLength16(Buffer.concat(extensions)),
  ]);
  return Buffer.concat([Buffer.of(1, body.length >> 16, (body.length >> 8) & 255, body.length & 255), body]);
}

/** The records that a client sends. */
export function clientHello(options: HelloOptions = {}): Buffer {
  return records(helloMessage(options), options.fragmentBytes);
}

export function records(message: Buffer, fragmentBytes = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += fragmentBytes) {
    const fragment = message.subarray(at, at + fragmentBytes);
    parts.push(Buffer.of(22, 3, 1), withLength16(fragment));
  }
  return Buffer.concat(parts);
}
