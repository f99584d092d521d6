/** What `npm run client` generates: one file of types, and one function for each operation, all of which call `request`. */
export default {
  api: {
    input: { target: '../../.build/openapi.json' },
    output: {
      target: 'src/generated.ts',
      mode: 'single',
      client: 'fetch',
      headers: true,
      urlEncodeParameters: true,
      override: {
        mutator: { path: 'src/request.ts', name: 'request' },
        fetch: { includeHttpResponseReturnType: false },
        enumGenerationType: 'union',
      },
    },
  },
};
