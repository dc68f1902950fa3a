import { parseDescriptorLimit, tunnelLimitFor } from '../../../src/passthrough/tunnel/tunnel-limit.ts';

const limits = (soft: string) => `Limit                     Soft Limit           Hard Limit           Units
Max processes             95000                95000                processes
Max open files            ${soft.padEnd(20)} 1048576              files
Max locked memory         8388608              8388608              bytes
`;

test('the soft limit is read', () => {
  expect(parseDescriptorLimit(limits('1024'))).toBe(1024);
  expect(parseDescriptorLimit(limits('unlimited'))).toBeUndefined();
  expect(parseDescriptorLimit('')).toBeUndefined();
});

test.each([16, 64, 256, 1024, 4096, 20_000, 1_048_576])(
  'with %i descriptors tunnels and half-open dials leave some for everything else',
  (descriptors) => {
    const { maxTunnels, maxHalfOpenDials } = tunnelLimitFor(descriptors);
    expect(maxTunnels).toBeGreaterThanOrEqual(1);
    const left = descriptors - 2 * maxTunnels - maxHalfOpenDials;
    expect(left).toBeGreaterThanOrEqual(Math.min(160, descriptors / 2) - 2);
  },
);

test('the limit is bounded where descriptors are not', () => {
  expect(tunnelLimitFor(undefined).maxTunnels).toBe(10_000);
  expect(tunnelLimitFor(1_048_576).maxTunnels).toBe(10_000);
});
