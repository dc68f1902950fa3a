import { paintWith } from '../../../scripts/demo-parts/style.ts';
import { summarize } from '../../../scripts/demo-parts/summary.ts';
import { render } from '../../../scripts/demo-parts/view.ts';
import { happenings, picture } from './picture.ts';

const plain = paintWith(false);
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape sequences of colours are meant
const withoutColours = (line: string) => line.replace(/\x1b\[\d+m/g, '');

describe('the live view', () => {
  test.each([
    [80, 24],
    [100, 40],
    [200, 60],
  ])('fits into %i by %i', (width, height) => {
    const lines = render(picture, { width, height }, plain);
    expect(lines.length).toBeLessThanOrEqual(height);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
  });

  test('says the same with colours and without', () => {
    const size = { width: 100, height: 40 };
    const coloured = render(picture, size, paintWith(true));
    expect(coloured.map(withoutColours)).toEqual(render(picture, size, plain));
    expect(coloured.join('')).toContain('\x1b[31m');
  });

  test('shows who answered when, and what was done when beneath it', () => {
    const lines = render(picture, { width: 100, height: 40 }, plain);
    expect(lines).toContain('  kubectl  12.3');
    expect(lines).toContain('  kubelet  1..X');
    const marks = lines.find((line) => line.includes('^1 killed')) ?? '';
    // 5 s is the tenth half second.
    expect(marks.indexOf('^1 killed') - '  kubectl  '.length).toBe(10);
    expect(marks).toContain('^2 frozen');
  });

  test('keeps the latest happenings when there is room for few', () => {
    const lines = render(picture, { width: 80, height: 24 }, plain);
    expect(lines.at(-1)).toContain('cp-1 is started again');
  });

  test('an API server that Fairlead does not list is not called ready', () => {
    const line = render(picture, { width: 80, height: 24 }, plain).find((one) => one.startsWith('  cp-3'));
    expect(line).toContain('gone');
    expect(line).toContain('not listed');
  });
});

describe('the summary', () => {
  const text = (changed: Partial<typeof picture> = {}) => {
    const { isGood, lines } = summarize({ ...picture, ...changed }, [], plain);
    return { isGood, text: lines.join('\n') };
  };

  test('is good when nothing failed, and gives the numbers', () => {
    const { isGood, text: said } = text();
    expect(isGood).toBe(true);
    expect(said).toContain('180 worked, 0 failed; the slowest took 1.03 s');
    expect(said).toContain('70 events, 0 missed; resumed 2 times');
  });

  test.each([
    ['a new connection failed', { short: { ...picture.short, failed: 1 } }, '1 new connections failed'],
    ['nothing was answered', { short: { ...picture.short, ok: 0 } }, 'no request was answered'],
    ['the watch missed an event', { watch: { ...picture.watch, missed: 3 } }, 'the watch missed 3 events'],
    ['a renewal failed', { long: { ...picture.long, failed: 2 } }, '2 renewals failed'],
  ])('is not good when %s', (_name, changed, problem) => {
    const { isGood, text: said } = text(changed);
    expect(isGood).toBe(false);
    expect(said).toContain('NOT GOOD');
    expect(said).toContain(problem);
  });

  test('says of each step what Fairlead made of it, and after how long', () => {
    const { text: said } = text();
    expect(said).toContain('judged it unready (L4CON refused) after 0.02 s');
    // Suspect is not yet an answer.
    expect(said).toContain('judged it dead (L6TOUT) after 1.50 s');
    expect(said).toContain('cp-1 is started again.\n           Fairlead had not noticed by the end.');
  });

  test('leaving the EndpointSlice is an answer too', () => {
    const left = {
      atMs: 11_300,
      teller: 'fairlead',
      text: 'left',
      server: 'cp-2',
      verdict: 'not listed',
    } as const;
    const { text: said } = text({ happenings: [...happenings.slice(0, 4), left, ...happenings.slice(4)] });
    expect(said).toContain('saw it leave the EndpointSlice after 0.30 s');
  });
});
