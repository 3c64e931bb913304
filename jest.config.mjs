/** Tests run from source: every package exports a `source` condition. */
export default {
  rootDir: import.meta.dirname,
  testMatch: [
    '<rootDir>/{apps,packages}/*/{src,test}/**/*.test.ts',
    '<rootDir>/{scripts,bench,deploy}/**/*.test.ts',
  ],
  testPathIgnorePatterns: ['/node_modules/', '/dist/'],
  modulePathIgnorePatterns: ['/dist/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      { jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' } },
    ],
  },
  testEnvironment: 'node',
  testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
  testTimeout: 90_000,
  // What a worker keeps of earlier files makes the collection of garbage its main work.
  workerIdleMemoryLimit: '800MB',
}
