// Suites that only `scripts/test --full` runs: long ones of which a shorter one of the same kind runs each time.
const fullOnly = [
  'integration/bench',
  'integration/contract-switched',
  'integration/agent/unmoved-tunnels',
  'integration/install/external-lb',
  'faults/soak',
  'faults/slow',
  'faults/remembered',
];
const isFull = process.env.FAIRLEAD_TEST_FULL === '1';

const common = {
  testEnvironment: 'node',
  testPathIgnorePatterns: [
    '/node_modules/',
    ...(isFull ? [] : fullOnly.map((suite) => `/test/${suite}\\.test`)),
  ],
  extensionsToTreatAsEsm: ['.ts'],
  setupFiles: ['<rootDir>/test/support/jest/property-seed.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } },
    ],
  },
};

// Suites that start the agent run what is built.
const built = { globalSetup: '<rootDir>/test/support/jest/build-once.ts' };

export default {
  maxWorkers: 2,
  testTimeout: 30_000,
  // For `npm run coverage`: every file of the product, also one that no test loads.
  coverageProvider: 'v8',
  collectCoverageFrom: ['src/**/*.ts'],
  coverageReporters: ['text-summary', 'html'],
  projects: [
    { ...common, displayName: 'unit', testMatch: ['<rootDir>/test/unit/**/*.test.ts'] },
    {
      ...common,
      ...built,
      displayName: 'integration',
      testMatch: ['<rootDir>/test/integration/**/*.test.ts'],
    },
    { ...common, ...built, displayName: 'faults', testMatch: ['<rootDir>/test/faults/**/*.test.ts'] },
    { ...common, ...built, displayName: 'hostile', testMatch: ['<rootDir>/test/hostile/**/*.test.ts'] },
  ],
};
