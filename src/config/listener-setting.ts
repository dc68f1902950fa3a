// The setting `listeners`: `HOST:PORT`, or a map with `address` and its options.
import * as v from 'valibot';
import { formatHostPort } from '../model/endpoint.ts';
import { parseNetwork } from '../model/network.ts';
import { type ListenerConfig, type ListenerTls, defaultPoolName } from './config.ts';
import { bindAddress, type Notes, parsed, type Setting, splitList, withKey } from './setting.ts';

const flag = (fallback: boolean) => v.optional(v.boolean('must be true or false'), fallback);

const networksRight = 'must be a list of networks such as 10.0.0.0/8 or fd00::/8, or of IP addresses';
const networks = v.optional(
  v.pipe(
    v.array(v.pipe(v.string(networksRight), parsed(parseNetwork)), networksRight),
    v.minLength(1, 'must name at least one network; leave it out if it is not wanted'),
    v.readonly(),
  ),
);

const maxTunnelsRight = 'must be a whole number from 1 to 1000000';
const maxTunnels = v.optional(
  v.pipe(
    v.number(maxTunnelsRight),
    v.check((value) => Number.isInteger(value) && value >= 1 && value <= 1_000_000, maxTunnelsRight),
  ),
);

const fileRight = 'must be the name of a file, not its content';
const fileName = v.pipe(
  v.string(fileRight),
  v.check((value) => value !== '' && !/\p{Cc}/u.test(value) && value.length <= 4096, fileRight),
);
const tlsRight = 'must be a map with certFile, keyFile and, for a front proxy, clientCaFile';
const tls = v.pipe(
  v.unknown(),
  v.transform(withKey('certFile')),
  v.transform(withKey('keyFile')),
  v.strictObject({ certFile: fileName, keyFile: fileName, clientCaFile: v.optional(fileName) }, tlsRight),
);

const poolRight = `must be the name of a pool: ${defaultPoolName}, or one of pools`;

const asMap = v.object(
  {
    address: v.pipe(v.unknown(), parsed(bindAddress)),
    type: v.optional(v.picklist(['passthrough', 'http'], 'must be one of passthrough, http'), 'passthrough'),
    tls: v.optional(tls),
    pool: v.optional(v.string(poolRight), defaultPoolName),
    replayNonTls: flag(false),
    optional: flag(false),
    waitForAddress: flag(false),
    maxTunnels,
    allowFrom: networks,
    sendProxy: flag(false),
    acceptProxyFrom: networks,
  },
  'must be HOST:PORT or a map with address and options',
);

function withoutUndefined({ certFile, keyFile, clientCaFile }: v.InferOutput<typeof tls>): ListenerTls {
  return { certFile, keyFile, ...(clientCaFile !== undefined && { clientCaFile }) };
}

/** What a listener is when only its address is written; members that differ from this are written. */
const plain = {
  type: 'passthrough',
  pool: defaultPoolName,
  replayNonTls: false,
  optional: false,
  waitForAddress: false,
  sendProxy: false,
} as const;

export function listenerList(
  notes: Notes & { default: readonly unknown[] },
): Setting<readonly ListenerConfig[]> {
  const { default: fallback, ...rest } = notes;
  return {
    ...rest,
    type: 'list of HOST:PORT, or of maps',
    fallback,
    itemKeys: Object.keys(asMap.entries),
    schema: v.pipe(
      v.array(
        v.pipe(
          v.unknown(),
          v.transform((item) => (typeof item === 'string' ? { address: item } : item)),
          v.transform(withKey('address')),
          asMap,
          v.transform(({ address, ...options }): ListenerConfig => {
            const { maxTunnels, allowFrom, acceptProxyFrom, tls: files, ...always } = options;
            return {
              ...address,
              ...always,
              ...(files && { tls: withoutUndefined(files) }),
              ...(maxTunnels !== undefined && { maxTunnels }),
              ...(allowFrom && { allowFrom }),
              ...(acceptProxyFrom && { acceptProxyFrom }),
            };
          }),
        ),
        'must be a list of HOST:PORT, or of maps with address and options',
      ),
      v.minLength(1, 'must have at least one listener'),
    ),
    fromText: splitList,
    isList: true,
    write: (value) =>
      value.map(({ host, port, ...options }) => {
        const text = formatHostPort({ host, port });
        const said = Object.entries(options).filter(
          ([key, option]) => !Object.hasOwn(plain, key) || plain[key as keyof typeof plain] !== option,
        );
        return said.length === 0 ? text : { address: text, ...Object.fromEntries(said) };
      }),
  };
}
