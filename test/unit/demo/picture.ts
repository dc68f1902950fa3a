// A picture in the middle of the demo, for the tests of what is made of it.
import type { Happening, Picture } from '../../../scripts/demo-parts/picture.ts';

export const happenings: readonly Happening[] = [
  { atMs: 40, teller: 'client', text: 'the API server sees me as system:node:node-1' },
  {
    atMs: 5_000,
    teller: 'story',
    text: 'cp-1 is killed',
    word: 'killed',
    server: 'cp-1',
    leadsTo: 'not ready',
  },
  {
    atMs: 5_020,
    teller: 'fairlead',
    text: 'cp-1 is unready: L4CON refused',
    server: 'cp-1',
    verdict: 'unready',
    reason: 'L4CON refused',
  },
  {
    atMs: 11_000,
    teller: 'story',
    text: 'cp-2 is frozen',
    word: 'frozen',
    server: 'cp-2',
    leadsTo: 'not ready',
  },
  {
    atMs: 11_800,
    teller: 'fairlead',
    text: 'cp-2 is suspect',
    server: 'cp-2',
    verdict: 'suspect',
    reason: 'L7TOUT',
  },
  {
    atMs: 12_500,
    teller: 'fairlead',
    text: 'cp-2 is dead: L6TOUT',
    server: 'cp-2',
    verdict: 'dead',
    reason: 'L6TOUT',
  },
  {
    atMs: 18_000,
    teller: 'story',
    text: 'cp-1 is started again',
    word: 'back',
    server: 'cp-1',
    leadsTo: 'ready',
  },
];

const address = (last: number) => `127.255.255.${last}:65535`;

export const picture: Picture = {
  elapsedMs: 18_400,
  endMs: 36_000,
  listen: '127.0.0.1:41234',
  admin: '127.0.0.1:41235',
  now: 'cp-1 is started again',
  servers: [
    {
      name: 'cp-1',
      address: address(1),
      pid: 4194303,
      process: 'running',
      verdict: 'unready',
      reason: 'L7STS/500 poststarthook/start-kube-apiserver-admission-initializer failed',
      tunnels: 0,
      totalTunnels: 48,
    },
    {
      name: 'cp-2',
      address: address(2),
      pid: 1235,
      process: 'frozen',
      verdict: 'dead',
      reason: 'L6TOUT',
      tunnels: 0,
      totalTunnels: 61,
    },
    {
      name: 'cp-3',
      address: address(3),
      pid: undefined,
      process: 'gone',
      verdict: undefined,
      reason: '',
      tunnels: 1,
      totalTunnels: 1_000,
    },
  ],
  short: {
    ok: 180,
    repeated: 1,
    failed: 0,
    slowestMs: 1_031,
    longestPauseMs: 960,
    strip: [{ server: 'cp-1' }, { server: 'cp-2' }, 'nobody', { server: 'cp-3' }],
  },
  long: {
    ok: 70,
    repeated: 2,
    failed: 0,
    slowestMs: 1_600,
    longestPauseMs: 1_840,
    strip: [{ server: 'cp-1' }, 'nobody', 'nobody', 'failed'],
  },
  watch: { events: 70, missed: 0, resumed: 2, longestQuietMs: 1_900 },
  happenings,
};
