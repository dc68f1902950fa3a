import { oneByte } from '../../scripts/build-parts/one-byte.ts';

test('comments lose the characters that would double the program in memory', () => {
  const program = "// with […]\n  /* … */\nconst a = 'ü';\n";
  expect(oneByte(program)).toBe("// with [?]\n  /* ? */\nconst a = 'ü';\n");
});

test('such a character in code is an error and not changed', () => {
  expect(() => oneByte("const a = '…';\n")).toThrow(/"…" outside a comment line/);
  expect(() => oneByte("const a = '…';\n")).toThrow(/"…" outside a comment line/);
});
