import { parseOptions, stageNames } from '../../../bench/options.ts';
import { choosePinning, parseCpuList } from '../../../bench/processes.ts';

describe('bench options', () => {
  test('without flags everything is measured on the four peers', () => {
    const options = parseOptions([]);
    expect(options.only).toEqual(stageNames);
    expect(options.peers).toEqual(['fairlead', 'haproxy', 'nginx', 'direct']);
    expect(options.isQuick).toBe(false);
  });

  test('a quick run has fewer rounds, and a given number of rounds wins', () => {
    expect(parseOptions(['--quick']).sizes.rounds).toBeLessThan(parseOptions([]).sizes.rounds);
    expect(parseOptions(['--quick', '--rounds', '7']).sizes.rounds).toBe(7);
  });

  test('an unknown peer or stage is named together with the known ones', () => {
    expect(() => parseOptions(['--peers', 'haproxy,envoy'])).toThrow(
      /"envoy" is not one of fairlead, haproxy/,
    );
    expect(() => parseOptions(['--only', 'speed'])).toThrow(/"speed" is not one of startup/);
    expect(() => parseOptions(['--rounds', 'many'])).toThrow(/"many" is not a positive number/);
  });

  test('packages are installed only when asked, or in CI', () => {
    expect(parseOptions([]).install).toBe(false);
    expect(parseOptions(['--install']).install).toBe(true);
    expect(parseOptions([], { isCi: true }).install).toBe(true);
  });
});

describe('pinning', () => {
  test('the proxy never shares its CPU with the load where there are two', () => {
    expect(choosePinning([0, 1])).toEqual({ load: '0', proxy: '1', backend: '0' });
    expect(choosePinning([2, 5, 7])).toEqual({ load: '2', proxy: '5', backend: '7' });
  });

  test('on one CPU nothing is pinned', () => {
    expect(choosePinning([0])).toEqual({ load: undefined, proxy: undefined, backend: undefined });
  });

  test('the kernel’s list of CPUs is read', () => {
    expect(parseCpuList('0-2,5\n')).toEqual([0, 1, 2, 5]);
  });
});
