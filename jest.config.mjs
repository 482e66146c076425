/** Tests run on the TypeScript sources; parts that a test starts as processes run what `npm run build` made. */
export default {
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  moduleFileExtensions: ['ts', 'js', 'mjs', 'cjs', 'json', 'node'],
  modulePathIgnorePatterns: ['<rootDir>/dist', '<rootDir>/.roundtable', '<rootDir>/.sst'],
  testEnvironment: '<rootDir>/test/environment.mjs',
  testTimeout: 60_000,
  maxWorkers: 2,
  // Modules of a test file are kept by its process; one that holds much is replaced before the next file.
  workerIdleMemoryLimit: '1GB',
};
