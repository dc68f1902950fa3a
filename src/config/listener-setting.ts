// The setting `listeners`, and the table of what one listener says: `HOST:PORT`, or a map with `address` and its options.
import * as v from 'valibot';
import { formatHostPort, type HostPort } from '../model/endpoint.ts';
import { defaultPoolName } from './pool-setting.ts';
import {
  address,
  boolean,
  choice,
  integer,
  networkList,
  type Notes,
  optional,
  type Setting,
  type SettingValue,
  splitList,
  text,
  withKey,
} from './setting.ts';

const perListener = { scope: 'listener', applies: 'restart' } as const;

const fileRight = 'must be the name of a file, not its content';
const fileName = v.pipe(
  v.string(fileRight),
  v.check((value) => value !== '' && !/\p{Cc}/u.test(value) && value.length <= 4096, fileRight),
);
const tlsFiles = v.pipe(
  v.unknown(),
  v.transform(withKey('certFile')),
  v.transform(withKey('keyFile')),
  v.strictObject(
    { certFile: fileName, keyFile: fileName, clientCaFile: v.optional(fileName) },
    'must be a map with certFile, keyFile and, for a front proxy, clientCaFile',
  ),
);

/** What an http listener shows, and by what it verifies clients for a front proxy. */
export interface ListenerTls extends Readonly<v.InferOutput<typeof tlsFiles>> {}

export const listenerSettings = {
  address: address({
    ...perListener,
    description: 'IP address and port. Port 0 selects a free port.',
    defaultNote: 'required',
  }),
  type: choice({
    ...perListener,
    description:
      'Type of the listener. `passthrough` relays TCP; `http` terminates TLS and balances requests ([http.md](http.md)).',
    default: 'passthrough',
    of: ['passthrough', 'http'],
  }),
  tls: optional<Setting<ListenerTls>>({
    ...perListener,
    description: 'For type `http`: a map with `certFile`, `keyFile` and, for a front proxy, `clientCaFile`.',
    type: 'map of files',
    fallback: undefined,
    schema: tlsFiles,
    isList: false,
    write: (value) => value,
  }),
  pool: text({
    ...perListener,
    description: 'Pool of endpoints for its clients.',
    type: 'name of a pool',
    default: defaultPoolName,
    right: `the name of a pool: ${defaultPoolName}, or one of pools`,
  }),
  replayNonTls: boolean({
    ...perListener,
    description:
      'Allow a first flight that is not TLS to be sent to a second endpoint as well. Use this only for protocols where that is harmless.',
    default: false,
  }),
  optional: boolean({
    ...perListener,
    description: 'Skip this listener, with a log message, while the host does not have the address.',
    default: false,
  }),
  waitForAddress: boolean({
    ...perListener,
    description:
      'Wait for an address that the host does not have yet, such as a VIP; see [external-lb.md](external-lb.md).',
    default: false,
  }),
  maxTunnels: optional(
    integer({
      ...perListener,
      description: 'Maximum concurrent clients of this listener. Further clients are reset.',
      min: 1,
      max: 1_000_000,
    }),
  ),
  allowFrom: networkList({
    ...perListener,
    description: 'Networks that clients may connect from.',
    defaultNote: 'all',
  }),
  sendProxy: boolean({
    ...perListener,
    description: 'Send a PROXY protocol header (version 2) on each connection to an endpoint.',
    default: false,
  }),
  acceptProxyFrom: networkList({
    ...perListener,
    description: 'Networks from which clients must send such a header first.',
    defaultNote: 'none',
  }),
} satisfies Record<string, Setting<unknown>>;

type Row = keyof typeof listenerSettings;
type Options = { readonly [K in Exclude<Row, 'address'>]: SettingValue<(typeof listenerSettings)[K]> };

export interface ListenerConfig extends HostPort, Options {}

const rows = Object.entries(listenerSettings) as [Row, Setting<unknown>][];

const asMap = v.object(
  Object.fromEntries(
    rows.map(([name, { schema, fallback }]) => [
      name,
      name === 'address' ? schema : v.optional(schema, fallback),
    ]),
  ),
  'must be HOST:PORT or a map with address and options',
);

function toListener(values: v.InferOutput<typeof asMap>): ListenerConfig {
  const { address: bound, ...options } = values;
  const said = Object.entries(options).filter(([, option]) => option !== undefined);
  return { ...(bound as HostPort), ...(Object.fromEntries(said) as unknown as Options) };
}

/** `HOST:PORT` where only the address was said. */
function writeListener(listener: ListenerConfig): unknown {
  const said = rows.flatMap(([name, { fallback, write }]) => {
    const written = name === 'address' ? undefined : write(listener[name]);
    return written === undefined || written === fallback ? [] : [[name, written]];
  });
  const bound = formatHostPort(listener);
  return said.length === 0 ? bound : { address: bound, ...Object.fromEntries(said) };
}

export function listenerList(
  notes: Notes & { default: readonly unknown[] },
): Setting<readonly ListenerConfig[]> {
  const { default: fallback, ...rest } = notes;
  return {
    placeholder: 'HOST:PORT',
    ...rest,
    type: 'list of HOST:PORT, or of maps',
    fallback,
    itemKeys: Object.keys(listenerSettings),
    schema: v.pipe(
      v.array(
        v.pipe(
          v.unknown(),
          v.transform((item) => (typeof item === 'string' ? { address: item } : item)),
          v.transform(withKey('address')),
          asMap,
          v.transform(toListener),
        ),
        'must be a list of HOST:PORT, or of maps with address and options',
      ),
      v.minLength(1, 'must have at least one listener'),
    ),
    fromText: splitList,
    isList: true,
    write: (value) => value.map(writeListener),
  };
}
