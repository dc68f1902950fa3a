// Reads the few Kubernetes protobuf messages that a stock kubectl sends (its typed commands do, `apply` does
// not). Answers are always JSON, which such clients accept.
// https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
import { badRequest, StatusError } from './status.ts';

/** Field number to name and type: text, bytes as base64, a message, or a map of strings. */
type Schema = Readonly<Record<number, readonly [string, 'text' | 'bytes' | 'map' | 'bytesMap' | Schema]>>;
type Message = Record<string, unknown>;

const magic = Buffer.from('k8s\0');
const envelope: Schema = {
  1: ['type', { 1: ['apiVersion', 'text'], 2: ['kind', 'text'] }],
  2: ['raw', 'bytes'],
};

const metadata: Schema = {
  1: ['name', 'text'],
  2: ['generateName', 'text'],
  3: ['namespace', 'text'],
  5: ['uid', 'text'],
  6: ['resourceVersion', 'text'],
  11: ['labels', 'map'],
  12: ['annotations', 'map'],
};

const resourceAttributes: Schema = {
  1: ['namespace', 'text'],
  2: ['verb', 'text'],
  3: ['group', 'text'],
  4: ['version', 'text'],
  5: ['resource', 'text'],
  6: ['subresource', 'text'],
  7: ['name', 'text'],
};

const nonResourceAttributes: Schema = { 1: ['path', 'text'], 2: ['verb', 'text'] };

const schemas: Readonly<Record<string, Schema>> = {
  ConfigMap: { 1: ['metadata', metadata], 2: ['data', 'map'], 3: ['binaryData', 'bytesMap'] },
  Namespace: { 1: ['metadata', metadata] },
  DeleteOptions: {},
  SelfSubjectAccessReview: {
    1: ['metadata', metadata],
    2: [
      'spec',
      { 1: ['resourceAttributes', resourceAttributes], 2: ['nonResourceAttributes', nonResourceAttributes] },
    ],
  },
};

export function isProtobuf(body: Buffer): boolean {
  return body.subarray(0, magic.length).equals(magic);
}

/** The object in a body for which `isProtobuf` holds. */
export function decodeProtobuf(body: Buffer): Message {
  const { type, raw } = decode(body.subarray(magic.length), envelope) as {
    type?: { apiVersion?: string; kind?: string };
    raw?: string;
  };
  const schema = schemas[type?.kind ?? ''];
  if (!schema) throw new StatusError(badRequest(`no protobuf decoder for ${type?.kind}`));
  return { metadata: {}, ...type, ...decode(Buffer.from(raw ?? '', 'base64'), schema) };
}

function decode(bytes: Buffer, schema: Schema): Message {
  const message: Message = {};
  for (const [field, value] of fields(bytes)) {
    const [name, type] = schema[field] ?? [];
    if (!name || !type) continue;
    if (type === 'text') {
      if (value.length > 0) message[name] = value.toString();
    } else if (type === 'bytes') {
      message[name] = value.toString('base64');
    } else if (type === 'map' || type === 'bytesMap') {
      const entry = Object.fromEntries(fields(value));
      const content = entry[2]?.toString(type === 'map' ? 'utf8' : 'base64') ?? '';
      message[name] = { ...(message[name] as Message | undefined), [entry[1]?.toString() ?? '']: content };
    } else {
      message[name] = decode(value, type);
    }
  }
  return message;
}

/** Length-delimited fields; numbers are skipped, as nothing here needs them. */
function* fields(bytes: Buffer): Generator<[number, Buffer]> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at];
      if (byte === undefined) throw new StatusError(badRequest('the protobuf body ends too early'));
      at += 1;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wireType = tag % 8;
    if (wireType === 0) {
      varint();
    } else if (wireType === 2) {
      const length = varint();
      yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
      at += length;
    } else {
      at += wireType === 1 ? 8 : 4;
    }
  }
}
