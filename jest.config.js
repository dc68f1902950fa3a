const common = {
  testEnvironment: 'node',
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
