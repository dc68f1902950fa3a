import { clientNameMs, maxClientNames, SeenClientNames } from '../../../src/balance/seen-client-names.ts';
import { FakeClock } from '../../support/fakes/fake-clock.ts';

test('names that clients send are kept for a day after they were seen last', async () => {
  const clock = new FakeClock();
  const names = new SeenClientNames(clock);
  names.see('a');
  await clock.advance(clientNameMs / 2);
  names.see('b');
  await clock.advance(clientNameMs / 2 + 1);
  expect(names.current()).toEqual(['b']);
});

test('however many names a client sends, only the latest few are kept', () => {
  const names = new SeenClientNames(new FakeClock());
  for (let count = 0; count < 1_000; count += 1) names.see(`n${count}.example`);
  expect(names.current()).toHaveLength(maxClientNames);
  expect(names.current().at(-1)).toBe('n999.example');
});
