import { readdirSync } from 'node:fs';
import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** What each folder of lib/ may import besides the leaves: folders, or single files. Imports point down only. */
const serving = ['transport', 'backend', 'memory', 'wire'];
const connecting = ['handshake', 'transmission', 'sockets', 'sources', ...serving];
const mayImport = {
  native: [],
  memory: ['native'],
  wire: [],
  backend: ['native', 'memory'],
  sockets: ['native'],
  transport: ['native', 'memory', 'sockets', 'wire'],
  sources: ['backend'],
  filter: ['backend'],
  client: ['transport', 'sockets', 'native', 'wire'],
  handshake: ['transmission/agreement.js', 'transport/sender.js', 'backend', 'wire'],
  transmission: ['transport/sender.js', 'backend', 'wire'],
  server: connecting,
  cli: ['server', 'native', ...connecting],
};
const folders = Object.keys(mayImport);
for (const { name } of readdirSync('lib', { withFileTypes: true }).filter((entry) =>
  entry.isDirectory(),
)) {
  if (!folders.includes(name)) throw new Error(`lib/${name} has no entry in mayImport.`);
}

function forbidImports(pattern, message) {
  return { 'no-restricted-imports': ['error', { patterns: [{ regex: pattern, message }] }] };
}

const importDirections = folders.map((folder) => {
  const allowed = [folder, ...mayImport[folder]];
  const forbidden = folders.filter((other) => !allowed.includes(other));
  return {
    files: [`lib/${folder}/**`],
    rules: forbidImports(
      String.raw`\.\./(?!${allowed.join('|')})((${forbidden.join('|')})/|index\.js|test/|benchmarks/)`,
      `Imports point down only: lib/${folder} may import ${allowed.join(', ')} and the leaves.`,
    ),
  };
});

/** Only the server itself knows its threads; the command knows how many there may be. */
const threadsRoom = {
  files: ['lib/**'],
  ignores: ['lib/server/server.ts', 'lib/server/threads/**', 'lib/cli/serve.ts'],
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          {
            regex: String.raw`/threads/`,
            message: 'The connections of a thread do not know that there are others.',
          },
        ],
      },
    ],
  },
};

/** The core runs without Node, such as in a browser: see also tsconfig.core.json. */
const core = [
  'lib/{errors,limits,quoted}.ts',
  'lib/backend/*.ts',
  'lib/{handshake,transmission,wire}/**',
  'lib/transport/sender.ts',
];
const nodeGlobals = ['Buffer', 'NodeJS', 'clearImmediate', 'global', 'process', 'setImmediate'];

export default defineConfig(
  globalIgnores(['build/', 'dist/', 'prebuilds/']),
  js.configs.recommended,
  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: { console: 'readonly', process: 'readonly' } },
  },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      eqeqeq: 'error',
      'max-lines': ['error', 450],
      'max-lines-per-function': ['error', 70],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
    },
  },
  ...importDirections,
  threadsRoom,
  {
    files: ['lib/errors.ts', 'lib/limits.ts', 'lib/quoted.ts'],
    rules: forbidImports(
      String.raw`^\.\.?/(?!errors\.js$)`,
      'The leaves import nothing but errors.',
    ),
  },
  {
    files: core,
    rules: {
      'no-restricted-globals': [
        'error',
        ...nodeGlobals.map((name) => ({ name, message: 'The core runs without Node.' })),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: ':matches(ImportDeclaration, ImportExpression)[source.value=/^node:/]',
          message: 'The core runs without Node.',
        },
      ],
    },
  },
  {
    files: ['lib/index.ts'],
    rules: forbidImports(String.raw`\.\./`, 'lib/ stands without its tests and benchmarks.'),
  },
  {
    files: ['test/**/*.ts', 'benchmarks/test/**/*.ts'],
    rules: {
      // A describe() is one function around all its tests.
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-floating-promises': [
        'error',
        {
          allowForKnownSafeCalls: [
            { from: 'package', package: 'node:test', name: ['describe', 'it', 'suite', 'test'] },
          ],
        },
      ],
    },
  },
  {
    files: ['lib/**/*.ts'],
    rules: {
      'no-console': 'error',
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }],
    },
  },
  {
    // A test that used the codecs of lib/ would repeat their mistakes.
    files: [
      'test/conformance/**/*.ts',
      'test/fuzz/{model,streams}/**/*.ts',
      'test/fuzz/{oracle,replies}.ts',
      'test/support/{byte-client,disks,numbers,status,tls}.ts',
    ],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: String.raw`\.\./lib/`,
              allowTypeImports: true,
              message: 'Servers are judged by their bytes alone: share no code with lib/.',
            },
          ],
        },
      ],
    },
  },
);
